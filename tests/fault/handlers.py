# SPDX-License-Identifier: MIT
"""Python handlers of the fault suite; each run leaves a mark outside."""

import asyncio
import os

from spooler import Fail
from spooler.context import JobContext


def _mark(job: JobContext) -> None:
    spool = os.path.dirname(os.path.dirname(job.file))
    path = os.path.join(os.path.dirname(spool), "starts")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.write(fd, f"{job.id}\n".encode())
    os.close(fd)


def plain(job: JobContext) -> None:
    """Do nothing."""
    _mark(job)


def value(job: JobContext) -> dict[str, str]:
    """Print something and return something."""
    _mark(job)
    print("printed")
    return {"body": job.body.decode()}


async def nap(job: JobContext) -> dict[str, str]:
    """Give way to others, print something and return something."""
    _mark(job)
    await asyncio.sleep(0)
    print("napped")
    return {"body": job.body.decode()}


def flaky(job: JobContext) -> int:
    """Fail in the first run."""
    _mark(job)
    if job.attempt == 1:
        raise OSError("not yet")
    return 7


def never(job: JobContext) -> None:
    """Say that it never will do."""
    _mark(job)
    raise Fail("no such thing")
