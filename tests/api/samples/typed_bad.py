# SPDX-License-Identifier: MIT
"""What a type checker must refuse: every line with an E, and no other."""

from spooler import JobContext, task


@task
def thumbnail(path: str, size: int = 128) -> str:
    return path


@task
def paged(job: JobContext, pages: int) -> list[int]:
    return []


thumbnail.submit(1)  # E
thumbnail.submit("a", siz=1)  # E
thumbnail.options(priority=3).submit()  # E
thumbnail.options(priority="3")  # E
thumbnail.call("a", size="b")  # E
paged.submit("x")  # E
x: int = thumbnail("a")  # E
thumbnail.submit("a", 1)
