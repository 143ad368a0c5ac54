# SPDX-License-Identifier: MIT
"""The house under soak: a spool, a supervised spoold, its processes."""

import collections
import dataclasses
import functools
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator

from soak import kinds
from support import ROOT, SPOOLD, SpoolDir, is_alive, peak_rss, wait_until

MARK = "SPOOLER_SOAK"
ROLES = (
    "daemon", "python", "asyncio", "runner", "command", "producer", "operator",
)
_WORKER = b"\0spooler.workermain\0"
REST_S = 20.0
IDLE = "idle output"
CHILDREN = "list of children"
#: What is kept once it was needed, and how much of it.
KEPT_MAX = {IDLE: 32, CHILDREN: 1}
_IDLE = re.compile(r"/active/[0-9a-v]+-\d+\.(out|err)$")
_NUMBERS = re.compile(r"[0-9a-v]{4,}")

Held = collections.Counter[str]  #: descriptors by kind


@dataclasses.dataclass
class Rest:
    """
    What spoold holds when nothing runs.

    Attributes:
        held: by role, of each process.
        memory: peak of the daemon, in bytes.
    """

    held: dict[str, list[Held]]
    memory: int

    def more_than(self, new: "Rest") -> Iterator[str]:
        """What is held beyond that of new processes."""
        for role, all_held in self.held.items():
            for held in all_held:
                more = held - functools.reduce(
                    lambda one, two: one | two, new.held[role]
                )
                for kind, count in more.items():
                    if count > KEPT_MAX.get(kind, 0):
                        yield f"{role}: {count} more of {kind}"


def children(pid: int) -> list[int]:
    """The pids of a process's children."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as stream:
            return list(map(int, stream.read().split()))
    except OSError:
        return []


def words(pid: int) -> bytes:
    """The command line of a process, with NULs; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def descriptors(pid: int) -> list[str]:
    """What a process has open."""
    out = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            out.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass  # closed meanwhile
    return out


class House:
    """A spool and whoever lives on it."""

    def __init__(self, path: pathlib.Path) -> None:
        """Make it below *path*, which exists."""
        self.path = path
        self.starts = path / "starts"
        self.starts.touch()
        self.spool = SpoolDir(path / "spool")
        self.configure()
        self.log = path / "spoold.log"
        self.wrong: list[str] = []
        self.restarts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._mark = f"{MARK}={uuid.uuid4()}"
        self._lock = threading.Lock()
        self._told: set[int] = set()  #: signals that end spoold
        self._ending = False
        self._supervisor = threading.Thread(
            target=self._supervise, daemon=True
        )

    def configure(self) -> None:
        """Write spool.toml."""
        new = self.path / "spool.toml"
        new.write_text(kinds.config(str(self.starts)), encoding="utf-8")
        new.rename(self.spool.path / "spool.toml")

    def environment(self) -> dict[str, str]:
        """For our own processes, and what they start."""
        environ = dict(os.environ)
        name, _, value = self._mark.partition("=")
        environ[name] = value
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, (
            str(ROOT / "tests"), str(ROOT), environ.get("PYTHONPATH", ""),
        )))
        environ.pop("NOTIFY_SOCKET", None)
        return environ

    def start(self) -> None:
        """Start the supervisor."""
        self._supervisor.start()
        self.wait_ready()

    def _supervise(self) -> None:
        while not self._ending:
            with self._lock, open(self.log, "ab") as log:
                self._told = set()
                process = self.process = subprocess.Popen(
                    [sys.executable, SPOOLD, str(self.spool.path)],
                    stdin=subprocess.DEVNULL, stderr=log,
                    env=self.environment(),
                )
            code = process.wait()
            # Told to stop, it may not have known yet how to.
            expected = {-number for number in self._told}
            if signal.SIGTERM in self._told:
                expected.add(0)
            if code not in expected:
                self.wrong.append(f"CRASH spoold ended with {code}")
                time.sleep(0.5)
            self.restarts += 1

    def wait_ready(self) -> None:
        """Wait until spoold answers."""
        wait_until(lambda: self.spool.ask() is not None, what="spoold")

    def stop(self, number: int) -> None:
        """Send spoold a signal that ends it."""
        with self._lock:
            assert self.process is not None
            self._told.add(number)
            self.process.send_signal(number)

    def reload(self) -> bool:
        """Send it HUP, if it is up: before, that would end it."""
        answer = self.spool.ask()
        with self._lock:
            assert self.process is not None
            if answer is None or answer["pid"] != self.process.pid:
                return False
            self.process.send_signal(signal.SIGHUP)
            return True

    def end(self) -> None:
        """Stop for good."""
        self._ending = True
        self.stop(signal.SIGTERM)
        self._supervisor.join(30)
        if self._supervisor.is_alive():
            self.wrong.append("HUNG spoold does not stop")
            self.stop(signal.SIGKILL)
            self._supervisor.join(10)

    def renew(self) -> None:
        """Stop it, and wait for the next one."""
        assert self.process is not None
        old = self.process.pid
        self.stop(signal.SIGTERM)
        wait_until(
            lambda: self.process is not None and self.process.pid != old,
            30, "spoold stops",
        )
        self.wait_ready()

    def pids(self, role: str) -> list[int]:
        """The processes of spoold in one role."""
        assert self.process is not None
        daemon = self.process.pid
        if role == "daemon":
            return [daemon]
        below = [(pid, words(pid)) for pid in children(daemon)]
        if role in ("python", "asyncio"):
            kind = _WORKER + role.encode()
            return [p for p, line in below if kind in line]
        runners = [p for p, line in below if _WORKER + b"command" in line]
        if role == "runner":
            return runners
        # Those without a runner are the daemon's own.
        adopted = [p for p, line in below if line and _WORKER not in line]
        of_runners = [
            (pid, words(pid)) for runner in runners
            for pid in children(runner)
        ]
        # One that is dead and not reaped has no words.
        return adopted + [
            p for p, line in of_runners if line and _WORKER not in line
        ]

    def kill(self, pid: int, parents: list[int]) -> bool:
        """SIGKILL to a process that is still a child of one of *parents*."""
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return False
        try:
            if not any(pid in children(parent) for parent in parents):
                return False
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return True
        except OSError:
            return False
        finally:
            os.close(pidfd)

    def left(self) -> dict[int, str]:
        """Every process that is ours, by its environment."""
        marks = self._mark.encode(), os.fsencode(f"{self.spool.path}/")
        found = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/environ", "rb") as stream:
                    environ = stream.read()
            except OSError:
                continue
            if any(mark in environ for mark in marks):
                found[int(entry)] = words(int(entry)).replace(
                    b"\0", b" "
                ).decode(errors="replace")
        return found

    def end_left(self) -> list[str]:
        """Wait for our processes to end, and end those that do not."""
        try:
            wait_until(lambda: not self.left(), 5)
        except AssertionError:
            left = self.left()
            for pid in left:
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
            return [f"LEFT BEHIND {pid} {line}" for pid, line in left.items()]
        return []

    def at_rest(self) -> Rest:
        """What the processes hold, once nothing runs."""
        wanted = kinds.WORKERS
        wait_until(
            lambda: len(self._up("python", ".out")) == wanted
            and len(self._up("asyncio", "[eventpoll]")) == 1
            and len(self._up("runner", "[eventpoll]")) == 1
            and not self.pids("command"), REST_S,
            lambda: f"only workers, all of them: {self.left()}",
        )
        (daemon,) = self.pids("daemon")
        return Rest({
            role: [self._held(pid) for pid in self.pids(role)]
            for role in ("daemon", "runner", "python", "asyncio")
        }, peak_rss(daemon))

    def _up(self, role: str, last: str) -> list[int]:
        """Those that have opened what they open last."""
        return [
            pid for pid in self.pids(role)
            if any(link.endswith(last) for link in descriptors(pid))
        ]

    def _held(self, pid: int) -> Held:
        """
        What a process has open, as often as at every look.

        A look may meet a scan, or an answer to somebody's question.
        """
        looks = []
        for _ in range(10):
            looks.append(collections.Counter(
                map(self._kind, descriptors(pid))
            ))
            time.sleep(0.05)
        return functools.reduce(lambda one, two: one & two, looks)

    def _kind(self, link: str) -> str:
        """What it is, without what differs from one process to the next."""
        if not link.startswith(str(self.spool.path)):
            is_list = link.endswith("/children")
            return CHILDREN if is_list else link.partition(":")[0]
        if _IDLE.search(link):
            return IDLE
        return _NUMBERS.sub("#", link[len(str(self.spool.path)):])
