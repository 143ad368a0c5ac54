# SPDX-License-Identifier: MIT
"""Python handlers of the soak; each run leaves a mark outside the spool."""

import asyncio
import os
import signal
import time
from typing import Any

from spooler import Defer, Fail
from spooler.context import JobContext


def _mark(job: JobContext) -> None:
    spool = os.path.dirname(os.path.dirname(job.file))
    path = os.path.join(os.path.dirname(spool), "starts")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.write(fd, f"{job.id} {job.attempt}\n".encode())
    os.close(fd)


def plain(job: JobContext, token: str) -> None:
    """Do nothing."""
    _mark(job)


def value(job: JobContext, token: str) -> dict[str, Any]:
    """Print something and return something."""
    _mark(job)
    print(token)
    return {"token": token}


def payload(job: JobContext) -> int:
    """Count the bytes of a payload."""
    _mark(job)
    return len(job.body)


def slow(job: JobContext, token: str) -> None:
    """Take long enough to be met by a kill."""
    _mark(job)
    time.sleep(0.4)


async def nap(job: JobContext, token: str) -> str:
    """Sleep beside others."""
    _mark(job)
    print(token)
    await asyncio.sleep(0.2)
    return token


def flaky(job: JobContext, token: str) -> int:
    """Fail in the first run."""
    _mark(job)
    if job.attempt == 1:
        raise OSError("not yet")
    return job.attempt


def defer(job: JobContext, token: str) -> None:
    """Ask to be run later, twice."""
    _mark(job)
    if job.attempt < 3:
        raise Defer("later", 0.1)


def never(job: JobContext, token: str) -> None:
    """Say that it never will do."""
    _mark(job)
    raise Fail("no such thing")


def late(job: JobContext, token: str) -> None:
    """Take longer than it may."""
    _mark(job)
    time.sleep(60)


def poison(job: JobContext, token: str) -> None:
    """Kill its worker."""
    _mark(job)
    os.kill(os.getpid(), signal.SIGKILL)
