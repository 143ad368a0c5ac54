# SPDX-License-Identifier: MIT
"""Run Python handlers, one job at a time, in a worker process."""

import contextlib
import errno
import functools
import gc
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from signal import ITIMER_REAL, setitimer
from time import monotonic_ns, time_ns
from typing import Any

from spooler import fsops, runs
from spooler.board import Board
from spooler.config import Handler
from spooler.context import JobContext
from spooler.document import Document
from spooler.handlers import Loaded
from spooler.jobload import Job, read_small
from spooler.jobread import read_call
from spooler.jobwrite import HEADER_MAX_BYTES
from spooler.names import DOCUMENT_SUFFIX, STEM_CHARS
from spooler.outfiles import OutFiles
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


class Runner:
    """Runs one Python job after the other."""

    def __init__(self, link: Link, board: Board) -> None:
        self._link = link
        self._board = board
        self._files = OutFiles(link, self._insist)
        self._loaded: dict[str, Loaded] = {}
        self._plain: dict[str, Callable[[str], None]] = {}
        self._wear = Wear(link.config)
        self._home = os.open(".", os.O_PATH | os.O_CLOEXEC)

    def run(self, hints: list[str], handler: str) -> None:
        """Run the jobs of one batch, in order."""
        link, board = self._link, self._board
        for hint in hints:
            if board.stopping():
                break  # nothing of the rest was claimed
            board.begin(hint, monotonic_ns())
            plain = self._plain.get(handler)
            if plain is not None:
                plain(hint)
            else:
                self._take(hint, handler)
            if link.owed:
                self._pay()
            link.flush(_REPORT_EVERY_S)
        board.end()
        link.flush()

    def _take(self, hint: str, handler: str) -> None:
        task = self._link.take(hint, handler)
        if task is not None:
            self._run(task)

    def _pay(self) -> None:
        """Wait until the disk takes what is owed."""
        since = time.monotonic()
        while self._link.owed and not self._board.stopping():
            self._wait_for_disk(self._link.refusal, since)
            self._link.pay()

    def tell_if_worn(self) -> None:
        """Ask to be replaced after so many jobs, or grown so large."""
        why = self._wear.why()
        if why:
            self._link.report("worn", why)
            self._link.flush()

    def close(self) -> None:
        """Leave nothing behind."""
        self._files.close()

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
        self._wear.jobs += 1
        loaded, value, raised = None, None, None
        try:
            loaded = self._load(task)
            if task.timeout_s is not None:
                self._arm(
                    task.hint, task.handler, task.clock_ns, task.timeout_s
                )
            try:
                value = self._call(task, loaded)
                if value is not None:
                    value = checked(value)
            finally:
                # Whoever set it: it must not ring in the next run.
                setitimer(ITIMER_REAL, 0)
        except BaseException as error:  # noqa: B902 - a handler may raise all
            raised = error
        micros = (monotonic_ns() - task.clock_ns) // 1000
        self._restore()
        self._finish(task, loaded, value, raised, micros)

    def _finish(
        self, task: Task, loaded: Loaded | None, value: Any,
        raised: BaseException | None, micros: int,
    ) -> None:
        out, err = self._files.collect(task)
        runs.settle_run(
            self._link, task, loaded, value, raised, micros, out, err
        )

    def _arm(
        self, hint: str, handler: Handler, clock_ns: int, limit: float
    ) -> None:
        """Have the run that begins raise after *limit* seconds."""
        hard = limit + handler.kill_after_s
        self._board.begin(hint, clock_ns, int(hard * 1e9))
        # An earlier handler may have changed either.
        signal.signal(signal.SIGALRM, _on_alarm)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALARM)
        setitimer(ITIMER_REAL, limit)

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
            if self._is_plain(task.handler, loaded):
                self._plain[name] = self._plain_way(task.handler, loaded)
        return loaded

    def _is_plain(self, handler: Handler, loaded: Loaded) -> bool:
        """Whether its jobs may go the plain way."""
        return (
            not loaded.wants_job and handler.memory is None
            and handler.expires_s is None
            and self._link.config.max_size >= HEADER_MAX_BYTES
        )

    def _plain_way(
        self, handler: Handler, loaded: Loaded
    ) -> Callable[[str], None]:
        """
        Make the way of the jobs that are most: a call and nothing else, of a
        function that is given its arguments and returns nothing.

        Thousands a second go it, so it makes nothing that they do not need;
        what turns out to be more goes on the general way.
        """
        link, wear = self._link, self._wear
        claim, settle_plain = link.claim, link.settle_plain
        active_fd, one_link = link.spool.fds[State.ACTIVE], link.one_link
        name, limit = handler.name, handler.timeout_s
        tail = f",{name}{DOCUMENT_SUFFIX}"
        function, is_empty = loaded.function, self._files.is_empty
        restore = self._restore

        def run(hint: str) -> None:
            if hint[STEM_CHARS:] != tail:
                return self._take(hint, name)
            active = claim(hint)
            if active is None:
                return
            clock_ns, started_ns = monotonic_ns(), time_ns()
            data = read_small(active_fd, active, one_link)
            read = None if data is None else read_call(data)
            if read is None or read[0] != name:
                task = link.judge(
                    hint, active, name, clock_ns, started_ns, data
                )
                if task is not None:
                    self._run(task)
                return
            wear.jobs += 1
            value, raised = None, None
            try:
                if limit is not None:
                    self._arm(hint, handler, clock_ns, limit)
                try:
                    value = function(*read[1], **read[2])
                    if value is not None:
                        value = checked(value)
                finally:
                    setitimer(ITIMER_REAL, 0)
            except BaseException as error:  # noqa: B902 - it may raise all
                raised = error
            micros = (monotonic_ns() - clock_ns) // 1000
            restore()
            if value is None and raised is None and is_empty():
                if settle_plain(hint, active, handler, micros):
                    return
            document = Document()
            document.handler, document.args, document.kwargs = read
            job = Job(document, 0, b"", None)
            task = Task(hint, active, handler, job, started_ns, clock_ns)
            self._finish(task, loaded, value, raised, micros)

        return run

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
