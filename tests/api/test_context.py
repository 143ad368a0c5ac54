# SPDX-License-Identifier: MIT
"""What a task is given of the job it runs."""

import pathlib
import time
from collections.abc import Callable

import pytest
from spooler import check, tasks
from spooler.context import JobContext
from spooler.spool import Spool
from support import Found, Spoold, SpoolDir, wait_until

from . import jobs

Start = Callable[..., Spoold]


def settled(spool: SpoolDir, job_id: str) -> Found:
    """Wait for the verdict of a job."""

    def look() -> Found | None:
        for job in spool.jobs("done", "failed"):
            if job.name.id == job_id:
                return job
        return None

    found: Found = wait_until(look, what=spool.tree)
    return found


def assert_sound(spool: SpoolDir) -> None:
    """Nothing violates the invariants."""
    with Spool(str(spool.path)) as opened:
        assert list(check.check(opened, lambda _: False)) == []


def test_a_checkpoint_outlives_the_run(
    spool: SpoolDir, serve: Start
) -> None:
    """The next run goes on after an exception, and after a kill."""
    serve(text='[handler.careful]\npython = "api.jobs:careful"\n'
               'backoff = 0\n')
    job = settled(spool, jobs.careful.submit(2).id)
    assert job.record["value"] == [2, 3], job.record
    assert job.kinds == [("error", None), ("lost", None), ("ok", None)]
    assert job.record["checkpoint"] is None
    wait_until(lambda: not spool.listed("deferred"))
    assert_sound(spool)


def test_a_job_given_back_keeps_its_checkpoint(
    spool: SpoolDir, serve: Start, tmp_path: pathlib.Path
) -> None:
    """A stop costs no run, and what the cut run kept is there in the next."""
    flag = tmp_path / "flag"
    daemon = serve()
    job_id = jobs.waits_once.submit(str(flag)).id
    wait_until(flag.exists)
    assert daemon.stop() == 0
    assert_sound(spool)
    (waiting,) = spool.jobs("incoming")
    assert waiting.name.runs == 0
    serve()
    job = settled(spool, job_id)
    assert (job.state, job.name.runs) == ("done", 1)
    wait_until(lambda: not spool.listed("deferred"))
    assert_sound(spool)


def test_deadline(spool: SpoolDir, serve: Start) -> None:
    """A run knows when its time is up, or that it never is."""
    serve()
    before = time.monotonic()
    timed = jobs.clock.options(timeout=50).submit()
    free = jobs.clock.submit()
    deadline, remaining = settled(spool, timed.id).record["value"]
    assert before + 50 < deadline < time.monotonic() + 50
    assert 0 < remaining < 50
    assert settled(spool, free.id).record["value"] == [None, None]


def test_log(spool: SpoolDir, serve: Start) -> None:
    """What a job logs is in its own output, from INFO on."""
    serve()
    for text in ("one", "two"):
        job = settled(spool, jobs.talks.submit(text).id)
        lines = f"INFO info {text}\nWARNING warning {text}\n"
        assert job.err.decode() == lines


def test_plain_call() -> None:
    """A task called as a function gets a job that keeps to itself."""
    with pytest.raises(KeyError, match="one page"):
        jobs.careful(1)
    assert jobs.careful(0) == [0, 1]
    assert jobs.greedy().endswith(" 1")
    assert jobs.who("hi") == "hi whoami 1"
    job = JobContext.detached("x")
    assert (job.body, job.args, job.remaining_s) == (b"", [], None)
    job.progress(1, 2, "half")


def test_job_is_found_behind_a_decorator() -> None:
    """A function that a decorator wraps is judged by what it wraps."""
    import functools

    def inner(job: JobContext, a: int) -> int:
        return a

    @functools.wraps(inner)
    def outer(*args: object, **kwargs: object) -> object:
        return inner(*args, **kwargs)  # type: ignore[arg-type]

    made = tasks.Task(outer, None, tasks.Options(), {})
    assert made.wants_job
    assert list(made.signature.parameters) == ["a"]
    assert made(3) == 3
