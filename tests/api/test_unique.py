# SPDX-License-Identifier: MIT
"""Tasks with a key: one job stands for all that are alike."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from spooler import Job, JobLost
from spooler.errors import SpoolError
from support import Spoold, SpoolDir

from . import jobs

Start = Callable[..., Spoold]


def test_the_result_of_the_one_that_runs(
    spool: SpoolDir, serve: Start
) -> None:
    """Who submits what is there already gets its result."""
    once = jobs.add.options(key="k", unique="1h")
    serve()
    first = once.submit(1, 2)
    second = once.submit(30, 40)
    assert first == second and second.existing and not first.existing
    assert first.result(30) == second.result(30) == 3
    third = once.submit(5, 6)  # whatever became of it
    assert third.existing and third.result(30) == 3
    assert jobs.add.options(key="j", unique="1h").submit(5, 6).result(30) == 11


def test_keys_are_of_a_task(spool: SpoolDir) -> None:
    """The same key of another task is another one."""
    first = jobs.add.options(key="k", unique="done").submit(1)
    other = jobs.shout.options(key="k", unique="done").submit("x")
    assert not other.existing and other.id != first.id
    assert not jobs.add.options(key="k").submit(1).existing


def test_the_latest_is_the_one_that_runs(
    spool: SpoolDir, serve: Start
) -> None:
    """A storm of calls comes to one run, of the last of them."""
    serve()
    late = jobs.add.options(key="k", unique="latest", delay=0.3)
    storm = [late.submit(number, 0) for number in range(5)]
    assert storm[-1].result(30) == 4
    for job in storm[:-1]:
        with pytest.raises(JobLost):
            job.result(30)
    assert [found.name.id for found in spool.jobs("done")] == [storm[-1].id]


def test_many_at_once(spool: SpoolDir) -> None:
    """Those of a batch which are unique keep their places in the answer."""
    once = jobs.add.options(key="k", unique=datetime.timedelta(hours=1))
    calls = [
        jobs.add.call(1), once.call(2), jobs.add.call(3), once.call(4),
    ]
    plain, first, other, second = jobs.add.submit_many(calls)
    assert first == second and second.existing
    assert len({plain, first, other}) == spool.count("incoming") == 3


@pytest.mark.parametrize("options", [
    {"unique": "done"}, {"key": "k", "unique": "newest"},
    {"key": "k", "unique": 0}, {"key": "k", "unique": "1 fortnight"},
    {"key": "k", "unique": ""},
])
def test_what_cannot_be_meant(options: dict[str, Any]) -> None:
    """It is refused before anything is submitted."""
    with pytest.raises(ValueError):
        jobs.add.options(**options)


def test_cancelled_jobs_free_their_keys(spool: SpoolDir) -> None:
    """Who cancels a job may submit it again."""
    once = jobs.add.options(key="k", unique="done")
    first = once.submit(1)
    assert first.cancel()
    second = once.submit(1)
    assert not second.existing and second != first


def test_a_spool_without_keys(spool: SpoolDir) -> None:
    """It says how to complete it; jobs without a key are not in its way."""
    (spool.path / "keys").rmdir()
    jobs.add.submit(1)
    with pytest.raises(SpoolError, match="makes it again"):
        jobs.add.options(key="k", unique="done").submit(1)


def test_a_failure_frees_the_key(spool: SpoolDir, serve: Start) -> None:
    """A job that failed for good stands for nobody."""
    once = jobs.gives_up.options(key="k", unique="done")
    serve()
    first: Job[None] = once.submit("no")
    assert first.wait(30) and first.status() == "failed"
    second = once.submit("again")
    assert not second.existing and second.wait(30)
    assert spool.listed("keys") == []
