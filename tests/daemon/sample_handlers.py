# SPDX-License-Identifier: MIT
"""Python handlers for the tests; spool.toml names them."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

from spooler import Defer, Fail
from spooler.context import JobContext


def noop(job: JobContext) -> None:
    """Do nothing."""


def echo(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what it was given."""
    return {"args": args, "kwargs": kwargs}


def about(job: JobContext, *args: Any) -> dict[str, Any]:
    """Return all that a handler can know of its job."""
    return {
        "id": job.id, "name": job.name, "handler": job.handler,
        "attempt": job.attempt, "max_attempts": job.max_attempts,
        "priority": job.priority, "args": args, "tags": job.tags,
        "extra": job.extra, "file": job.file,
        "body": job.body.decode(), "read": job.open().read().decode(),
    }


def mark(job: JobContext, path: str) -> None:
    """Write a line about this run: id, attempt, wall clock."""
    with open(path, "a", encoding="ascii") as stream:
        stream.write(f"{job.id} {job.attempt} {time.time_ns()}\n")
    time.sleep(0.02)


def spin(job: JobContext) -> int:
    """Keep a processor busy for a moment."""
    return sum(range(1_000_000))


def words(path: str) -> int:
    """Count the words of a payload."""
    return len(pathlib.Path(path).read_bytes().split())


def talk(job: JobContext) -> None:
    """Write to both outputs, as Python does and past it."""
    print("from print")
    os.write(1, b"from write\n")
    print("to stderr", file=sys.stderr)


def shout(job: JobContext, size: str) -> None:
    """Write *size* bytes to standard output."""
    sys.stdout.write("x" * int(size))


def boom(job: JobContext) -> None:
    """Raise what is no friend of ours."""
    raise KeyError("the cause")


def fail(job: JobContext) -> None:
    """Say that this job can never succeed."""
    raise Fail("wrong address")


def defer_once(job: JobContext) -> int:
    """Ask to be run later, the first time."""
    if job.attempt == 1:
        raise Defer("greylisted", 0.01)
    return job.attempt


def flaky(job: JobContext, good: str) -> int:
    """Raise until the run number is *good*."""
    if job.attempt < int(good):
        raise OSError(f"run {job.attempt} failed")
    return job.attempt


def not_json(job: JobContext) -> Any:
    """Return what no JSON can hold."""
    return {1, 2}


def leave(job: JobContext) -> None:
    """Try to end the worker."""
    sys.exit(3)


def sleep(job: JobContext) -> None:
    """Sleep far longer than any test."""
    time.sleep(1000)


def deaf(job: JobContext) -> None:
    """Sleep where no soft timeout is heard."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(1000)


def parent(job: JobContext, pid_file: str) -> None:
    """Be deaf, with a child."""
    child = subprocess.Popen(["sleep", "1000"])
    pathlib.Path(pid_file).write_text(f"{child.pid}\n")
    deaf(job)


def suicide(job: JobContext) -> None:
    """Kill its worker."""
    os.kill(os.getpid(), signal.SIGKILL)


def gate(job: JobContext, path: str) -> int:
    """Wait until there is a file *path*; return the worker's pid."""
    mine = pathlib.Path(f"{path}.{job.id}")
    mine.write_text(f"{os.getpid()}\n")
    while not os.path.exists(path):
        time.sleep(0.01)
    return os.getpid()


def note(job: JobContext, path: str) -> None:
    """Append its tag to a file."""
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(f"{job.tags[0]}\n")


def delete_file(job: JobContext) -> None:
    """Delete its own job file."""
    os.unlink(job.file)


def pid(job: JobContext) -> int:
    """Return the worker's pid."""
    return os.getpid()


def grab(job: JobContext, size: str) -> int:
    """Take *size* bytes of memory."""
    return len(bytearray(int(size)))
