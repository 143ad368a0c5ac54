# SPDX-License-Identifier: MIT
"""Handlers that log what they were run for, and nothing else."""

import hashlib
import json
import os
import time
from typing import Any

from spooler import Defer
from spooler.context import JobContext

#: Where the log lies; in the environment of spoold, and so of its workers.
LOG = "HOSTILE_RUNS"


def _log(job: JobContext, **more: Any) -> None:
    """Append one line to the log of runs."""
    line = json.dumps({
        "id": job.id, "handler": job.handler, "args": job.args,
        "tail": os.path.basename(job.file).partition(",")[2],
        "at_ns": time.time_ns(), **more,
    })
    fd = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, f"{line}\n".encode("ascii"))
    finally:
        os.close(fd)


def _sha256(job: JobContext) -> str:
    with job.open() as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def note(job: JobContext, *args: Any, **kwargs: Any) -> None:
    """Log what a document asks for, and a payload as well."""
    _log(job, kwargs=kwargs, sha256=_sha256(job))


def data(job: JobContext, *args: Any) -> None:
    """Log what a payload holds."""
    _log(job, sha256=_sha256(job))


def say(job: JobContext, *args: Any) -> None:
    """Print the body, and fail with it."""
    _log(job)
    with job.open() as stream:
        text = stream.read()
    os.write(1, text)
    raise ValueError(text.decode(errors="surrogateescape"))


def gate(job: JobContext, mark: str, path: str) -> str:
    """Wait until there is a file *path*."""
    _log(job)
    while not os.path.exists(path):
        time.sleep(0.005)
    print("the gate was opened")
    return "opened"


def again(job: JobContext, mark: str, path: str) -> str:
    """Ask to be run later, the first time; then be a gate."""
    if job.attempt == 1:
        raise Defer("not yet", 0.01)
    return gate(job, mark, path)


def broken(job: JobContext, *args: Any) -> None:
    """Fail, with words on standard output."""
    _log(job)
    print("said before it failed")
    raise ValueError("broken as asked")
