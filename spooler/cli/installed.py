# SPDX-License-Identifier: MIT
"""
The handlers that come of ``tasks`` in spool.toml, as spoold knows them.

Only an import of the modules can tell them, and spoolctl imports none: it
may run as another user, with other rights, at any time.
"""

import dataclasses
from typing import Any

from spooler import asking
from spooler.config import Config, Handler


def with_tasks(read: Config, private_fd: int) -> Config | None:
    """
    The configuration with a handler for each task.

    Args:
        private_fd: of the directory with spoold's socket.

    Returns:
        None if there are such modules and nobody tells what is in them:
        spoold does not run, or this user may not ask.
    """
    if not read.tasks:
        return read
    try:
        answer = asking.ask(private_fd, {"verb": "tasks"}, 1.0)
    except (TimeoutError, OSError, ValueError):
        answer = None
    if answer is None or "tasks" not in answer:
        return None
    found = {
        name: _handler(name, told) for name, told in answer["tasks"].items()
    }
    return dataclasses.replace(read, handlers={**read.handlers, **{
        name: handler for name, handler in found.items()
        if name not in read.handlers
    }})


def _handler(name: str, told: dict[str, Any]) -> Handler:
    return Handler(
        name, python=told["python"], match=tuple(told["match"]),
        attempts=told["attempts"], concurrency=told["concurrency"],
    )
