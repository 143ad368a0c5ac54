# SPDX-License-Identifier: MIT
"""Jobs from the outside: waiting for them, their results, their end."""

import asyncio
import os
import pathlib
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from spooler import (
    Job, JobFailed, JobLost, ending, outbox, waiting, watch,
)
from spooler.errors import RemoteError, SpoolError
from spooler.spool import Spool
from spooler.states import State
from support import SPOOLCTL, Spoold, SpoolDir, wait_until

from . import jobs

Start = Callable[..., Spoold]


@pytest.fixture(autouse=True)
def no_watcher_left() -> Iterator[None]:
    """Whatever watched ends with the test."""
    yield
    for watcher in list(outbox.watchers.values()):
        assert isinstance(watcher, waiting.Watcher)
        watcher.close()
    assert not outbox.watchers


@pytest.fixture(params=["events", "no events"])
def hearing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> str:
    """With events from the kernel, and without."""
    if request.param == "no events":

        def refuse(*_: object) -> None:
            raise OSError(28, "no watch left")

        monkeypatch.setattr(waiting, "Moves", refuse)
    return str(request.param)


def move(spool: SpoolDir, job: Job[Any], state: State) -> None:
    """Settle a waiting job as a worker would."""
    with Spool(str(spool.path)) as opened:
        (entry,) = (
            item.name for item in opened.scan(State.INCOMING)
            if job.id in item.name
        )
        active = opened.claim(entry, "0" * 7)
        assert active is not None
        if state is State.DONE:
            opened.finish(active, "ok", 5)
        elif state is State.FAILED:
            opened.fail(active, "exit3", 5)


def deafen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every event rung for, and none of them told."""
    monkeypatch.setattr(
        watch._Ear, "on_event", lambda self, _: self._bell.ring()
    )


# With a daemon.


def test_results(spool: SpoolDir, serve: Start, hearing: str) -> None:
    """Whatever a handler returns is the result, None too."""
    serve()
    assert jobs.add.submit(2, 3).result(30) == 5
    assert jobs.later.submit("abc").result(30) == "cba"
    assert jobs.keeps_and_says_nothing.submit().result(30) is None
    job = jobs.echo.submit(1, x=[None])
    assert job.wait(30) and job.result(0) == [[1], {"x": [None]}]
    assert job.result() == job.result(0) and job.done()
    assert job.status() == "done"


def test_failures(spool: SpoolDir, serve: Start) -> None:
    """A failure has the reason, and what the handler raised as its cause."""
    serve()
    with pytest.raises(JobFailed) as raised:
        jobs.boom.submit("oh no").result(30)
    error = raised.value
    assert (error.reason, error.kind) == ("LookupError: oh no", "error")
    assert error.attempts == 1 and error.job_id in str(error)
    assert isinstance(error.__cause__, RemoteError)
    assert "raise LookupError(text)" in str(error.__cause__)
    assert "in boom" in str(error.__cause__)
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error) and str(again) == str(error)
    with pytest.raises(JobFailed, match="never") as raised:
        jobs.gives_up.submit("never").result(30)
    assert raised.value.kind == "fail"


def test_asyncio(spool: SpoolDir, serve: Start, hearing: str) -> None:
    """Many jobs are awaited at once, by one thread and one watch."""
    serve()
    before = threading.active_count()

    async def use() -> list[int]:
        made = jobs.add.submit_many(jobs.add.call(n) for n in range(300))
        waits = [asyncio.ensure_future(job.result_async(30)) for job in made]
        await asyncio.sleep(0)
        assert threading.active_count() <= before + 2
        assert len(outbox.watchers) == 1
        with pytest.raises(JobFailed):
            await jobs.boom.submit("x")
        assert await jobs.add.submit(1) == 2
        return await asyncio.gather(*waits)

    assert asyncio.run(use()) == list(range(1, 301))


def test_a_running_job(
    spool: SpoolDir, serve: Start, tmp_path: pathlib.Path
) -> None:
    """A wait runs out of time; one that runs cannot be cancelled."""
    serve()
    flag = tmp_path / "flag"
    job = jobs.blocks.submit(str(flag))
    wait_until(flag.exists)
    assert job.status() == "active" and not job.done()
    assert not job.wait(0) and not job.wait(0.01)
    with pytest.raises(TimeoutError, match="not within 0.01s"):
        job.result(0.01)
    assert not job.cancel()
    assert not asyncio.run(job.wait_async(0.01))
    with pytest.raises(TimeoutError):
        asyncio.run(job.result_async(0.01))
    flag.unlink()
    assert job.result(30) == "went"
    assert not job.cancel()


def test_another_process(spool: SpoolDir, serve: Start) -> None:
    """An id is enough to take the result, elsewhere and later."""
    serve()
    job_id = jobs.add.submit(20, 22).id
    done = subprocess.run(
        [sys.executable, "-c",
         f"from spooler import Job; print(Job.attach({job_id!r}).result(30))"],
        capture_output=True, text=True, timeout=60,
    )
    assert (done.stdout, done.stderr) == ("42\n", "")


# Without one.


@pytest.mark.parametrize("when", ["before", "after"])
def test_it_ended_before_or_after(
    spool: SpoolDir, hearing: str, when: str
) -> None:
    """The end is found whether the wait begins before it or after."""
    for state in (State.DONE, State.FAILED):
        job = jobs.add.submit(1)
        if when == "before":
            move(spool, job, state)
        else:
            timer = threading.Timer(0.05, move, (spool, job, state))
            timer.start()
        assert job.wait(30)
        if state is State.DONE:
            assert job.result(0) is None
        else:
            with pytest.raises(JobFailed, match="exit 3"):
                job.result(0)
        assert job.done()


def test_cancel(spool: SpoolDir, hearing: str) -> None:
    """A job that waits is removed, and who waits for it is told at once."""
    job = jobs.add.submit(1)
    told: list[BaseException] = []

    def wait() -> None:
        try:
            Job.attach(job.id).result(30)
        except JobLost as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: outbox.watchers)
    assert job.cancel() and not job.cancel()
    thread.join(10)
    assert len(told) == 1
    assert not spool.listed("incoming")
    with pytest.raises(JobLost):
        job.result()
    for state in ("deferred", "hold"):
        other = jobs.add.submit(1)
        (entry,) = spool.listed("incoming")
        stem, _, tail = entry.partition(",")
        due = ".d" + "0" * 11 if state == "deferred" else ""
        (spool.path / "incoming" / entry).rename(
            spool.path / state / f"{stem}{due},{tail}"
        )
        assert other.cancel() and not spool.listed(state)


def test_removed_by_somebody_else(spool: SpoolDir, hearing: str) -> None:
    """A job that a person removes is lost, not waited for in vain."""
    job = jobs.add.submit(1)
    timer = threading.Timer(0.2, subprocess.run, (
        [sys.executable, SPOOLCTL, "-C", str(spool.path), "rm", "-y", job.id],
    ))
    timer.start()
    with pytest.raises(JobLost, match=job.id):
        job.result(30)
    timer.join()
    with pytest.raises(JobLost):
        job.status()


def test_removed_though_its_end_was_to_be_heard(spool: SpoolDir) -> None:
    """Nor if it was submitted under the eyes of a watcher at rest."""
    assert waiting.watcher(str(spool.path))
    job = jobs.add.submit(1)
    timer = threading.Timer(0.2, _remove, (spool, job))
    timer.start()
    with pytest.raises(JobLost, match=job.id):
        job.result(waiting._IDLE_S * 2 / 3)
    timer.join()


def _remove(spool: SpoolDir, job: Job[Any]) -> None:
    with Spool(str(spool.path)) as opened:
        (entry,) = spool.listed("incoming")
        assert job.id in entry and opened.remove(State.INCOMING, entry)


def test_no_such_job(spool: SpoolDir) -> None:
    """An id without a job is lost at once, and asyncio is told the same."""
    job = Job.attach("0" * 20)
    for look in (job.status, job.done, job.wait, job.result):
        with pytest.raises(JobLost):
            look()
    with pytest.raises(JobLost):
        asyncio.run(Job.attach("0" * 20).wait_async(30))
    assert not job.cancel()


def test_no_spool(tmp_path: pathlib.Path) -> None:
    """A path without a spool is said to be one."""
    job = Job.attach("0" * 20, tmp_path / "nowhere")
    for look in (job.status, job.wait, job.cancel):
        with pytest.raises(SpoolError, match="no spool"):
            look()


def test_torn_record(spool: SpoolDir) -> None:
    """A result that was altered is not shown."""
    job = jobs.add.submit(1)
    move(spool, job, State.DONE)
    (entry,) = spool.listed("done")
    (spool.path / "done" / f"{entry[:22]}.result").write_text("{}\n")
    with pytest.raises(JobLost, match="torn"):
        job.result(0)


def test_events_are_only_hints(
    spool: SpoolDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If every event is lost, and nobody says so, looks find the end."""
    deafen(monkeypatch)
    monkeypatch.setattr(waiting, "_REST_S", 0.1)
    job = jobs.add.submit(1)
    assert not job.wait(0.2)
    move(spool, job, State.DONE)
    assert job.wait(30)


def test_lost_events_are_looked_for(
    spool: SpoolDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an overflow everything that is waited for is looked for."""
    first = jobs.add.submit(1)
    assert not first.wait(0.05)  # from here on there is a watcher
    second = jobs.add.submit(2)
    watcher = outbox.watchers[second.spool]
    assert watcher.expects(second.id) and not watcher.expects(first.id)
    deafen(monkeypatch)
    monkeypatch.setattr(watch.Moves, "take_lost", lambda self: True)
    move(spool, first, State.DONE)
    move(spool, second, State.DONE)
    assert second.wait(30) and first.wait(30)


def test_heard_before_anybody_waited(spool: SpoolDir) -> None:
    """What was submitted under a watch needs no look, whenever it ended."""
    first = jobs.add.submit(1)
    assert not first.wait(0.05)
    second = jobs.add.submit(2)
    job_id = second.id
    watcher = outbox.watchers[second.spool]
    move(spool, second, State.DONE)
    heard: Any = getattr(watcher, "_expected")
    wait_until(lambda: heard[job_id] is not None)
    looked: Any = getattr(watcher, "_look")
    setattr(watcher, "_look", pytest.fail)
    assert second.wait(30)
    setattr(watcher, "_look", looked)
    del second
    assert not heard


def test_sent_back_after_it_was_heard(spool: SpoolDir) -> None:
    """A job that a person sent back is waited for, not lost."""
    first = jobs.add.submit(1)
    assert not first.wait(0.05)
    job = jobs.add.submit(2)
    move(spool, job, State.FAILED)
    heard: Any = getattr(outbox.watchers[job.spool], "_expected")
    wait_until(lambda: heard[job.id] is not None)
    (entry,) = spool.listed("failed")
    with Spool(str(spool.path)) as opened:
        assert opened.requeue(State.FAILED, entry)
    assert not job.wait(0.5)
    move(spool, job, State.DONE)
    assert job.wait(30) and job.result(0) is None


def test_an_end_that_is_not_there_yet(
    spool: SpoolDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that could not be read when it was heard of is read later."""
    job = jobs.add.submit(1)
    told: queue.Queue[ending.Ending] = queue.Queue()
    watcher = waiting.add(job.spool, job.id, told.put)
    wait_until(lambda: not watcher._to_look_for)
    read, answers = ending.read, [None, OSError(5, "EIO")]

    def refuse(*args: Any) -> ending.Ending | None:
        if not answers:
            return read(*args)
        answer = answers.pop()
        if answer is not None:
            raise answer
        return None

    monkeypatch.setattr(ending, "read", refuse)
    move(spool, job, State.FAILED)
    assert told.get(timeout=30).verdict == "exit3" and not answers


@pytest.mark.parametrize("others", [0, waiting._FEW])
def test_a_watcher_is_closed_by_whom_it_tells(
    spool: SpoolDir, others: int
) -> None:
    """A callback may close the watcher that calls it: for a few waits the
    thread that hears of the end, for many the watcher's own."""
    first = jobs.add.submit(1)
    for _ in range(others):
        waiting.add(first.spool, jobs.add.submit(1).id, lambda _: None)
    ended, here = threading.Event(), []

    def tell(_: ending.Ending) -> None:
        here.append(threading.current_thread())
        watcher.close()
        ended.set()

    watcher = waiting.add(first.spool, first.id, tell)
    wait_until(lambda: not watcher._to_look_for)
    move(spool, first, State.DONE)
    assert ended.wait(4)
    watcher._thread.join(30)
    assert (here == [watcher._thread]) is bool(others)
    assert not outbox.watchers


def test_the_watcher_rests(
    spool: SpoolDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anybody waiting the thread ends, and leaves nothing open."""
    monkeypatch.setattr(waiting, "_IDLE_S", 0.05)
    descriptors = os.listdir("/proc/self/fd")
    threads = threading.active_count()
    for _ in range(3):
        job = jobs.add.submit(1)
        assert not job.wait(0.01)
        wait_until(lambda: not outbox.watchers)
        wait_until(lambda: threading.active_count() == threads)
        move(spool, job, State.DONE)
        assert job.wait(30)
    # The client of the spool stays open.
    assert len(os.listdir("/proc/self/fd")) <= len(descriptors) + 8


def test_fork(spool: SpoolDir) -> None:
    """A child that is forked while its parent waits can wait as well."""
    job = jobs.add.submit(1)
    assert not job.wait(0.05)
    pid = os.fork()
    if not pid:
        try:
            child = jobs.add.submit(2)
            assert not child.wait(0.05)
            move(spool, child, State.DONE)
            os._exit(0 if child.wait(20) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    move(spool, job, State.DONE)
    assert job.wait(30)


def test_a_wait_that_is_given_up(spool: SpoolDir) -> None:
    """A cancelled await leaves nothing behind, and its loop may be gone."""
    job = jobs.add.submit(1)

    async def give_up() -> None:
        wait = asyncio.ensure_future(job.result_async())
        await asyncio.sleep(0.05)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait

    asyncio.run(give_up())
    waits: Any = getattr(outbox.watchers[job.spool], "_waits")
    assert not waits
    move(spool, job, State.DONE)
    assert asyncio.run(job.wait_async(30))


def test_thousands_of_waits(spool: SpoolDir) -> None:
    """Two thousand waits need one thread, and each is told its own end."""
    made = jobs.add.submit_many(
        jobs.add.options(durable=False).call(n) for n in range(2000)
    )
    told: list[str] = []
    for job in made:
        waiting.add(job.spool, job.id, lambda ended: told.append(ended.job_id))
    assert len(outbox.watchers) == 1
    with Spool(str(spool.path)) as opened:
        for item in list(opened.scan(State.INCOMING)):
            active = opened.claim(item.name, "0" * 7)
            assert active and opened.finish(active, "ok", 1)
    started = time.monotonic()
    wait_until(lambda: len(told) == 2000)
    assert time.monotonic() - started < 20
    assert set(told) == {job.id for job in made}
