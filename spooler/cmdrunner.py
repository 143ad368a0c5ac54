# SPDX-License-Identifier: MIT
"""
Run commands, many at once, from one worker process.

A running command costs a process of its own and a few descriptors here, no
Python process.  Each has its own session, a fresh work directory, a clean
environment, and its output goes to files by descriptor.
"""

import collections
import dataclasses
import errno
import os
import signal
import time
from typing import Any

from spooler import command, fsops, leftover, settle, units
from spooler.capture import Capture, Captures
from spooler.cgroup import Group
from spooler.programs import Programs, kill_group
from spooler.settle import Outcome
from spooler.spool import PRIVATE
from spooler.states import State
from spooler.text import inert
from spooler.workdirs import WorkDirs
from spooler.worker import Link, Task

_KILL_AFTER_KILL_S = 0.5  #: from TERM to KILL when a person says kill
_OUTPUT_CHECK_S = 1.0
#: Jobs that wait for a command which takes longer are sent back.
_STUCK_S = 0.02


@dataclasses.dataclass(eq=False)
class Turns:
    """Jobs of one handler that wait for the one before them."""

    number: int
    handler: str
    hints: collections.deque[str]


@dataclasses.dataclass(eq=False)
class Running:
    """A command that has been started."""

    task: Task
    turns: Turns | None
    pid: int
    capture: Capture
    work: str
    deadline: float | None
    group: Group | None
    kill_at: float | None = None
    #: Moment of its start.
    since: float = dataclasses.field(default_factory=time.monotonic)
    ended_by: str | None = None  #: timeout, killed or abort
    alone: bool = False  #: nothing that it started is left


class Runner:
    """Starts commands, watches their time, settles them when they end."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._running: dict[int, Running] = {}
        self._work = WorkDirs(link.spool.private_fd, link.owner)
        self._captures = Captures(link.spool.fds[State.ACTIVE], link.owner)
        self._nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._programs = Programs()
        self._turns: dict[int, Turns] = {}
        self._stopping = False
        self._unfiled: list[tuple[Running, Outcome]] = []
        self._next_output_check = 0.0

    def __len__(self) -> int:
        return len(self._running) + len(self._unfiled)

    def take_up(self, hints: list[str], handler: str, number: int) -> None:
        """Claim and start jobs, each when the one before it has ended."""
        turns = self._turns.get(number)
        if turns is not None:
            turns.hints.extend(hints)
            return
        turns = Turns(number, handler, collections.deque(hints))
        self._turns[number] = turns
        self._next(turns)

    def _next(self, turns: Turns) -> None:
        while turns.hints:
            hint = turns.hints.popleft()
            task = self._link.take(hint, turns.handler)
            if task is not None:
                if self._start(task, turns):
                    return
                break
        del self._turns[turns.number]
        self._send_back(turns)

    def _send_back(self, turns: Turns) -> None:
        """Let others have what waits for its turn; none of it was claimed."""
        if turns.hints:
            self._link.report("unstarted", list(turns.hints))
            turns.hints.clear()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True
        for turns in self._turns.values():
            self._send_back(turns)

    def _start(self, task: Task, turns: Turns) -> bool:
        """Start the command of a claimed job; False if it did not start."""
        work, capture, stdin_fd, group = "", None, self._nothing, None
        try:
            work = self._work.take()
            capture = self._capture(task)
            if not task.job.is_bare:
                stdin_fd = task.job.stdin_fd()
            group = self._group(task, work)
            pid = self._spawn(task, work, stdin_fd, capture.fds, group)
        except (OSError, ValueError) as error:
            if work:
                self._work.put_back(work)
            if group is not None:
                group.end()
            if capture is not None:
                capture.drop()
            self._cannot_start(task, error)
            return False
        finally:
            if stdin_fd != self._nothing:
                os.close(stdin_fd)
        limit = task.timeout_s
        deadline = None if limit is None else time.monotonic() + limit
        self._running[pid] = Running(
            task, turns, pid, capture, work, deadline, group
        )
        self._link.report(
            "started", task.hint, task.active, pid, work, task.started_ns,
            task.clock_ns, deadline,
        )
        self._link.flush()  # known to the daemon should we be killed
        return True

    def _capture(self, task: Task) -> Capture:
        limit = task.handler.output_limit
        try:
            return self._captures.begin(task.name.stem, limit)
        except FileExistsError:
            # Of one that runs and has the same id, or of a run cut short.
            self._link.set_apart(task)
            return self._captures.anew(task.name.stem, limit)

    def _cannot_start(self, task: Task, error: OSError | ValueError) -> None:
        if isinstance(error, ValueError) or error.errno == errno.E2BIG:
            # A NUL byte, text that is no text, too much of it: exec cannot
            # pass it on, and no other run could.
            micros = (time.monotonic_ns() - task.clock_ns) // 1000
            self._link.settle(task, Outcome(
                settle.FAIL, "bad", task.started_ns, micros,
                text=f"no command can be given this: {error}",
                tags=task.tags,
            ))
            return
        if fsops.is_temporary(error):
            # No memory, no descriptors: our trouble, not the job's.
            task.job.close()
            self._link.give_back(task.hint, task.active)
            self._link.report_trouble("trouble", task.hint, error)
            return
        micros = (time.monotonic_ns() - task.clock_ns) // 1000
        program = inert(task.handler.command[0])
        self._link.settle(task, Outcome(
            settle.RETRY, "start", task.started_ns, micros,
            text=f"cannot start {program}: {error.strerror}",
            tags=task.tags,
        ))

    def _group(self, task: Task, work: str) -> Group | None:
        """The control group of a run that has a limit, if we may."""
        memory = task.handler.memory
        if memory is None or self._link.groups is None:
            return None
        group = Group(self._link.groups, work)
        return group if group.make(memory) else None

    def _spawn(
        self, task: Task, work: str, stdin_fd: int, output_fds: list[int],
        group: Group | None,
    ) -> int:
        spool = self._link.spool
        file = os.path.join(spool.path, State.ACTIVE.value, task.active)
        work_path = os.path.join(spool.path, PRIVATE, "work", work)
        argv = command.limited(
            command.argv(task, file), task.handler.memory,
            None if group is None else group.path,
        )
        environ = command.environ(task, file, work_path)
        self._work.enter(work)
        return self._programs.start(
            argv, environ, (stdin_fd, *output_fds)
        )

    def adopt(self, told: dict[str, Any]) -> None:
        """Settle a command that outlived the runner that started it."""
        task = self._link.resume(
            told["hint"], told["active"], told["handler"],
            told["started_ns"], told["clock_ns"],
        )
        if task is None:
            return
        self._ended(
            Running(
                task, None, told["pid"], self._captures.again(
                    task.name.stem, task.handler.output_limit
                ),
                told["work"], None, self._group_left(told["work"]),
                ended_by=told["ended_by"],
            ),
            told["code"], {},
        )

    def _group_left(self, work: str) -> Group | None:
        if self._link.groups is None:
            return None
        group = Group(self._link.groups, work)
        return group if group.exists() else None

    def reap(self) -> None:
        """Settle every command that has ended; bury their strays too."""
        while True:
            try:
                # Not yet reaped: while the leader is a zombie its process
                # group's number cannot be anybody else's.
                info = os.waitid(
                    os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT
                )
            except ChildProcessError:
                return
            if info is None:
                return
            kill_group(info.si_pid, signal.SIGKILL)
            pid, status, usage = os.wait4(info.si_pid, 0)
            running = self._running.pop(pid, None)
            if running is not None:
                self._ended(running, os.waitstatus_to_exitcode(status), {
                    "utime": round(usage.ru_utime, 6),
                    "stime": round(usage.ru_stime, 6),
                    "maxrss": usage.ru_maxrss * 1024,
                })

    def _ended(
        self, running: Running, code: int, rusage: dict[str, float]
    ) -> None:
        task = running.task
        ran_out = running.group is not None and running.group.end()
        micros = (time.monotonic_ns() - task.clock_ns) // 1000
        if running.ended_by == "abort":
            running.capture.drop()
            task.job.close()
            self._link.give_back(task.hint, task.active)
            self._work.clean(running.work, alone=False)
            self._go_on(running, False)
            return
        running.alone = leftover.end_strays(task.name.id, self._running)
        out = running.capture.close(running.alone)
        last = running.capture.last_error(out[1])
        effect, kind, status, text = command.verdict(
            code, running.ended_by, task.timeout_s, last
        )
        if ran_out and effect == settle.RETRY:
            limit = units.format_size(task.handler.memory or 0)
            text = f"out of memory: it may have {limit}"
        self._unfiled.append((running, Outcome(
            effect, kind, task.started_ns, micros, status=status, text=text,
            out_bytes=out[0], err_bytes=out[1], rusage=rusage or None,
            tags=task.tags,
        )))
        self.file()

    def file(self) -> bool:
        """File what ended; False if the disk does not give its value."""
        while self._unfiled:
            running, outcome = self._unfiled[0]
            try:
                value = self._work.result(running.work)
            except OSError as error:
                self._link.report_trouble("owing", error)
                return False
            self._unfiled.pop(0)
            if value is not None:
                outcome = dataclasses.replace(outcome, value=value)
            self._file(running, outcome)
        return True

    def _file(self, running: Running, outcome: Outcome) -> None:
        task = running.task
        if outcome.effect == settle.DONE and outcome.value is None and not (
            outcome.out_bytes or outcome.err_bytes or outcome.tags
        ) and self._link.settle_plain(
            task.hint, task.active, task.handler, outcome.micros
        ):
            task.job.close()
        else:
            self._link.settle(task, outcome)
        self._work.clean(running.work, running.alone)
        self._go_on(running, outcome.effect == settle.DONE)

    def _go_on(self, running: Running, well: bool) -> None:
        """Let the next have its turn, unless all is not well."""
        turns = running.turns
        if turns is None:
            return
        if not well or self._link.owed or self._unfiled or self._stopping:
            # The daemon knows better what comes next, and when.
            self._send_back(turns)
        self._next(turns)

    def tick(self, now: float) -> float | None:
        """Act on what is due; seconds until the next, None if nothing is."""
        soonest = None
        for running in self._running.values():
            at = running.deadline
            if running.kill_at is not None:
                at = running.kill_at
                if now >= at:
                    kill_group(running.pid, signal.SIGKILL)
                    running.kill_at = at = now + 1.0
            elif at is not None and now >= at:
                self.end(running, "timeout", running.task.handler.kill_after_s)
                at = running.kill_at
            if running.turns is not None and running.turns.hints:
                stuck_at = running.since + _STUCK_S
                if now >= stuck_at:
                    self._send_back(running.turns)
                else:
                    at = min(at or stuck_at, stuck_at)
            if at is not None and (soonest is None or at < soonest):
                soonest = at
        if self._running and now >= self._next_output_check:
            self._next_output_check = now + _OUTPUT_CHECK_S
            for running in self._running.values():
                running.capture.cap()
        if not self._running:
            return None
        if soonest is None:
            return _OUTPUT_CHECK_S
        return max(0.0, min(soonest - now, _OUTPUT_CHECK_S))

    def end(self, running: Running, why: str, grace_s: float) -> None:
        """Ask the whole process group to end, and see to it after grace."""
        running.ended_by = why
        running.kill_at = time.monotonic() + grace_s
        kill_group(running.pid, signal.SIGTERM)

    def kill(self, hint: str) -> None:
        """End one job because a person said so."""
        for running in self._running.values():
            if running.task.hint == hint:
                self.end(running, "killed", _KILL_AFTER_KILL_S)

    def abort(self) -> None:
        """End every job and give it back: the daemon stops."""
        for running in self._running.values():
            if running.ended_by is None:
                self.end(running, "abort", _KILL_AFTER_KILL_S)

    def close(self, orphaned: bool) -> None:
        """Leave; *orphaned*: the daemon died, its jobs will be recovered."""
        if orphaned:
            for pid in self._running:
                kill_group(pid, signal.SIGKILL)
            for pid in self._running:
                os.waitpid(pid, 0)
        self._work.close()
        self._captures.close()
