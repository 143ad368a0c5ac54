# SPDX-License-Identifier: MIT
"""Calls that were judged and written down, and are not submitted yet."""

from __future__ import annotations

from spooler import outbox
from spooler.generics import Generic
from spooler.handle import Job
from spooler.jsonable import why_not_json
from spooler.options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Iterable
    from typing import Any, TypeVar

    V = TypeVar("V", covariant=True)  # so that jobs go into one list
else:
    V = None


class Call(Generic[V]):
    """A call that was judged and written down, and is not submitted yet."""

    __slots__ = ("handler", "data", "options")

    def __init__(self, handler: str, data: bytes, options: Options) -> None:
        self.handler = handler
        self.data = data
        self.options = options

    def submit(self) -> Job[V]:
        """Submit it; a second time makes a second job, unless unique."""
        options = self.options
        path = outbox.path_of(options.spool)
        client = outbox.client(path, options.durable)
        job = Job[V](client.mint(), path, expected=True)
        if options.key is not None and options.unique is not None:
            stands, is_other = client.put_unique(
                self.handler, self.data, options.priority, options.due_ns(),
                job.id, options.key, options.unique,
            )
            return Job(stands, path, existing=True) if is_other else job
        client.put(
            self.handler, self.data, options.priority, options.due_ns(),
            job.id,
        )
        return job


def submit_many(calls: Iterable[Call[V]]) -> list[Job[V]]:
    """
    Submit many calls with one flush for all of them.

    Args:
        calls: of any tasks, but all to one spool.  Unique ones are
            submitted last, each with a flush of its own.

    Raises:
        ValueError: they are for several spools; nothing was submitted.
        SpoolError, SubmitUnknown, OSError: as Client.submit_many.
    """
    jobs: list[Job[V]] = []
    written: list[tuple[str, bytes, int, int | None, str]] = []
    wanted = set()
    last: Options | None = None
    unique: list[tuple[int, Call[V]]] = []
    for call in calls:
        if not isinstance(call, Call):
            raise TypeError(
                f"{call!r:.60} is no call; task.call(...) makes one"
            )
        options = call.options
        if options is not last:
            last = options
            path = outbox.path_of(options.spool)
            wanted.add((path, options.durable))
            client = outbox.client(path, options.durable)
        jobs.append(Job(client.mint(), path, expected=True))
        if options.unique is not None:
            unique.append((len(jobs) - 1, call))
            continue
        written.append((
            call.handler, call.data, options.priority, options.due_ns(),
            jobs[-1].id,
        ))
    if len(wanted) > 1:
        raise ValueError("the calls of one batch are for several spools")
    if written:
        client.put_many(written)
    for number, call in unique:
        jobs[number] = call.submit()
    return jobs


def without_job(signature: inspect.Signature) -> inspect.Signature:
    """What is left for a submit to give."""
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].name == "job":
        return signature.replace(parameters=parameters[1:])
    return signature


def judge(
    name: str, signature: inspect.Signature, args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """Raise TypeError unless the function takes these, and as JSON."""
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}(): {error}") from None
    for parameter, value in bound.arguments.items():
        why = why_not_json(value, f"argument {parameter!r}")
        if why is not None:
            raise TypeError(f"{name}(): {why}")


def write_call(
    handler: str, args: tuple[Any, ...], kwargs: dict[str, Any],
    options: Options,
) -> Call[Any]:
    """Write down a call that was judged."""
    from spooler.jobwrite import encode_call  # not for who defines tasks

    data = encode_call(handler, args, kwargs, options.fields)
    return Call(handler, data, options)
