# SPDX-License-Identifier: MIT
"""Tasks that the tests submit."""

import os
import signal
import time

from spooler import Fail, JobContext, task


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task(attempts=1, concurrency=2, timeout="90s", match=["*.up"])
def shout(text: str) -> str:
    return text.upper()


@task
def echo(*args: object, **kwargs: object) -> list[object]:
    return [list(args), kwargs]


@task(name="whoami")
def who(job: JobContext, greeting: str) -> str:
    return f"{greeting} {job.handler} {job.attempt}"


@task
async def later(text: str) -> str:
    import asyncio

    await asyncio.sleep(0)
    return text[::-1]


_met = 0


@task
async def meeting(count: int) -> int:
    """End once so many are here at once."""
    import asyncio

    global _met
    _met += 1
    while _met < count:
        await asyncio.sleep(0.01)
    return _met


@task(asyncio=False)
async def littering() -> list[str]:
    """Leave a task running, and tell which ones are."""
    import asyncio

    async def forever() -> None:
        await asyncio.Event().wait()

    left = asyncio.create_task(forever(), name="left")
    await asyncio.sleep(0)
    assert not left.done()
    return sorted(task.get_name() for task in asyncio.all_tasks())


@task(asyncio=False)
async def sleepy() -> None:
    import asyncio

    await asyncio.Event().wait()


@task
async def broken() -> None:
    raise KeyError("in a coroutine")


@task
def careful(job: JobContext, pages: int) -> list[object]:
    """Work off pages; die after each, and go on there the next time."""
    done: int = job.last_checkpoint or 0
    if done < pages:
        job.checkpoint(done + 1)
        assert job.last_checkpoint == done + 1
        if done == 0:
            raise KeyError("one page")
        os.kill(os.getpid(), signal.SIGKILL)
    return [done, job.attempt]


@task
def keeps_and_says_nothing(job: JobContext) -> None:
    job.checkpoint({"a": [1, None]})


@task
def clock(job: JobContext) -> list[object]:
    return [job.deadline, job.remaining_s]


@task
def talks(job: JobContext, text: str) -> None:
    job.log.debug("debug %s", text)
    job.log.info("info %s", text)
    job.log.warning("warning %s", text)


@task
def greedy(job: JobContext) -> str:
    job.checkpoint(1)
    out = []
    for value in ({1}, "x" * 70_000, float("nan")):
        try:
            job.checkpoint(value)
        except (TypeError, ValueError) as error:
            out.append(type(error).__name__)
    return f"{out} {job.last_checkpoint}"


@task
def waits_once(job: JobContext, flag: str) -> None:
    """Hang in the first run, until the daemon is stopped."""
    if job.last_checkpoint is None:
        job.checkpoint("seen")
        with open(flag, "w") as stream:
            stream.write("x")
        signal.pause()


@task(attempts=1)
def boom(text: str) -> None:
    raise LookupError(text)


@task
def gives_up(text: str) -> None:
    raise Fail(text)


@task
def blocks(flag: str) -> str:
    """Tell that it runs, and wait for the flag to go."""
    with open(flag, "w") as stream:
        stream.write("x")
    while os.path.exists(flag):
        time.sleep(0.005)
    return "went"


@task
def steps(count: int) -> int:
    """Submit the rest of them as a job of its own."""
    if count > 1:
        steps.submit(count - 1)
    return count


@task(attempts=1)
def quits(status: int) -> None:
    raise SystemExit(status)


@task(attempts=1)
def numbers() -> dict[object, str]:
    return {1: "a", "1": "b"}
