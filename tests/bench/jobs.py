# SPDX-License-Identifier: MIT
"""The Python handlers that are measured."""

import functools
import os
import time

from spooler import task


def noop() -> None:
    """Do nothing."""


def stamp(log: str, number: str) -> None:
    """Write down when this job began."""
    line = b"%s %d\n" % (number.encode(), time.monotonic_ns())
    os.write(_opened(log), line)


def work(log: str, seconds: str) -> None:
    """Take so long, and write down from when to when."""
    start = time.monotonic_ns()
    time.sleep(float(seconds))
    line = b"%d %d\n" % (start, time.monotonic_ns())
    os.write(_opened(log), line)


@task
def echo(number: int) -> int:
    """Return it."""
    return number


@task
async def echo_async(number: int) -> int:
    """Return it, from a coroutine."""
    return number


@functools.cache
def _opened(log: str) -> int:
    return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
