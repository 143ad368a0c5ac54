# SPDX-License-Identifier: MIT
"""
The program that tells which tasks modules have: it imports the modules.

Started by ``taskload``, because spoold itself must run no code of a user.
"""

import importlib
import importlib.metadata
import inspect
import json
import os
import sys
import traceback
from typing import Any

from spooler.tasks import Task

#: Of entry points: where installed packages name their modules of tasks.
GROUP = "spooler.tasks"


def named(modules: list[str]) -> list[str]:
    """The modules, once each; for ``*``, those of the entry points."""
    out = []
    for module in modules:
        if module != "*":
            out.append(module)
            continue
        points = importlib.metadata.entry_points(group=GROUP)
        if not points:
            raise LookupError(f"no installed package has entry points {GROUP}")
        for point in points:
            if point.attr:
                raise LookupError(
                    f"entry point {point.name} = {point.value}: is no module"
                )
            out.append(point.module)
    return list(dict.fromkeys(out))


def tasks_of(module_name: str) -> list[tuple[str, Task[Any, Any, Any]]]:
    """The tasks that a module has, by the first name of each in it."""
    module = importlib.import_module(module_name)
    out, seen = [], set()
    for attribute, value in vars(module).items():
        if isinstance(value, Task) and id(value) not in seen:
            seen.add(id(value))
            out.append((attribute, value))
    return out


def described(
    found: dict[str, list[tuple[str, Task[Any, Any, Any]]]]
) -> dict[str, list[list[Any]] | None]:
    """
    Name, ``module:attribute`` and options of each task; None: has none.

    One that a module took from another of them is that one's.
    """
    owners: dict[int, str] = {}
    for module, tasks in found.items():
        for _, task in tasks:
            if task.__module__ == module or id(task) not in owners:
                owners[id(task)] = module
    return {
        module: [
            [task.name, f"{module}:{attribute}", options_of(task)]
            for attribute, task in tasks if owners[id(task)] == module
        ] if tasks else None
        for module, tasks in found.items()
    }


def options_of(task: Task[Any, Any, Any]) -> dict[str, Any]:
    """Those of its handler: coroutines run together unless it says no."""
    if not inspect.iscoroutinefunction(task.function):
        return task.handler_options
    return {"asyncio": True, **task.handler_options}


def main() -> None:
    """``python -m spooler.tasklist MODULE...``; JSON on standard output."""
    answer_fd = os.dup(1)
    os.dup2(2, 1)  # what an import prints is no answer
    answer: dict[str, Any] = {}
    at = "*"
    try:
        found = {}
        for at in named(sys.argv[1:]):
            found[at] = tasks_of(at)
        answer = described(found)
    except BaseException as error:  # noqa: B902 - an import may raise all
        answer = {"error": "".join(
            traceback.format_exception_only(error)
        ).strip(), "module": at}
        if isinstance(error, ModuleNotFoundError):
            answer["error"] += "; is it in PYTHONPATH, or installed?"
    with open(answer_fd, "w", encoding="ascii") as stream:
        json.dump(answer, stream)
        stream.write("\n")


if __name__ == "__main__":
    main()
