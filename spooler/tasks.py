# SPDX-License-Identifier: MIT
"""
Tasks: functions that can be submitted as jobs, and called as functions.

    @task
    def thumbnail(path: str, size: int = 128) -> str: ...

    job = thumbnail.submit("a.jpg", size=64)

Arguments travel as JSON and are judged before anything is written.  Which
code runs is decided by the spool: a job only names a handler.
"""

from __future__ import annotations

from spooler import names
from spooler.generics import Generic
from spooler.handle import Job
from spooler.options import Options
from spooler.prepare import Call, judge, submit_many, without_job, write_call

TYPE_CHECKING = False
if not TYPE_CHECKING:
    P = V = R = None

    def overload(function):
        """Typing's own, but at no cost."""
        return function
else:
    import inspect
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

    from spooler.context import JobContext
    from spooler.options import Duration, Moment, Path

    P = ParamSpec("P")
    V = TypeVar("V")  #: what the job's result is
    R = TypeVar("R")  #: what a plain call returns

#: What @task passes on to the handler that the spool makes of it; the keys
#: of a [handler.NAME] table.
HANDLER_OPTIONS = (
    "timeout", "kill_after", "attempts", "backoff", "max_backoff",
    "concurrency", "asyncio", "output_limit", "memory", "expires", "breaker",
    "match", "delete_done",
)

#: Of each name the task made or submitted last; for tests that run jobs where
#: they are made.
known: dict[str, Task[Any, Any, Any]] = {}


class Sender(Generic[P, V]):
    """A task with options: what ``options`` of a task returns."""

    def __init__(self, task: Task[P, V, Any], options: Options) -> None:
        self._task = task
        self._options = options

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[V]:
        """Judge a call and write it down, for submit_many."""
        return self._task.call_with(self._options, args, kwargs)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[V]:
        """
        Submit a call as one job.

        Raises:
            TypeError: the function does not take these arguments, or one of
                them is not JSON; nothing was touched.
            ValueError: there is too much of them.
            SpoolError, SubmitUnknown, OSError: as Client.submit.
        """
        return self.call(*args, **kwargs).submit()

    def submit_many(self, calls: Iterable[Call[V]]) -> list[Job[V]]:
        """Submit calls made by ``call``, with one flush for all."""
        return submit_many(calls)


class Task(Sender[P, V], Generic[P, V, R]):
    """
    A function that can be submitted.

    Attributes:
        function: as it was written.
        name: of the handler that runs it.
        handler_options: that the spool gives the handler, if it takes the
            handler from the task.
        wants_job: whether its first parameter is ``job``.
    """

    def __init__(
        self, function: Callable[..., R], name: str | None,
        options: Options, handler_options: dict[str, Any],
    ) -> None:
        super().__init__(self, options)
        if not callable(function) or not hasattr(function, "__name__"):
            raise TypeError(
                f"task() makes a task of a function, not of {function!r:.60}"
            )
        self.function = function
        self.name = function.__name__ if name is None else name
        if type(self.name) is not str or not names.is_handler(self.name):
            raise ValueError(
                f"{self.name!r} cannot be a handler's name (1..32 letters,"
                " digits, - and _, a letter or digit first); give one with"
                " @task(name=...)"
            )
        self.handler_options = handler_options
        self._signature: inspect.Signature | None = None
        self.wants_job = _wants_job(function)
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        known[self.name] = self

    def __repr__(self) -> str:
        return f"<spooler.Task {self.name}: {self.reference}>"

    @property
    def reference(self) -> str:
        """``module:function``, for ``python`` in spool.toml."""
        return f"{self.__module__}:{self.__qualname__}"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Call the function, here and now.

        Its ``job``, if it has one, is one that nobody submitted.
        """
        if self.wants_job:
            from spooler.context import JobContext  # takes half of us along

            return self.function(
                JobContext.detached(self.name), *args, **kwargs
            )
        return self.function(*args, **kwargs)

    def options(
        self,
        *,
        spool: Path | None = None,
        priority: int | None = None,
        durable: bool | None = None,
        delay: Duration | None = None,
        at: Moment | None = None,
        timeout: Duration | None = None,
        expires: Duration | None = None,
        attempts: int | None = None,
        key: str | None = None,
        tags: Iterable[str] = (),
        unique: Duration | None = None,
    ) -> Sender[P, V]:
        """
        The task, to be submitted in another way.

        Args:
            spool: path; None: that of @task, else $SPOOL_DIR, or as
                spoolctl chooses.
            priority: 0..9, 9 first; None: that of @task, else 5.
            durable: False does not flush: survives a kill -9 only; None:
                as @task has it, else True.
            delay: not before so many seconds, ``"5m"`` or a timedelta.
            at: not before a moment: seconds since 1970, RFC 3339, datetime.
            timeout: the longest a run may take; 0: no limit.
            expires: no run begins later than this after the submission.
            attempts: how many runs may fail.
            key: of calls of this task that are alike; acts with unique.
            tags: carried and shown.
            unique: submit nothing, and return the job that is there, if one
                of the same key ``"waiting"``: waits for its first run;
                ``"done"``: is not done or failed yet; or was submitted
                within so many seconds, whatever became of it.
                ``"latest"``: this one takes the place of one that waits.
        """
        own = self._options
        return Sender(self, Options(
            own.spool if spool is None else spool,
            own.priority if priority is None else priority,
            own.durable if durable is None else durable,
            delay, at, timeout, expires, attempts, key, tags, unique,
        ))

    def call_with(
        self, options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Call[V]:
        """Judge a call and write it down."""
        if self.wants_job and "job" in kwargs:
            raise TypeError(f"{self.name}(): a run is given its job itself")
        known[self.name] = self
        judge(self.name, self.signature, args, kwargs)
        return write_call(self.name, args, kwargs, options)

    @property
    def signature(self) -> inspect.Signature:
        """What a job must give: without the parameter ``job``."""
        if self._signature is None:
            import inspect  # costs more than a submit

            self._signature = without_job(inspect.signature(self.function))
        return self._signature


def _wants_job(function: Any) -> bool:
    """As handlers.py finds it, without the import that takes."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None or not code.co_argcount + code.co_kwonlyargcount:
        return False
    first = code.co_varnames[:1]
    if first == ("job",):
        if not code.co_argcount:
            raise TypeError(f"{function.__name__}(): job must come before *")
        return True
    try:
        kind = function.__annotations__.get(first[0])
    except NameError:  # of Pythons that look an annotation up as it is read
        return False
    if getattr(kind, "__name__", str(kind)).endswith("JobContext"):
        raise TypeError(
            f"{function.__name__}(): a parameter that is to be given the"
            f" JobContext is named job, not {first[0]}"
        )
    return False


if TYPE_CHECKING:
    class Decorator(Protocol):
        """What ``task(...)`` returns."""

        @overload
        def __call__(
            self,
            function: Callable[
                Concatenate[JobContext, P], Coroutine[Any, Any, V]
            ],
        ) -> Task[P, V, Coroutine[object, object, V]]: ...

        @overload
        def __call__(
            self, function: Callable[Concatenate[JobContext, P], V]
        ) -> Task[P, V, V]: ...

        @overload
        def __call__(
            self, function: Callable[P, Coroutine[Any, Any, V]]
        ) -> Task[P, V, Coroutine[object, object, V]]: ...

        @overload
        def __call__(self, function: Callable[P, V]) -> Task[P, V, V]: ...


@overload
def task(
    function: Callable[
        Concatenate[JobContext, P], Coroutine[Any, Any, V]
    ],
) -> Task[P, V, Coroutine[object, object, V]]: ...


@overload
def task(
    function: Callable[Concatenate[JobContext, P], V],
) -> Task[P, V, V]: ...


@overload
def task(
    function: Callable[P, Coroutine[Any, Any, V]],
) -> Task[P, V, Coroutine[object, object, V]]: ...


@overload
def task(function: Callable[P, V]) -> Task[P, V, V]: ...


@overload
def task(
    *,
    name: str | None = None,
    spool: Path | None = None,
    priority: int = names.DEFAULT_PRIORITY,
    durable: bool = True,
    timeout: Duration | None = None,
    kill_after: Duration | None = None,
    attempts: int | None = None,
    backoff: Duration | None = None,
    max_backoff: Duration | None = None,
    concurrency: int | None = None,
    asyncio: bool | None = None,
    output_limit: int | str | None = None,
    memory: int | str | None = None,
    expires: Duration | None = None,
    breaker: int | None = None,
    match: Iterable[str] | None = None,
    delete_done: bool | None = None,
) -> Decorator: ...


def task(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    spool: Path | None = None,
    priority: int = names.DEFAULT_PRIORITY,
    durable: bool = True,
    **handler_options: Any,
) -> Any:
    """
    Make a task of a function, which may be ``async def``.

    If its first parameter is named ``job``, a run gives it a JobContext; a
    submit does not.

    Args:
        name: of the handler; None: the function's.
        spool, priority, durable: of its jobs, as for Task.options.
        handler_options: any of HANDLER_OPTIONS, as in a [handler.NAME]
            table.  They hold in a spool that takes its handlers from the
            module; see ``tasks`` in spool.toml(5).

    Raises:
        ValueError: it cannot be a handler's name.
    """
    for option in handler_options:
        if option not in HANDLER_OPTIONS:
            raise TypeError(f"task() has no option {option!r}")
    given = {
        option: _plain(value) for option, value in handler_options.items()
        if value is not None
    }

    def make(function: Callable[..., Any]) -> Task[Any, Any, Any]:
        options = Options(spool, priority, durable)
        return Task(function, name, options, given)

    return make if function is None else make(function)


def _plain(value: Any) -> Any:
    """An option as JSON carries it."""
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    return value if isinstance(value, (int, float, str)) else list(value)
