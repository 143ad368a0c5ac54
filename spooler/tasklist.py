# SPDX-License-Identifier: MIT
"""
The program that tells which tasks a module has: it imports the module.

Started by ``taskload``, because spoold itself must run no code of a user.
"""

import importlib
import inspect
import json
import os
import sys
import traceback
from typing import Any

from spooler.tasks import Task


def tasks_of(module_name: str) -> list[list[Any]]:
    """Name, ``module:attribute`` and options of each task of a module."""
    module = importlib.import_module(module_name)
    out, seen = [], set()
    for attribute, value in vars(module).items():
        if isinstance(value, Task) and id(value) not in seen:
            seen.add(id(value))
            out.append([
                value.name, f"{module_name}:{attribute}", _options(value),
            ])
    return out


def _options(task: Task[Any, Any, Any]) -> dict[str, Any]:
    """Those of its handler: coroutines run together unless it says no."""
    if not inspect.iscoroutinefunction(task.function):
        return task.handler_options
    return {"asyncio": True, **task.handler_options}


def main() -> None:
    """``python -m spooler.tasklist MODULE...``; JSON on standard output."""
    answer_fd = os.dup(1)
    os.dup2(2, 1)  # what an import prints is no answer
    answer: dict[str, Any] = {}
    try:
        for module_name in sys.argv[1:]:
            answer[module_name] = tasks_of(module_name)
    except BaseException as error:  # noqa: B902 - an import may raise all
        answer = {"error": "".join(
            traceback.format_exception_only(error)
        ).strip(), "module": module_name}
    with open(answer_fd, "w", encoding="ascii") as stream:
        json.dump(answer, stream)
        stream.write("\n")


if __name__ == "__main__":
    main()
