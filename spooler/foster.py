# SPDX-License-Identifier: MIT
"""
Commands whose runner was killed: they run on, in the daemon's care.

The daemon is their subreaper, so the kernel makes it their parent.  It keeps
their time and learns how they end; a new runner then files the verdict.
"""

import ctypes
import dataclasses
import logging
import os
import signal
import time

log = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 5.0


@dataclasses.dataclass
class Child:
    """
    A command without a runner.

    Attributes:
        hint, active, handler: of its job.
        pid: of the process, which leads its group.
        work: name of its work directory.
        started_ns: wall clock; clock_ns: monotonic.
        limit_s: monotonic moment of its timeout, or None.
        ended_by: timeout, killed or abort, once we asked it to end.
        kill_at: monotonic moment of the KILL after that.
    """

    hint: str
    active: str
    handler: str
    pid: int
    work: str
    started_ns: int
    clock_ns: int
    limit_s: float | None
    ended_by: str | None = None
    kill_at: float | None = None

    def end(self, why: str, grace_s: float) -> None:
        """Ask its process group to end; it is killed after *grace_s*."""
        if self.ended_by is None:
            self.ended_by = why
            self.kill_at = time.monotonic() + grace_s
            _signal_group(self.pid, signal.SIGTERM)


def become_subreaper() -> None:
    """Ask the kernel to hand us the orphans of our descendants."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Foster:
    """The commands in the daemon's care."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def adopt(self, child: Child) -> bool:
        """Take a command into care; False if it is no child of ours."""
        try:
            os.waitid(
                os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
            )
        except ChildProcessError:
            return False
        self.children.append(child)
        return True

    def step(self) -> list[tuple[Child, int]]:
        """
        Keep time; reap what ended.

        Returns:
            The children that ended, each with its exit code, negative for a
            signal.
        """
        now = time.monotonic()
        ended = []
        for child in list(self.children):
            if child.kill_at is not None and now >= child.kill_at:
                _signal_group(child.pid, signal.SIGKILL)
            elif child.limit_s is not None and now >= child.limit_s:
                child.end("timeout", _GRACE_S)
            info = os.waitid(
                os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
            )
            if info is None:
                continue
            # While the leader is a zombie its group's number is its own.
            _signal_group(child.pid, signal.SIGKILL)
            _, status = os.waitpid(child.pid, 0)
            self.children.remove(child)
            ended.append((child, os.waitstatus_to_exitcode(status)))
        return ended

    def end_all(self) -> list[Child]:
        """Kill every child now; returns them."""
        ended = list(self.children)
        self.children.clear()
        for child in ended:
            _signal_group(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
        return ended


def reap_orphans(known: set[int]) -> None:
    """
    Reap dead processes that became ours when their parents died.

    Args:
        known: pids of children that others wait for.
    """
    while True:
        try:
            info = os.waitid(
                os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT
            )
        except ChildProcessError:
            return
        if info is None or info.si_pid in known:
            return  # its own waiter takes it; SIGCHLD comes again
        os.waitpid(info.si_pid, 0)


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
