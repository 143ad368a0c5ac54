# SPDX-License-Identifier: MIT
"""
The handler that calls functions by name: those that the spool allows.

    [handler.call]
    python = "spooler.calls:call"
    allow = ["myapp.jobs", "myapp.reports.*", "shop.till:count"]

A job names a function; the configuration says which names are good, and it
is asked before anything is imported.  A function must be defined where the
name says: what a module merely imported cannot be reached through it.
"""

import importlib
import inspect
import types
from collections.abc import Callable
from typing import Any

from spooler.context import JobContext
from spooler.errors import Defer, Fail
from spooler.handlers import LoadError
from spooler.raised import checked
from spooler.tasks import Task
from spooler.text import inert


def call(job: JobContext, target: str, /, *args: Any, **kwargs: Any) -> Any:
    """
    Call the function *target*, ``module:name``, with the other arguments.

    What it raises is its answer, and is not tried again; a run that dies is.
    """
    function = permitted(target, job.allow)
    if _first_parameter(function) == "job":
        args = job, *args
    try:
        return checked(function(*args, **kwargs))
    except (Defer, Fail):
        raise
    except Exception as error:
        raise Fail(
            f"{type(error).__name__}: {error}".removesuffix(": ")
        ) from error


def permitted(target: object, allow: tuple[str, ...]) -> Callable[..., Any]:
    """
    Find a function, if *allow* lets it be called.

    Raises:
        Fail: it may not be called, or there is no such function.
        LoadError: its module cannot be imported.
    """
    shown = inert(str(target), 100)
    if not isinstance(target, str) or not is_allowed(target, allow):
        raise Fail(
            f"'{shown}' may not be called: 'allow' of the handler does not"
            " have it"
        )
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # user code may raise anything
        raise LoadError(
            f"cannot load {shown}: {type(error).__name__}: {error}"
        ) from error
    for part in path.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Task):
        found = found.function
    if not isinstance(found, types.FunctionType) or (
        found.__module__, found.__qualname__
    ) != (module_name, path):
        raise Fail(f"'{shown}' is not a function that is defined there")
    if inspect.iscoroutinefunction(found):
        from spooler.looper import in_loop  # few handlers need asyncio

        return in_loop(found)
    return found


def is_allowed(target: str, allow: tuple[str, ...]) -> bool:
    """
    Whether a pattern lets ``module:name`` be called.

    ``pkg.mod`` allows the functions of one module, ``pkg.*`` those of all
    modules below a package, ``pkg.mod:name`` one function.  A name with a
    part that begins with ``_`` must be allowed by the last form.
    """
    module, colon, path = target.partition(":")
    parts = [*module.split("."), *path.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        return False
    is_private = any(part.startswith("_") for part in parts)
    for pattern in allow:
        if pattern == target:
            return True
        if is_private:
            continue
        if pattern == module or (
            pattern.endswith(".*") and module.startswith(pattern[:-1])
        ):
            return True
    return False


def _first_parameter(function: Callable[..., Any]) -> str | None:
    return next(iter(inspect.signature(function).parameters), None)
