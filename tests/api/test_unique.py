# SPDX-License-Identifier: MIT
"""
Tasks with a key: one job stands for all that are alike.

And what else of tasks needs a clock, or jobs that run when the test says
so: with the fixtures that the package brings for the tests of others.
"""

import datetime
import os
from typing import Any

import pytest
from spooler import JobFailed, JobLost, check
from spooler.errors import SpoolError
from spooler.pytest_plugin import (  # noqa: F401 - they are the fixtures
    LocalDaemon,
    LocalSpool,
    spool,
    spoold,
)
from spooler.spool import Spool

from . import jobs


@pytest.fixture(autouse=True)
def sound(spool: LocalSpool) -> Any:  # noqa: F811
    """Nothing violates the invariants at the end."""
    yield
    if os.path.isdir(spool.path / "keys"):
        with Spool(str(spool.path)) as opened:
            assert list(check.check(opened, lambda _: False)) == []


def test_the_result_of_the_one_that_ran(
    spool: LocalSpool  # noqa: F811
) -> None:
    """Who submits what is there already gets its result, until it is over."""
    once = jobs.add.options(key="k", unique="1h")
    first = once.submit(1, 2)
    second = once.submit(30, 40)
    assert first == second and second.existing and not first.existing
    assert spool.drain() == [first.id]
    assert first.result(0) == second.result(0) == 3
    spool.advance("59m")
    assert once.submit(5, 6) == first  # whatever became of it
    spool.advance(datetime.timedelta(minutes=2))
    third = once.submit(5, 6)
    assert not third.existing and once.submit(7, 8) == third
    assert spool.drain() == [third.id] and third.result(0) == 11


def test_until_it_begins(spool: LocalSpool) -> None:  # noqa: F811
    """A retry does not stand for those that are still to come."""
    once = jobs.boom.options(key="k", unique="waiting", delay=60)
    first = once.submit("a")
    assert once.submit("b") == first and spool.drain() == []
    spool.advance(61)
    assert spool.drain() == [first.id]
    assert not once.submit("c").existing


def test_until_it_has_ended(spool: LocalSpool) -> None:  # noqa: F811
    """Between its runs it stands for all; when it failed, for none."""
    once = jobs.careful.options(key="k", unique="done", attempts=2)
    first = once.submit(1)
    assert spool.drain() == [first.id] and first.status() == "deferred"
    assert once.submit(0) == first
    final = jobs.gives_up.options(key="k", unique="done").submit("no")
    assert not final.existing
    assert spool.drain() == [final.id]
    with pytest.raises(JobFailed):
        final.result(0)
    again = jobs.gives_up.options(key="k", unique="done").submit("no")
    assert not again.existing


def test_the_latest_is_the_one_that_runs(
    spool: LocalSpool  # noqa: F811
) -> None:
    """A storm of calls comes to one run, of the last of them."""
    late = jobs.add.options(key="k", unique="latest", delay=30)
    storm = [late.submit(number, 0) for number in range(5)]
    assert spool.drain() == []
    storm.append(late.submit(5, 0))  # the others are put off by now
    spool.advance(31)
    assert spool.drain() == [storm[-1].id] and storm[-1].result(0) == 5
    for job in storm[:-1]:
        with pytest.raises(JobLost):
            job.result(0)


def test_with_a_daemon(
    spool: LocalSpool, spoold: LocalDaemon  # noqa: F811
) -> None:
    """The same, with workers that claim while producers submit."""
    late = jobs.add.options(key="k", unique="latest", delay=0.3)
    storm = [late.submit(number, 0) for number in range(5)]
    assert storm[-1].result(30) == 4
    once = jobs.add.options(key="j", unique="1h")
    assert {once.submit(2, 3).result(30) for _ in range(3)} == {5}
    failing = jobs.gives_up.options(key="k", unique="done")
    first = failing.submit("no")
    assert first.wait(30) and not failing.submit("again").existing
    assert spoold.stop() == 0


def test_keys_are_of_a_task(spool: LocalSpool) -> None:  # noqa: F811
    """The same key of another task is another one."""
    first = jobs.add.options(key="k", unique="done").submit(1)
    other = jobs.shout.options(key="k", unique="done").submit("x")
    assert not other.existing and other.id != first.id
    assert not jobs.add.options(key="k").submit(1).existing


def test_many_at_once(spool: LocalSpool) -> None:  # noqa: F811
    """Those of a batch which are unique keep their places in the answer."""
    once = jobs.add.options(key="k", unique=datetime.timedelta(hours=1))
    calls = [
        jobs.add.call(1), once.call(2), jobs.add.call(3), once.call(4),
    ]
    plain, first, other, second = jobs.add.submit_many(calls)
    assert first == second and second.existing
    assert sorted(spool.drain()) == sorted([plain.id, first.id, other.id])
    assert [job.result(0) for job in (plain, first, other)] == [2, 3, 4]


@pytest.mark.parametrize("options", [
    {"unique": "done"}, {"key": "k", "unique": "newest"},
    {"key": "k", "unique": 0}, {"key": "k", "unique": "1 fortnight"},
    {"key": "k", "unique": ""},
])
def test_what_cannot_be_meant(options: dict[str, Any]) -> None:
    """It is refused before anything is submitted."""
    with pytest.raises(ValueError):
        jobs.add.options(**options)


def test_cancelled_jobs_free_their_keys(
    spool: LocalSpool  # noqa: F811
) -> None:
    """Who cancels a job may submit it again."""
    once = jobs.add.options(key="k", unique="done")
    first = once.submit(1)
    assert first.cancel()
    second = once.submit(1)
    assert not second.existing and second != first


def test_a_spool_without_keys(spool: LocalSpool) -> None:  # noqa: F811
    """It says how to complete it; jobs without a key are not in its way."""
    (spool.path / "keys").rmdir()
    jobs.add.submit(1)
    with pytest.raises(SpoolError, match="makes it again"):
        jobs.add.options(key="k", unique="done").submit(1)


def test_a_checkpoint_leaves_nothing(
    spool: LocalSpool  # noqa: F811
) -> None:
    """A first run that keeps one and succeeds leaves no record behind."""
    job = jobs.keeps_and_says_nothing.submit()
    assert spool.drain() == [job.id] and job.result(0) is None
    assert os.listdir(spool.path / "deferred") == []


def test_bad_checkpoints(spool: LocalSpool) -> None:  # noqa: F811
    """What is too large or no JSON is refused, and the last one stays."""
    job = jobs.greedy.submit()
    spool.drain()
    assert job.result(0) == "['TypeError', 'ValueError', 'TypeError'] 1"
