# SPDX-License-Identifier: MIT
"""
What ``drain`` makes of a job is what spoold makes of it: with the fixtures
that the package brings for the tests of others.
"""

from collections.abc import Callable
from typing import Any

import pytest
from spooler import Job, JobFailed
from spooler.pytest_plugin import (  # noqa: F401 - they are the fixtures
    LocalDaemon,
    LocalSpool,
    spool,
    spoold,
)
from spooler.spool import Spool
from spooler.states import State

from . import jobs

TASKS: dict[str, Callable[[], Job[Any]]] = {
    "arguments": lambda: jobs.add.submit(1, b=2),
    "any JSON": lambda: jobs.echo.submit({"a": [None, "é"]}, x=1.5),
    "a name of its own": lambda: jobs.who.submit("hi"),
    "a coroutine": lambda: jobs.later.submit("abc"),
    "a coroutine that raises": lambda: jobs.broken.options(
        attempts=1
    ).submit(),
    "a limit in time": lambda: jobs.shout.submit("abc"),
    "nothing": lambda: jobs.keeps_and_says_nothing.submit(),
    "what no JSON is": lambda: jobs.greedy.submit(),
    "keys that are numbers": lambda: jobs.numbers.submit(),
    "one attempt": lambda: jobs.boom.submit("x"),
    "an exit": lambda: jobs.quits.submit(3),
    "giving up": lambda: jobs.gives_up.submit("wrong address"),
    "a tag": lambda: jobs.add.options(tags=["t"]).submit(2),
    "a checkpoint": lambda: jobs.careful.submit(0),
    "an exception": lambda: jobs.careful.options(attempts=1).submit(1),
    "wrong arguments": lambda: jobs.add.options(attempts=1).submit(
        "a", 1  # type: ignore[arg-type]
    ),
}


@pytest.fixture(autouse=True)
def chosen() -> None:
    """The plugin chooses the spool."""


def told(job: Job[Any], made: LocalSpool) -> dict[str, Any]:
    """What a caller, and the record, can tell of an ended job."""
    # What earlier runs left goes after the verdict, so deferred/ is not told.
    value, failure = None, None
    try:
        value = job.result(30)
    except JobFailed as error:
        cause = str(error.__cause__).rstrip().splitlines()[-1]
        failure = error.reason, error.kind, error.attempts, cause
    with Spool(str(made.path)) as opened:
        entries = {
            state.value: sorted(
                entry.name.rpartition(".")[2] if "," not in entry.name
                else entry.name.partition(".v")[2].rstrip("0123456789")
                for entry in opened.scan(state)
                if entry.name[2:22] == job.id
            )
            for state in (State.DONE, State.FAILED)
        }
    entries = {
        state: [entry.partition(".")[0] for entry in found]
        for state, found in entries.items()
    }
    return {"value": value, "failure": failure, "entries": entries}


@pytest.mark.parametrize("what", TASKS)
def test_both_come_to_the_same(
    request: pytest.FixtureRequest, spool: LocalSpool, what: str  # noqa: F811
) -> None:
    """A task ends alike in the process of a test and under a daemon."""
    here = TASKS[what]()
    assert spool.drain() == [here.id]
    seen = told(here, spool)
    request.getfixturevalue("spoold")
    there = TASKS[what]()
    assert told(there, spool) == seen
    assert spool.drain() == []


def test_a_value_that_would_change_on_its_way(
    spool: LocalSpool  # noqa: F811
) -> None:
    """It is no result: the reason says what of it is not JSON."""
    job = jobs.numbers.submit()
    assert spool.drain() == [job.id]
    with pytest.raises(JobFailed, match="returned has the key 1, which is no"):
        job.result(0)
