# SPDX-License-Identifier: MIT
"""Coroutine functions as handlers; spool.toml names them."""

import asyncio
import os
import pathlib
import signal
import sys
import time
from typing import Any

from spooler.context import JobContext

_here: set[str] = set()
_most = 0


async def meet(job: JobContext, count: str) -> int:
    """End once so many are here, and tell the process."""
    _here.add(job.id)
    while len(_here) < int(count):
        await asyncio.sleep(0.01)
    return os.getpid()


async def most(job: JobContext) -> int:
    """Return how many were here at once so far."""
    global _most
    _here.add(job.id)
    _most = max(_most, len(_here))
    await asyncio.sleep(0.02)
    _here.discard(job.id)
    return _most


async def talk(job: JobContext, word: str) -> str:
    """Write in turns with others, by all ways Python has."""
    for number in range(3):
        print(word, number)
        print(word, "err", file=sys.stderr)
        sys.stdout.buffer.write(f"{word} bytes\n".encode())
        job.log.warning("%s logged", word)
        await asyncio.sleep(0.02)
    await asyncio.create_task(_say(f"{word} child"))
    await asyncio.to_thread(print, f"{word} thread")
    return word


async def _say(text: str) -> None:
    print(text)


async def shout(size: str) -> None:
    """Write that much."""
    for _ in range(int(size) // 1000):
        print("x" * 999)


async def wait_for(path: str) -> None:
    """End once a file is there."""
    while not os.path.exists(path):
        await asyncio.sleep(0.01)


async def tidy(path: str) -> None:
    """Sleep for ever; when cancelled, make a file."""
    try:
        await asyncio.sleep(1000)
    finally:
        pathlib.Path(path).touch()


async def deaf(path: str) -> None:
    """Let nobody end it; say that it runs."""
    pathlib.Path(path).touch()
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass


async def hog(path: str, seconds: str) -> None:
    """Keep the loop to itself; say that it does."""
    await asyncio.sleep(0.01)
    pathlib.Path(path).touch()
    time.sleep(float(seconds))


async def fall(path: str, how: str) -> None:
    """End the process once a file is there."""
    await wait_for(path)
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), getattr(signal, how))


async def fail(how: str) -> None:
    """Raise one thing or another."""
    await asyncio.sleep(0)
    if how == "exit":
        raise SystemExit(4)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "cancelled":
        raise asyncio.CancelledError("odd")
    raise ValueError("so bad")


async def leave(path: str) -> str:
    """End, and leave a task that goes on."""

    async def more() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            pathlib.Path(path).touch()

    asyncio.create_task(more())
    await asyncio.sleep(0.01)
    return "left"


async def tell(job: JobContext, path: str) -> None:
    """Tell how far it is, and wait."""
    job.progress(1, 4, "a long line of text on what is being done")
    job.progress(2, 4, "half")
    await wait_for(path)


async def keep(job: JobContext) -> Any:
    """Fail once, after a checkpoint; then return it."""
    if job.attempt == 1:
        job.checkpoint({"page": 7})
        raise OSError("not yet")
    return job.last_checkpoint


async def payload(path: str) -> int:
    """Count the bytes of a payload."""
    return os.path.getsize(path)


def plain() -> None:
    """Do nothing, and be no coroutine."""
