# SPDX-License-Identifier: MIT
"""
Python handlers: loading and calling them.

The one place where code is found by name, and the name comes from the
configuration, never from a job.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from spooler.config import Handler
from spooler.context import JobContext
from spooler.jobload import Job
from spooler.tasks import Task


class LoadError(Exception):
    """A Python handler cannot be imported or called; the text says why."""


class Loaded:
    """
    An imported Python handler.

    Attributes:
        function: what is called.
        wants_job: whether it is given a JobContext.
    """

    def __init__(
        self, handler: Handler, target: Any = None, beside: bool = False
    ) -> None:
        """
        Import the handler's module and find its function.

        Args:
            target: the function, if it is at hand.
            beside: whether ``call`` gives a coroutine, to be run beside
                others, instead of what comes of it.

        Raises:
            LoadError: there is no such module or function, or importing it
                raised.
        """
        if target is None:
            target = _import(handler.python or "")
        if isinstance(target, Task):
            target = target.function
        if not callable(target):
            raise LoadError(f"{handler.python} is not callable")
        self.wants_job = _first_parameter(target) == "job"
        is_async = inspect.iscoroutinefunction(target)
        if handler.asyncio and not is_async:
            raise LoadError(
                f"{handler.python} is no 'async def', and its handler has"
                " asyncio = true; remove that"
            )
        if is_async and not beside:
            from spooler.looper import in_loop  # few handlers need asyncio

            target = in_loop(target)
        self.function: Callable[..., Any] = target

    def call(self, job: Job, context: Callable[[], JobContext]) -> Any:
        """
        Run the handler: ``f(job)``, ``f(job, *args, **kwargs)``,
        ``f(*args, **kwargs)`` or, for a payload, ``f(path)``.
        """
        document = job.document
        if document is not None:
            if self.wants_job:
                return self.function(
                    context(), *document.args, **document.kwargs
                )
            return self.function(*document.args, **document.kwargs)
        if self.wants_job:
            return self.function(context())
        return self.function(context().file)


def _import(reference: str) -> Any:
    module_name, _, path = reference.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
        for part in path.split("."):
            target = getattr(target, part)
    except Exception as error:  # user code may raise anything
        raise LoadError(
            f"cannot load {reference}: {type(error).__name__}: {error}"
        ) from error
    return target


def _first_parameter(target: Callable[..., Any]) -> str | None:
    try:
        parameters = list(inspect.signature(target).parameters)
    except (TypeError, ValueError):  # a builtin without a signature
        return None
    return parameters[0] if parameters else None
