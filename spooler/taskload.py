# SPDX-License-Identifier: MIT
"""
Make handlers of the tasks in the modules that ``tasks`` of spool.toml names,
or that entry points of installed packages do.

A process of its own imports them and tells what there is: spoold runs no
code of a user, and what an import leaves behind ends with that process.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from typing import Any

from spooler import config
from spooler.config import Config, Handler
from spooler.errors import ConfigError
from spooler.pool import worker_environ
from spooler.text import inert

TIMEOUT_S = 15.0  #: less than the WatchdogSec of the unit
_ANSWER_MAX_BYTES = 1 << 20


def with_tasks(read: Config, timeout_s: float = TIMEOUT_S) -> Config:
    """
    The configuration with a handler for each task.

    A handler that spool.toml has under the same name goes before.

    Raises:
        ConfigError: a module cannot be imported, or not in time, or has a
            task that cannot be a handler.
    """
    if not read.tasks:
        return read
    found: dict[str, Handler] = {}
    for module, listed in _ask(read.tasks, timeout_s).items():
        where = f"tasks: {inert(module)}"
        if listed is None:
            raise ConfigError(f"{where}: has no @task")
        for name, reference, options in listed:
            handler = config.read_handler(
                name, {"python": reference, **options}, where
            )
            if name in found:
                raise ConfigError(
                    f"{where}: {reference} and {found[name].python} have one"
                    f" name, '{inert(name, 40)}'; give one another,"
                    " @task(name=...)"
                )
            found[name] = handler
    handlers = {**read.handlers, **{
        name: handler for name, handler in found.items()
        if name not in read.handlers
    }}
    config.insist_on_default(read.default, handlers, "tasks")
    return dataclasses.replace(read, handlers=handlers)


def _ask(modules: tuple[str, ...], timeout_s: float) -> dict[str, Any]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "spooler.tasklist", *modules],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        env=worker_environ(), start_new_session=True,
    )
    try:
        data, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"tasks: importing {', '.join(modules)} took longer than"
            f" {timeout_s:g}s; what takes long belongs into the tasks"
        ) from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    try:
        answer = json.loads(data[:_ANSWER_MAX_BYTES])
    except ValueError:
        raise ConfigError(
            f"tasks: importing {', '.join(modules)} ended the process"
            f" ({process.returncode})"
        ) from None
    if "error" in answer:
        raise ConfigError(
            f"tasks: cannot import {inert(answer['module'])}:"
            f" {inert(answer['error'], 500)}"
        )
    assert isinstance(answer, dict)
    return answer
