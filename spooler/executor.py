# SPDX-License-Identifier: MIT
"""
An executor of concurrent.futures whose work is jobs in a spool.

    with SpoolExecutor("queue") as executor:
        future = executor.submit(thumbnail, "a.jpg", size=64)
        print(future.job.id, future.result())

The work outlives the program: it may end, and attach to its jobs later.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import inspect
import os
import threading
import time
import types
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from spooler import names, outbox, prepare, waiting
from spooler.ending import Ending
from spooler.handle import Job
from spooler.options import Options
from spooler.prepare import Call
from spooler.tasks import Task

if TYPE_CHECKING:
    from spooler.options import Duration

P = ParamSpec("P")
T = TypeVar("T")


class SpoolFuture(concurrent.futures.Future[T]):
    """
    A future whose result is a job's.

    Its exceptions are JobFailed and JobLost: no object travels but JSON.

    Attributes:
        job: the job; its id is what another process attaches to.
    """

    def __init__(self, job: Job[T]) -> None:
        super().__init__()
        self.job = job
        self._cancelling = False
        self._giving_up = threading.RLock()  # callbacks may cancel again

    def cancel(self) -> bool:
        """Remove the job if it still waits; False if it runs or has ended."""
        self._cancelling = True
        try:
            if not self.done() and self.job.cancel():
                self._give_up()
        finally:
            self._cancelling = False
        return self.cancelled()

    def running(self) -> bool:
        """Whether it runs just now; looks at the spool."""
        return not self.done() and self.job.status() == "active"

    def _give_up(self) -> None:
        with self._giving_up:
            if not self.cancelled() and super().cancel():
                self.set_running_or_notify_cancel()

    def tell(self, ended: Ending) -> None:
        """Take the end of the job."""
        if self._cancelling and ended.state is None and not ended.trouble:
            # RACE: we hear of the removal before cancel has returned.
            self._give_up()
            return
        # RACE: cancel was first, and the job is lost for that reason.
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            try:
                value = ended.value()
            except Exception as error:
                self.set_exception(error)
            else:
                self.set_result(value)


class SpoolExecutor(concurrent.futures.Executor):
    """Runs tasks, and functions that the spool allows, as jobs."""

    def __init__(
        self,
        spool: str | os.PathLike[str] | None = None,
        *,
        handler: str = "call",
        priority: int = names.DEFAULT_PRIORITY,
        durable: bool = True,
        timeout: Duration | None = None,
        attempts: int | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        """
        Open the spool, and begin to listen.

        Args:
            spool: path; None: as spoolctl chooses.
            handler: that calls functions that are no tasks; in the spool
                its ``python`` is ``spooler.calls:call``.
            priority, durable, timeout, attempts, tags: of all its jobs, as
                for options of a task.

        Raises:
            SpoolError, OSError: the spool cannot be read.
        """
        self._path = outbox.path_of(spool)
        self._handler = handler
        self._options = Options(
            self._path, priority, durable, timeout=timeout,
            attempts=attempts, tags=tags,
        )
        self._pending: set[SpoolFuture[Any]] = set()
        self._is_shut = False
        waiting.watcher(self._path)

    @overload
    def submit(
        self, fn: Task[P, T, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> SpoolFuture[T]: ...

    @overload
    def submit(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args,
        **kwargs: P.kwargs,
    ) -> SpoolFuture[T]: ...

    @overload
    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> SpoolFuture[T]: ...

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> SpoolFuture[Any]:
        """
        Submit a call of a task, or of a function of a module.

        Raises:
            TypeError: it does not take these arguments, one of them is not
                JSON, or it is neither task nor function of a module.
            RuntimeError: the executor was shut down.
            SpoolError, SubmitUnknown, OSError: as Client.submit.
        """
        return self._futures([self._call(fn, args, kwargs)])[0]

    @overload
    def map(
        self, fn: Task[..., T, Any], *iterables: Iterable[Any],
        timeout: float | None = None, chunksize: int = 1,
    ) -> Iterator[T]: ...

    @overload
    def map(
        self, fn: Callable[..., Coroutine[Any, Any, T]],
        *iterables: Iterable[Any], timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[T]: ...

    @overload
    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any],
        timeout: float | None = None, chunksize: int = 1,
    ) -> Iterator[T]: ...

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any],
        timeout: float | None = None, chunksize: int = 1,
    ) -> Iterator[Any]:
        """
        As map, with one flush for all its jobs; *chunksize* is ignored.
        """
        end = None if timeout is None else time.monotonic() + timeout
        futures = self._futures([
            self._call(fn, args, {}) for args in zip(*iterables)
        ])
        futures.reverse()

        def results() -> Iterator[Any]:
            try:
                while futures:
                    left = None if end is None else end - time.monotonic()
                    yield futures.pop().result(left)
            finally:
                for future in futures:
                    future.cancel()

        return results()

    def attach(self, job_id: str) -> SpoolFuture[Any]:
        """A future of a job that was submitted earlier, by anybody."""
        return self._listen(Job.attach(job_id, self._path))

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        """
        Take no more calls.

        Args:
            wait: until all that were submitted here have ended.
            cancel_futures: remove those that still wait.
        """
        self._is_shut = True
        pending = list(self._pending)
        if cancel_futures:
            for future in pending:
                future.cancel()
        if wait:
            concurrent.futures.wait(pending)

    def _call(
        self, fn: Callable[..., Any], args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Call[Any]:
        if isinstance(fn, Task):
            return fn.call_with(self._options, args, kwargs)
        target = _target(fn)
        prepare.judge(target, _signature(fn), args, kwargs)
        return prepare.write_call(
            self._handler, (target, *args), kwargs, self._options
        )

    def _futures(self, calls: list[Call[T]]) -> list[SpoolFuture[T]]:
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if len(calls) == 1:
            made = [calls[0].submit()]
        else:
            made = prepare.submit_many(calls)
        return [self._listen(job) for job in made]

    def _listen(self, job: Job[T]) -> SpoolFuture[T]:
        future = SpoolFuture(job)
        self._pending.add(future)
        future.add_done_callback(self._forget)
        waiting.add(self._path, job.id, future.tell)
        return future

    def _forget(self, future: concurrent.futures.Future[Any]) -> None:
        if isinstance(future, SpoolFuture):
            self._pending.discard(future)


def _target(fn: Any) -> str:
    """``module:name`` of a function, by which a worker finds it."""
    if not isinstance(fn, types.FunctionType):
        raise TypeError(f"{fn!r} is neither a task nor a function")
    if "<" in fn.__qualname__ or fn.__module__ == "__main__":
        raise TypeError(
            f"a worker cannot import {fn.__module__}:{fn.__qualname__};"
            " define it at the top of a module"
        )
    return f"{fn.__module__}:{fn.__qualname__}"


def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    return prepare.without_job(inspect.signature(fn))
