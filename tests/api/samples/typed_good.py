# SPDX-License-Identifier: MIT
"""What a type checker must make of tasks; mypy reads it, nothing runs it."""

from collections.abc import Coroutine
from typing import assert_type

from spooler import Job, JobContext, SpoolExecutor, submit_many, task


@task
def thumbnail(path: str, size: int = 128) -> str:
    return path


@task(attempts=5, timeout="2m")
def count(path: str, *, size: int = 128) -> dict[str, int]:
    return {}


@task
def paged(job: JobContext, pages: int) -> list[int]:
    return []


@task(name="fetch-it")
async def fetch(job: JobContext, url: str) -> list[int]:
    return []


@task
async def nothing() -> None:
    pass


@task
def many(*numbers: int, **words: str) -> int:
    return 1


assert_type(thumbnail("a"), str)
assert_type(thumbnail.submit("a", size=1), Job[str])
assert_type(
    count.options(priority=3).submit("a", size=1), Job[dict[str, int]]
)
assert_type(paged.submit(1), Job[list[int]])
assert_type(paged(1), list[int])
assert_type(fetch.submit("u"), Job[list[int]])
assert_type(nothing.submit(), Job[None])
assert_type(many.submit(3, a="b"), Job[int])
assert_type(
    thumbnail.submit_many(thumbnail.call(p) for p in "ab"), list[Job[str]]
)
assert_type(submit_many([thumbnail.call("a")]), list[Job[str]])
mixed: list[Job[object]] = submit_many([thumbnail.call("a"), many.call(1)])


def work(executor: SpoolExecutor) -> None:
    assert_type(executor.submit(thumbnail, "a", size=1).result(), str)
    assert_type(executor.submit(paged, 1).result(), list[int])
    assert_type(executor.submit(fetch, "u").result(), list[int])
    assert_type(executor.submit(len, "u").result(), int)
    assert_type(list(executor.map(fetch, ["u"])), list[list[int]])
    assert_type(list(executor.map(thumbnail, ["u"])), list[str])


async def use() -> None:
    run = assert_type(nothing(), Coroutine[object, object, None])
    await run
