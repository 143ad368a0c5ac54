# SPDX-License-Identifier: MIT
"""Run Python handlers, one job at a time, in a worker process."""

import contextlib
import errno
import functools
import gc
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from spooler import fsops, runs
from spooler.board import Board
from spooler.context import JobContext
from spooler.handlers import Loaded
from spooler.raised import JobTimeout, checked
from spooler.states import State
from spooler.wear import Wear
from spooler.worker import PAY_EVERY_S, UMASK, Link, Task

_REPORT_EVERY_S = 0.005
_ALARM = (signal.SIGALRM,)
#: Errors that speak of this process, not of the disk, and how long they may
#: last.
_OWN_TROUBLE = frozenset((
    errno.EMFILE, errno.ENOMEM, errno.EBADF, errno.EACCES, errno.EPERM,
))
_OWN_TROUBLE_S = 1.0


class Capture:
    """Standard output and error of the handlers, in files of this worker."""

    def __init__(
        self, link: Link, insist: Callable[[Callable[[], int]], int]
    ) -> None:
        self._insist = insist
        self._link = link
        self._fd = link.spool.fds[State.ACTIVE]
        self._owner = link.owner
        for target, kind in ((1, "out"), (2, "err")):
            self._open(target, kind)
        assert isinstance(sys.stdout, io.TextIOWrapper)
        sys.stdout.reconfigure(line_buffering=True)  # for who follows it

    def _open(self, target: int, kind: str) -> None:
        name = f"{self._owner}.{kind}"
        fsops.unlink(self._fd, name)
        fd = os.open(
            name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND,
            0o640, dir_fd=self._fd,
        )
        os.dup2(fd, target)
        os.close(fd)

    def collect(self, task: Task) -> tuple[int, int]:
        """
        Give what was written since the last call to the job.

        Returns:
            Bytes of standard output and of standard error.
        """
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            # What fstat would tell, in a third of the time.
            end = os.SEEK_END
            if not os.lseek(1, 0, end) and not os.lseek(2, 0, end):
                return 0, 0
        except Exception:
            pass  # the disk is full, or a handler took a stream: see below
        sizes = []
        for target, name in ((1, "stdout"), (2, "stderr")):
            try:
                getattr(sys, name).flush()
            except OSError:
                pass  # the disk is full
            except Exception:  # closed, or replaced by anything
                _reopen(name, target)
        if not os.fstat(1).st_size and not os.fstat(2).st_size:
            return 0, 0
        self._insist(functools.partial(self._own, task))
        for target, kind in ((1, "out"), (2, "err")):
            take = functools.partial(self._take, task, target, kind)
            sizes.append(self._insist(take))
        return sizes[0], sizes[1]

    def _own(self, task: Task) -> int:
        self._link.set_apart(task)
        return 0

    def _take(self, task: Task, target: int, kind: str) -> int:
        """One of the two; done again it goes on where it stopped."""
        size = os.fstat(target).st_size
        if size:
            limit = task.handler.output_limit
            if size > limit:
                os.ftruncate(target, limit)
                size = limit
            fsops.rename(
                self._fd, f"{self._owner}.{kind}",
                self._fd, f"{task.name.stem}.{kind}",
            )
            self._open(target, kind)
        return size

    def close(self) -> None:
        """Remove the files; they are empty between jobs."""
        for kind in ("out", "err"):
            fsops.unlink(self._fd, f"{self._owner}.{kind}")


class Runner:
    """Runs one Python job after the other."""

    def __init__(self, link: Link, board: Board) -> None:
        self._link = link
        self._board = board
        self._capture = Capture(link, self._insist)
        self._loaded: dict[str, Loaded] = {}
        self._wear = Wear(link.config)
        self._home = os.open(".", os.O_PATH | os.O_CLOEXEC)

    def run(self, hints: list[str], handler: str) -> None:
        """Run the jobs of one batch, in order."""
        link, board = self._link, self._board
        for hint in hints:
            if board.stopping():
                break  # nothing of the rest was claimed
            board.begin(hint, time.monotonic_ns())
            task = link.take(hint, handler)
            if task is not None:
                self._wear.jobs += 1
                self._run(task)
            since = time.monotonic()
            while link.owed and not board.stopping():
                self._wait_for_disk(link.refusal, since)
                link.pay()
            link.flush(_REPORT_EVERY_S)
        board.end()
        link.flush()

    def tell_if_worn(self) -> None:
        """Ask to be replaced after so many jobs, or grown so large."""
        why = self._wear.why()
        if why:
            self._link.report("worn", why)
            self._link.flush()

    def close(self) -> None:
        """Leave nothing behind."""
        self._capture.close()

    def _insist(self, work: Callable[[], int]) -> int:
        """Do *work* until the disk takes it: the run was not in vain."""
        since = time.monotonic()
        while True:
            try:
                return work()
            except OSError as error:
                if not fsops.is_temporary(error) or self._board.stopping():
                    raise
                self._link.report_trouble("owing", error)
                self._wait_for_disk(error, since)

    def _wait_for_disk(self, error: OSError | None, since: float) -> None:
        """
        Wait a little: a disk that heals rings no bell.

        Raises:
            OSError: the trouble is this process's own and does not pass: a
                handler used up or closed its descriptors, or became another
                user.  The daemon files the job then.
        """
        self._link.flush()
        if error is not None and error.errno in _OWN_TROUBLE:
            if time.monotonic() > since + _OWN_TROUBLE_S:
                raise error
        time.sleep(PAY_EVERY_S)

    def _run(self, task: Task) -> None:
        """Run one job and settle it."""
        limit = task.timeout_s
        loaded, value, raised = None, None, None
        try:
            loaded = self._load(task)
            if limit is not None:
                hard = limit + task.handler.kill_after_s
                self._board.begin(task.hint, task.clock_ns, int(hard * 1e9))
                # An earlier handler may have changed either.
                signal.signal(signal.SIGALRM, _on_alarm)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALARM)
                signal.setitimer(signal.ITIMER_REAL, limit)
            try:
                value = self._call(task, loaded)
                if value is not None:
                    value = checked(value)
            finally:
                # Whoever set it: it must not ring in the next run.
                signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as error:  # noqa: B902 - a handler may raise all
            raised = error
        micros = (time.monotonic_ns() - task.clock_ns) // 1000
        self._restore()
        out, err = self._capture.collect(task)
        runs.settle_run(
            self._link, task, loaded, value, raised, micros, out, err
        )

    def _restore(self) -> None:
        """Undo what the next run would suffer from."""
        os.umask(UMASK)
        try:
            os.fchdir(self._home)
        except OSError:
            pass  # a handler closed it

    def _call(self, task: Task, loaded: Loaded) -> Any:
        if task.handler.memory is None:
            return loaded.call(task.job, self._context(task))
        with _memory(task.handler.memory):
            return loaded.call(task.job, self._context(task))

    def _load(self, task: Task) -> Loaded:
        name = task.handler.name
        loaded = self._loaded.get(name)
        if loaded is None:
            loaded = self._loaded[name] = Loaded(task.handler)
        return loaded

    def _context(self, task: Task) -> Callable[[], JobContext]:
        return functools.partial(
            runs.context, self._link, task, self._board.tell
        )


@contextlib.contextmanager
def _memory(limit: int) -> Iterator[None]:
    """Let the process have no more than *limit* bytes of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    lowered = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (lowered, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _reopen(name: str, fd: int) -> None:
    """Give Python a stream again that a handler took away."""
    stream = open(
        fd, "w", 1, encoding="utf-8", errors="backslashreplace",
        closefd=False,
    )
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def _on_alarm(_signal: int, _frame: object) -> None:
    raise JobTimeout


def run(
    link: Link, board_fd: int, messages: list[dict[str, Any]] | None
) -> None:
    """Serve the daemon until it says stop or is gone."""
    board = Board(board_fd)
    os.close(board_fd)
    runner = Runner(link, board)
    link.report("ready")
    link.flush()
    # What lies there now stays: it need not be looked through again.
    gc.collect()
    gc.freeze()
    while messages is not None:
        for message in messages:
            if "stop" in message or board.stopping():
                runner.close()
                return
            runner.run(message["jobs"], message["handler"])
            runner.tell_if_worn()
        messages = link.receive()
    runner.close()
