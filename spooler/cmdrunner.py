# SPDX-License-Identifier: MIT
"""
Run commands, many at once, from one worker process.

A running command costs a process of its own and a few descriptors here, no
Python process.  Each has its own session, a fresh work directory, a clean
environment, and its output goes to files by descriptor.
"""

import dataclasses
import json
import os
import selectors
import signal
import time
from typing import Any

from spooler import fsops, settle
from spooler.settle import Outcome
from spooler.spool import PRIVATE
from spooler.states import State
from spooler.text import inert, inert_bytes
from spooler.worker import Link, Task

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EXIT_DEFER = (75, 111)
_EXIT_FAIL = (65, 100)
_VALUE_MAX_BYTES = 1 << 20
_LAST_LINE_BYTES = 4096
_KILL_AFTER_KILL_S = 0.5  #: from TERM to KILL when a person says kill
_OUTPUT_CHECK_S = 1.0
_RESET_SIGNALS = (signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ)


@dataclasses.dataclass
class Running:
    """A command that has been started."""

    task: Task
    pid: int
    out_fd: int
    err_fd: int
    work: str
    deadline: float | None
    kill_at: float | None = None
    ended_by: str | None = None  #: timeout, killed or abort


class Runner:
    """Starts commands, watches their time, settles them when they end."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._running: dict[int, Running] = {}
        self._work_fd = fsops.open_dir("work", link.spool.private_fd)
        self._free: list[str] = []
        self._made = 0
        self._next_output_check = 0.0

    def __len__(self) -> int:
        return len(self._running)

    def start(self, hint: str, handler: str) -> None:
        """Claim a job and start its command."""
        task = self._link.take(hint, handler)
        if task is None:
            return
        work = self._work_dir()
        fds: list[int] = []
        try:
            for kind in ("out", "err"):
                fds.append(self._capture(f"{task.name.stem}.{kind}"))
            fds.append(task.job.stdin_fd())
            pid = self._spawn(task, work, fds[2], fds[0], fds[1])
        except OSError as error:
            for fd in fds:
                os.close(fd)
            self._free.append(work)
            for kind in ("out", "err"):
                fsops.unlink(
                    self._link.spool.fds[State.ACTIVE],
                    f"{task.name.stem}.{kind}",
                )
            self._cannot_start(task, error)
            return
        os.close(fds[2])
        limit = task.timeout_s
        self._running[pid] = Running(
            task, pid, fds[0], fds[1], work,
            None if limit is None else time.monotonic() + limit,
        )
        self._link.report("started", hint, task.active, pid)

    def _capture(self, name: str) -> int:
        return os.open(
            name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND
            | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640,
            dir_fd=self._link.spool.fds[State.ACTIVE],
        )

    def _cannot_start(self, task: Task, error: OSError) -> None:
        if fsops.is_temporary(error):
            # No memory, no descriptors: our trouble, not the job's.
            task.job.close()
            self._link.spool.give_back(task.active)
            self._link.report("trouble", task.hint, fsops.why(error))
            return
        micros = (time.monotonic_ns() - task.clock_ns) // 1000
        command = inert(task.handler.command[0])
        self._link.settle(task, Outcome(
            settle.RETRY, "start", task.started_ns, micros,
            text=f"cannot start {command}: {error.strerror}",
            tags=task.tags,
        ))

    def _work_dir(self) -> str:
        """An empty directory of its own for one run."""
        if self._free:
            return self._free.pop()
        self._made += 1
        name = f"{self._link.owner}-{self._made}"
        os.mkdir(name, 0o700, dir_fd=self._work_fd)
        return name

    def _spawn(
        self, task: Task, work: str, in_fd: int, out_fd: int, err_fd: int
    ) -> int:
        spool = self._link.spool
        file = os.path.join(spool.path, State.ACTIVE.value, task.active)
        work_path = os.path.join(spool.path, PRIVATE, "work", work)
        argv = self._argv(task, file)
        environ = self._environ(task, file, work_path)
        # posix_spawn cannot set a directory; this process is single
        # threaded, so its own serves.
        work_fd = fsops.open_dir(work, self._work_fd)
        try:
            os.fchdir(work_fd)
        finally:
            os.close(work_fd)
        return os.posix_spawnp(
            argv[0], argv, environ, setsid=True, setsigdef=_RESET_SIGNALS,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, in_fd, 0),
                (os.POSIX_SPAWN_DUP2, out_fd, 1),
                (os.POSIX_SPAWN_DUP2, err_fd, 2),
            ],
        )

    def _argv(self, task: Task, file: str) -> list[str]:
        words = {
            "{file}": file, "{id}": task.name.id,
            "{name}": task.name.dropped_name or task.name.id,
        }
        argv = []
        for word in task.handler.command:
            if "{" in word:
                word = _replaced(word, words)
            argv.append(word)
        document = task.job.document
        if document is not None:
            argv += [
                arg if isinstance(arg, str) else json.dumps(arg)
                for arg in document.args
            ]
        return argv

    def _environ(self, task: Task, file: str, work: str) -> dict[str, str]:
        name = task.name
        environ = {
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "HOME": work,
            **dict(task.handler.env),
            "SPOOL_JOB_ID": name.id,
            "SPOOL_JOB_NAME": name.dropped_name or "",
            "SPOOL_HANDLER": task.handler.name,
            "SPOOL_ATTEMPT": str(name.runs),
            "SPOOL_MAX_ATTEMPTS": str(task.max_attempts),
            "SPOOL_JOB_FILE": file,
            "SPOOL_RESULT": os.path.join(work, "result"),
            "SPOOL_PRIORITY": str(name.priority),
        }
        document = task.job.document
        if document is not None:
            if document.traceparent:
                environ["TRACEPARENT"] = document.traceparent
            for field, value in document.extra.items():
                key = "SPOOL_" + field.upper().replace("-", "_")
                environ[key] = value
        return environ

    def reap(self) -> None:
        """Settle every command that has ended."""
        while self._running:
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
            _kill_group(info.si_pid, signal.SIGKILL)
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
        micros = (time.monotonic_ns() - task.clock_ns) // 1000
        if running.ended_by == "abort":
            self._discard_output(running)
            task.job.close()
            self._link.spool.give_back(task.active)
            self._link.report("back", task.hint)
            self._clean(running.work)
            return
        out, last = self._close_output(running)
        effect, kind, status, text = _verdict(
            code, running.ended_by, task.timeout_s, last
        )
        value = self._result(running.work)
        for suffix, size in zip(("out", "err"), out):
            if not size:
                fsops.unlink(
                    self._link.spool.fds[State.ACTIVE],
                    f"{task.name.stem}.{suffix}",
                )
        self._link.settle(task, Outcome(
            effect, kind, task.started_ns, micros, status=status, text=text,
            value=value, out_bytes=out[0], err_bytes=out[1], rusage=rusage,
            tags=task.tags,
        ))
        self._clean(running.work)

    def _close_output(self, running: Running) -> tuple[tuple[int, int], str]:
        """Sizes of the captured output, and the last line of errors."""
        limit, sizes, last = running.task.handler.output_limit, [], ""
        for kind, fd in (("out", running.out_fd), ("err", running.err_fd)):
            size = os.fstat(fd).st_size
            if size > limit:
                os.ftruncate(fd, limit)
                size = limit
            os.close(fd)
            sizes.append(size)
            if kind == "err" and size:
                last = self._last_line(f"{running.task.name.stem}.err", size)
        return (sizes[0], sizes[1]), last

    def _last_line(self, name: str, size: int) -> str:
        fd = os.open(
            name, fsops.NOFOLLOW_READ,
            dir_fd=self._link.spool.fds[State.ACTIVE],
        )
        try:
            data = os.pread(
                fd, _LAST_LINE_BYTES, max(0, size - _LAST_LINE_BYTES)
            )
        finally:
            os.close(fd)
        lines = data.strip().splitlines()
        return inert_bytes(lines[-1], 300) if lines else ""

    def _discard_output(self, running: Running) -> None:
        for kind, fd in (("out", running.out_fd), ("err", running.err_fd)):
            os.close(fd)
            fsops.unlink(
                self._link.spool.fds[State.ACTIVE],
                f"{running.task.name.stem}.{kind}",
            )

    def _result(self, work: str) -> Any:
        """What the command left in the file named by SPOOL_RESULT."""
        fd = fsops.open_dir(work, self._work_fd)
        try:
            data = fsops.read_file(fd, "result", _VALUE_MAX_BYTES + 1)
        except OSError:
            return None
        finally:
            os.close(fd)
        if not data or len(data) > _VALUE_MAX_BYTES:
            return None
        try:
            value = json.loads(data)
            json.dumps(value, allow_nan=False)
            return value
        except (ValueError, RecursionError):
            return data.decode("utf-8", "backslashreplace").rstrip("\n")

    def _clean(self, work: str) -> None:
        """Make the work directory empty again for the next run."""
        try:
            fsops.remove_dir(self._work_fd, work)
            os.mkdir(work, 0o700, dir_fd=self._work_fd)
        except OSError:
            try:
                fsops.remove_tree(self._work_fd, work)
            except OSError:
                return  # not ours to remove; a later start tries again
            self._made += 1
            work = f"{self._link.owner}-{self._made}"
            os.mkdir(work, 0o700, dir_fd=self._work_fd)
        self._free.append(work)

    def tick(self, now: float) -> float | None:
        """Act on what is due; seconds until the next, None if nothing is."""
        soonest = None
        for running in self._running.values():
            at = running.deadline
            if running.kill_at is not None:
                at = running.kill_at
                if now >= at:
                    _kill_group(running.pid, signal.SIGKILL)
                    running.kill_at = at = now + 1.0
            elif at is not None and now >= at:
                self.end(running, "timeout", running.task.handler.kill_after_s)
                at = running.kill_at
            if at is not None and (soonest is None or at < soonest):
                soonest = at
        if self._running and now >= self._next_output_check:
            self._next_output_check = now + _OUTPUT_CHECK_S
            self._cap_output()
        if not self._running:
            return None
        if soonest is None:
            return _OUTPUT_CHECK_S
        return max(0.0, min(soonest - now, _OUTPUT_CHECK_S))

    def _cap_output(self) -> None:
        for running in self._running.values():
            limit = running.task.handler.output_limit
            for fd in (running.out_fd, running.err_fd):
                if os.fstat(fd).st_size > limit:
                    os.ftruncate(fd, limit)

    def end(self, running: Running, why: str, grace_s: float) -> None:
        """Ask the whole process group to end, and see to it after grace."""
        running.ended_by = why
        running.kill_at = time.monotonic() + grace_s
        _kill_group(running.pid, signal.SIGTERM)

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
                _kill_group(pid, signal.SIGKILL)
            for pid in self._running:
                os.waitpid(pid, 0)
        for work in self._free:
            fsops.remove_dir(self._work_fd, work)


def _kill_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


def _replaced(word: str, words: dict[str, str]) -> str:
    """Replace each {word} once; what is put in is not looked at again."""
    out, rest = "", word
    while rest:
        at = rest.find("{")
        if at < 0:
            break
        out, rest = out + rest[:at], rest[at:]
        for key, value in words.items():
            if rest.startswith(key):
                out, rest = out + value, rest[len(key):]
                break
        else:
            out, rest = out + "{", rest[1:]
    return out + rest


def _verdict(
    code: int, ended_by: str | None, limit: float | None, last: str
) -> tuple[str, str, int | None, str]:
    """Effect, kind, status and text for an exit code as subprocess has it."""
    if ended_by == "killed":
        return settle.FAIL, "killed", None, "killed by an operator"
    if ended_by == "timeout":
        text = f"timed out after {limit:g}s" if limit else "timed out"
        return settle.RETRY, "timeout", None, text
    if code < 0:
        text = signal.Signals(-code).name if -code in _SIGNALS else ""
        return settle.RETRY, "signal", -code, text
    if code == 0:
        return settle.DONE, "ok", None, ""
    if code in _EXIT_DEFER:
        return settle.DEFER, "exit", code, last
    if code in _EXIT_FAIL:
        return settle.FAIL, "exit", code, last
    return settle.RETRY, "exit", code, last


_SIGNALS = frozenset(map(int, signal.Signals))


def run(link: Link, messages: list[dict[str, Any]]) -> None:
    """Serve the daemon until it says stop or is gone."""
    wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    selector = selectors.DefaultSelector()
    selector.register(link.socket, selectors.EVENT_READ)
    selector.register(wake_r, selectors.EVENT_READ)
    runner = Runner(link)
    link.report("ready")
    stopping = False
    while True:
        for message in messages:
            if "jobs" in message:
                for hint in message["jobs"]:
                    runner.start(hint, message["handler"])
                    runner.reap()
            elif "kill" in message:
                runner.kill(message["kill"])
            elif "stop" in message:
                stopping = True
            elif "abort" in message:
                stopping = True
                runner.abort()
        messages = []
        wait = runner.tick(time.monotonic())
        link.flush()
        if stopping and not len(runner):
            break
        for key, _ in selector.select(wait):
            if key.fd == wake_r:
                os.read(wake_r, 4096)
                continue
            received = link.receive()
            if received is None:
                runner.close(orphaned=True)
                return
            messages += received
        runner.reap()
    runner.close(orphaned=False)
