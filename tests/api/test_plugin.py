# SPDX-License-Identifier: MIT
"""The fixtures for other people's tests, as those people would use them."""

import os
import pathlib
import subprocess
import sys

import pytest

JOBS = '''
import asyncio
import datetime
from spooler import Defer, JobContext, task

runs = []

@task
def double(number: int) -> int:
    return number * 2

@task(attempts=2, backoff="10s")
def fails(text: str) -> None:
    runs.append(text)
    raise KeyError(text)

@task
def once_more(job: JobContext) -> str:
    if job.attempt == 1:
        job.checkpoint("kept")
        raise Defer("not now", 60)
    return f"{job.attempt} {job.last_checkpoint}"

@task
def begets(number: int) -> None:
    if number:
        begets.submit(number - 1)

@task
async def later(text: str) -> str:
    return text[::-1]

met = []

@task(match=["*.\U0001f600"])
async def meets(count: int) -> int:
    met.append(count)
    while len(met) < count:
        await asyncio.sleep(0.01)
    return len(met)

@task
def which() -> str:
    return "one"

@task
def interrupted() -> None:
    raise KeyboardInterrupt
'''

OTHERS = '''
from spooler import task

@task
def which() -> str:
    return "other"
'''

TESTS = '''
import asyncio
import datetime
import os
import pytest
import threading
from spooler import JobFailed, task
import user_jobs as jobs
import other_jobs

def test_result(spool):
    job = jobs.double.submit(21)
    assert job.status() == "incoming"
    assert spool.drain() == [job.id]
    assert job.result(0) == 42 and spool.drain() == []
    assert jobs.later.submit("abc") and spool.drain()
    assert os.environ["SPOOL_DIR"] == str(spool.path)
    assert threading.active_count() == 1

def test_order(spool):
    low = jobs.double.options(priority=1).submit(1)
    high = jobs.double.options(priority=9).submit(1)
    assert spool.drain() == [high.id, low.id]

def test_delay(spool):
    job = jobs.double.options(delay="1h").submit(1)
    assert spool.drain() == [] and job.status() == "deferred"
    spool.advance(datetime.timedelta(minutes=59))
    assert spool.drain() == []
    other = jobs.double.options(delay=30).submit(2)
    assert spool.drain() == []
    spool.advance(61)
    assert spool.drain() == [job.id, other.id]
    assert job.result(0) == 2

def test_retries(spool):
    job = jobs.fails.submit("x")
    assert spool.drain() == [job.id] and job.status() == "deferred"
    assert spool.drain() == []
    spool.advance(11)
    assert spool.drain() == [job.id]
    with pytest.raises(JobFailed, match="KeyError: 'x'") as raised:
        job.result(0)
    assert "raise KeyError(text)" in str(raised.value.__cause__)
    assert jobs.runs == ["x", "x"]

def test_defer_and_checkpoint(spool):
    job = jobs.once_more.submit()
    spool.drain()
    spool.advance("1m")
    spool.drain()
    assert job.result(0) == "2 kept"

def test_jobs_of_jobs(spool):
    jobs.begets.submit(5)
    assert len(spool.drain()) == 6

def test_local_task(spool):
    @task
    def here(text: str) -> str:
        return text.upper()

    job = here.submit("x")
    spool.drain()
    assert job.result(0) == "X"

def test_of_two_of_one_name_that_which_was_submitted(spool):
    for module, told in (jobs, "one"), (other_jobs, "other"), (jobs, "one"):
        job = module.which.submit()
        assert spool.drain() == [job.id] and job.result(0) == told

def test_in_a_loop(spool):
    async def main():
        first, second = jobs.later.submit("abc"), jobs.double.submit(1)
        assert spool.drain() == [first.id, second.id]
        return await first, await second

    assert asyncio.run(main()) == ("cba", 2)
    job = jobs.later.submit("de")
    assert spool.drain() == [job.id] and job.result(0) == "ed"

def test_interrupted(spool):
    job = jobs.interrupted.submit()
    with pytest.raises(KeyboardInterrupt):
        spool.drain()
    assert job.status() == "incoming"

def test_unknown(spool):
    import spooler
    job_id = spooler.submit(str(spool.path), "nobody", "x")
    spool.drain()
    with pytest.raises(JobFailed, match="unknown handler 'nobody'"):
        spooler.Job.attach(job_id).result(0)

def test_configuration(spool):
    spool.configure('[handler.d]\\npython = "user_jobs:double"\\n'
                    '[handler.c]\\ncommand = ["true"]\\nmatch = ["*"]\\n')
    import spooler
    job_id = spooler.submit(str(spool.path), "d", "x")
    spool.drain()
    assert spooler.Job.attach(job_id).result(0) == "xx"
    (spool.path / "incoming" / "file").write_text("x")
    with pytest.raises(RuntimeError, match="fixture spoold"):
        spool.drain()

def test_daemon(spool, spoold):
    assert jobs.double.submit(4).result(30) == 8
    together = [jobs.meets.submit(5) for _ in range(5)]
    assert {job.result(30) for job in together} == {5}
    assert "spoold ready" in spoold.log
    assert spoold.stop() == 0
'''


def test_fixtures(tmp_path: pathlib.Path) -> None:
    """Tests of a program run its jobs, with a clock and with a daemon."""
    (tmp_path / "user_jobs.py").write_text(JOBS)
    (tmp_path / "other_jobs.py").write_text(OTHERS)
    (tmp_path / "test_user.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environ = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "SPOOL"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "--basetemp", str(tmp_path / "t"),
         "test_user.py"],
        cwd=tmp_path, capture_output=True, text=True, env=environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{TESTS.count('def test_')} passed" in done.stdout


def test_plugin_is_found_by_pytest(request: pytest.FixtureRequest) -> None:
    """Installing the package is enough; it need not be named."""
    from importlib.metadata import entry_points

    found = {point.value for point in entry_points(group="pytest11")}
    assert "spooler.pytest_plugin" in found


def test_our_own_fixtures_win(spool: object) -> None:
    """A conftest that has a fixture of the same name keeps it."""
    assert type(spool).__module__ == "support"
