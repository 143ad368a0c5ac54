# SPDX-License-Identifier: MIT
"""
Python handlers: loading them, and what they are given.

The one place where code is found by name, and the name comes from the
configuration, never from a job.
"""

import importlib
import inspect
import io
from collections.abc import Callable
from typing import Any

from spooler import progress
from spooler.config import Handler
from spooler.jobload import Job
from spooler.names import Name


class JobContext:
    """
    The job, as a handler whose first parameter is named ``job`` gets it.

    Attributes:
        id: never used twice; an idempotency key.
        name: the dropped file's name, or None.
        handler: that runs it.
        attempt: 1 for the first run.
        max_attempts: failed runs before the job is given up.
        priority: 0..9.
        args, kwargs, tags, extra, traceparent: of the job document.
        file: path of the job file; do not write to it.
    """

    def __init__(
        self, name: Name, handler: str, max_attempts: int, file: str,
        job: Job, tell: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        document = job.document
        self.id = name.id
        self.name = name.dropped_name
        self.handler = handler
        self.attempt = name.runs
        self.max_attempts = max_attempts
        self.priority = name.priority
        self.args: list[Any] = document.args if document else []
        self.kwargs: dict[str, Any] = document.kwargs if document else {}
        self.tags: list[str] = document.tags if document else []
        self.extra: dict[str, str] = document.extra if document else {}
        self.traceparent = document.traceparent if document else None
        self.file = file
        self._job = job
        self._tell = tell

    def progress(
        self, done: float, total: float | None = None, text: str = ""
    ) -> None:
        """
        Tell how far the run is; ``ls``, ``show``, ``top`` and ``wait`` say so.

        Args:
            done: of *total*; without it, a fraction 0..1.
            text: a few words on what is being done.

        Raises:
            ValueError: that is no fraction.
        """
        if total is not None:
            text = f"{done:g}/{total:g} {text}"
            done = done / total if total > 0 else 0.0
        self._tell(progress.line(done, text))

    def open(self) -> io.BufferedReader | io.BytesIO:
        """The payload, or the document's body, as a binary file."""
        return self._job.open()

    @property
    def body(self) -> bytes:
        """The whole payload or body."""
        return self._job.read()


class LoadError(Exception):
    """A Python handler cannot be imported or called; the text says why."""


class Loaded:
    """An imported Python handler."""

    def __init__(self, handler: Handler) -> None:
        """
        Import the handler's module and find its function.

        Raises:
            LoadError: there is no such module or function, or importing it
                raised.
        """
        assert handler.python is not None
        module_name, _, path = handler.python.partition(":")
        try:
            target: Any = importlib.import_module(module_name)
            for part in path.split("."):
                target = getattr(target, part)
        except Exception as error:  # user code may raise anything
            raise LoadError(
                f"cannot load {handler.python}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not callable(target):
            raise LoadError(f"{handler.python} is not callable")
        self._function: Callable[..., Any] = target
        self._wants_job = _first_parameter(target) == "job"

    def call(self, job: Job, context: Callable[[], JobContext]) -> Any:
        """
        Run the handler: ``f(job)``, ``f(job, *args, **kwargs)``,
        ``f(*args, **kwargs)`` or, for a payload, ``f(path)``.
        """
        document = job.document
        if document is not None:
            if self._wants_job:
                return self._function(
                    context(), *document.args, **document.kwargs
                )
            return self._function(*document.args, **document.kwargs)
        if self._wants_job:
            return self._function(context())
        return self._function(context().file)


def _first_parameter(target: Callable[..., Any]) -> str | None:
    try:
        parameters = list(inspect.signature(target).parameters)
    except (TypeError, ValueError):  # a builtin without a signature
        return None
    return parameters[0] if parameters else None
