# SPDX-License-Identifier: MIT
"""Tasks that the tests submit."""

from spooler import JobContext, task


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


@task
async def littering() -> list[str]:
    """Leave a task running, and tell which ones are."""
    import asyncio

    async def forever() -> None:
        await asyncio.Event().wait()

    left = asyncio.create_task(forever(), name="left")
    await asyncio.sleep(0)
    assert not left.done()
    return sorted(task.get_name() for task in asyncio.all_tasks())


@task
async def sleepy() -> None:
    import asyncio

    await asyncio.Event().wait()


@task
async def broken() -> None:
    raise KeyError("in a coroutine")
