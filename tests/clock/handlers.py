# SPDX-License-Identifier: MIT
"""Python handlers of the clock suite; each notes when it ran."""

import os
import time

from spooler import Defer
from spooler.context import JobContext


def _note(word: str, job: JobContext) -> None:
    line = (
        f"{word} {job.name or job.id} {job.attempt} {time.monotonic()!r}\n"
    )
    fd = os.open(
        os.environ["CLOCK_LEDGER"], os.O_CREAT | os.O_WRONLY | os.O_APPEND,
        0o600,
    )
    os.write(fd, line.encode())
    os.close(fd)


def once(job: JobContext) -> None:
    """Run."""
    _note("start", job)


def again(
    job: JobContext, times: str, delay_s: str, seconds: str = "0"
) -> None:
    """Take a while, and ask to be run later, *times* times."""
    _note("start", job)
    if job.attempt <= int(times):
        time.sleep(float(seconds))
        _note("end", job)
        raise Defer("later", float(delay_s))


def fails(job: JobContext, times: str, seconds: str = "0") -> None:
    """Take a while, and fail, *times* times."""
    _note("start", job)
    if job.attempt <= int(times):
        time.sleep(float(seconds or 0))
        _note("end", job)
        raise OSError("not yet")


def nap(job: JobContext, seconds: str) -> None:
    """Take a while."""
    _note("start", job)
    time.sleep(float(seconds))
    _note("end", job)
