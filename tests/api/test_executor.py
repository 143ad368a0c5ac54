# SPDX-License-Identifier: MIT
"""The executor, and the handler that calls what the spool allows."""

import asyncio
import concurrent.futures
import pathlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from spooler import (
    Client,
    Job,
    JobFailed,
    SpoolExecutor,
    calls,
    outbox,
    waiting,
)
from spooler.errors import Fail, SpoolError
from spooler.executor import SpoolFuture
from spooler.handlers import LoadError
from support import Spoold, SpoolDir, wait_until

from . import funcs, jobs

Start = Callable[..., Spoold]
CALL = """
[handler.call]
python = "spooler.calls:call"
backoff = 0
allow = ["api.funcs", "api.funcs:_hidden", "json.*"]
"""


@pytest.fixture(autouse=True)
def no_watcher_left() -> Iterator[None]:
    """Whatever watched ends with the test."""
    yield
    for watcher in list(outbox.watchers.values()):
        assert isinstance(watcher, waiting.Watcher)
        watcher.close()


@pytest.fixture
def executor(serve: Start) -> Iterator[SpoolExecutor]:
    """An executor, and a daemon that works for it."""
    serve(text=CALL)
    with SpoolExecutor(durable=False) as made:
        yield made


# What may be called.


@pytest.mark.parametrize(("target", "allow", "want"), [
    ("a.b:f", ("a.b",), True), ("a.b:C.f", ("a.b",), True),
    ("a.b:f", ("a",), False), ("a.b:f", ("a.*",), True),
    ("a:f", ("a.*",), False), ("ab:f", ("a.*",), False),
    ("a.b.c:f", ("a.*",), True), ("a.b:f", ("a.b:f",), True),
    ("a.b:g", ("a.b:f",), False), ("a.b:_f", ("a.b", "a.*"), False),
    ("a.b:_f", ("a.b:_f",), True), ("a.b:C.__init__", ("a.b",), False),
    ("a._b:f", ("a.*",), False), ("a.b:f", (), False),
    ("a.b", ("a.b",), False), ("a.b:", ("a.b",), False),
    ("a.b:f:g", ("a.b",), False), ("a.b:f()", ("a.b",), False),
    ("a.b:<lambda>", ("a.b",), False), ("a..b:f", ("a.*",), False),
    ("a.b :f", ("a.b",), False), (":f", ("",), False),
    ("a/b:f", ("a.*",), False), ("a.b:f.", ("a.b",), False),
])
def test_patterns(target: str, allow: tuple[str, ...], want: bool) -> None:
    """Each form of pattern allows what it says, and nothing beside it."""
    assert calls.is_allowed(target, allow) is want


@pytest.mark.parametrize("target", [
    "api.funcs:system", "api.funcs:os.system", "api.funcs:time.sleep",
    "api.funcs:Till", "api.funcs:Till.total", "api.funcs:nothing",
    "api.funcs:inner", "api.jobs:add", "os:system", "subprocess:run",
    "builtins:eval", "api.funcs:double.fget", 3, None, ["api.funcs:double"],
    "api.funcs:double\n", "spooler.calls:permitted",
])
def test_what_is_refused(target: object) -> None:
    """Only functions that are defined in an allowed module are found."""
    with pytest.raises(Fail):
        calls.permitted(target, ("api.funcs",))


def test_a_refused_module_is_not_imported(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration is asked before anything is imported."""
    flag = tmp_path / "flag"
    (tmp_path / "evil.py").write_text(f"open({str(flag)!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Fail):
        calls.permitted("evil:f", ("api.*",))
    assert not flag.exists()
    with pytest.raises(Fail):
        calls.permitted("evil:f", ("evil",))
    assert flag.exists()
    with pytest.raises(LoadError):
        calls.permitted("evil.not_there:f", ("evil.*",))


def test_a_job_by_hand_gets_no_further(
    spool: SpoolDir, executor: SpoolExecutor
) -> None:
    """A producer that names what is not allowed gets a failed job."""
    with Client(str(spool.path)) as client:
        for target in ("os:system", "api.funcs:system"):
            job_id = client.submit("call", target, "echo pwned")
            with pytest.raises(JobFailed, match="may not|not a function"):
                executor.attach(job_id).result(30)


# The executor.


def test_calls(executor: SpoolExecutor) -> None:
    """Functions and tasks are called, with all kinds of arguments."""
    futures: list[tuple[SpoolFuture[Any], object]] = [
        (executor.submit(funcs.double, 21), 42),
        (executor.submit(funcs.divide, 1, b=4), 0.25),
        (executor.submit(funcs._hidden), "hidden"),
        (executor.submit(funcs.Till.count, by=2), 6),
        (executor.submit(funcs.coroutine, "x"), "X"),
        (executor.submit(funcs.first, "x"), "call x"),  # type: ignore
        (executor.submit(jobs.add, 2, 3), 5),
        (executor.submit(jobs.later, "ab"), "ba"),
    ]
    for future, want in futures:
        assert future.result(30) == want
        assert future.done() and not future.running()
        assert not future.cancel() and not future.cancelled()


def test_what_is_raised(
    executor: SpoolExecutor, tmp_path: pathlib.Path
) -> None:
    """An exception is the answer, at once; a death is tried again."""
    future = executor.submit(funcs.divide, 1, 0)
    error = future.exception(30)
    assert isinstance(error, JobFailed) and error.attempts == 1
    assert error.reason == "ZeroDivisionError: division by zero"
    assert "return a / b" in str(error.__cause__)
    with pytest.raises(JobFailed, match="TypeError.*set"):
        executor.submit(funcs.a_set).result(30)
    flag = str(tmp_path / "flag")
    assert executor.submit(funcs.dies_once, flag).result(30) == "lived"


def test_what_cannot_be_submitted(
    spool: SpoolDir, serve: Start
) -> None:
    """What no worker could run is refused before it is a job."""
    executor = SpoolExecutor()

    def local() -> None:
        pass

    calls_: list[tuple[Any, tuple[Any, ...], str]] = [
        (local, (), "worker cannot import"), (lambda: 1, (), "cannot import"),
        (len, ([],), "neither a task nor a function"),
        (funcs.Till, (), "neither"), (funcs.double, (), "missing"),
        (funcs.double, ({1},), "type set"), (jobs.add, (1, 2, 3), "many"),
    ]
    for function, args, words in calls_:
        with pytest.raises(TypeError, match=words):
            executor.submit(function, *args)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(funcs.double, 1)
    assert not spool.listed("incoming")
    with pytest.raises(SpoolError):
        SpoolExecutor(spool.path / "nowhere")


def test_map(executor: SpoolExecutor) -> None:
    """Results come in order; the first failure ends it."""
    assert list(executor.map(funcs.divide, [4, 6, 9], [2, 2, 3])) == [2, 3, 3]
    assert list(executor.map(funcs.double, [])) == []
    results = executor.map(funcs.divide, [1, 1, 1], [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(JobFailed, match="ZeroDivision"):
        next(results)


def test_map_in_time(executor: SpoolExecutor, tmp_path: pathlib.Path) -> None:
    """A map whose time is up raises, and cancels what still waits."""
    flags = [tmp_path / str(n) for n in range(5)]
    results = executor.map(funcs.blocks, map(str, flags), timeout=0)
    try:
        wait_until(lambda: sum(flag.exists() for flag in flags) == 2)
        with pytest.raises(TimeoutError):
            next(results)
        pending: Any = getattr(executor, "_pending")
        assert len(pending) == 2
    finally:
        for flag in flags:
            flag.unlink(missing_ok=True)


def test_wait_and_as_completed(executor: SpoolExecutor) -> None:
    """The functions of concurrent.futures take these futures."""
    futures = [executor.submit(funcs.double, n) for n in range(10)]
    done, left = concurrent.futures.wait(futures, 30)
    assert len(done) == 10 and not left
    got = {f.result() for f in concurrent.futures.as_completed(futures, 30)}
    assert got == set(range(0, 20, 2))
    told: list[Any] = []
    future = executor.submit(funcs.double, 1)
    future.add_done_callback(told.append)
    wait_until(lambda: told == [future])


def test_asyncio(executor: SpoolExecutor) -> None:
    """run_in_executor and wrap_future work."""

    async def use() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        one = loop.run_in_executor(executor, funcs.double, 4)
        two = asyncio.wrap_future(executor.submit(funcs.double, 5))
        return await one, await two

    assert asyncio.run(use()) == (8, 10)


def test_cancel(executor: SpoolExecutor, tmp_path: pathlib.Path) -> None:
    """What waits can be cancelled, what runs cannot."""
    flags = [tmp_path / str(n) for n in range(4)]
    futures = [executor.submit(funcs.blocks, str(flag)) for flag in flags]
    wait_until(lambda: flags[0].exists() and flags[1].exists())
    assert futures[0].running() and not futures[3].running()
    assert not futures[0].cancel()
    told: list[Any] = []
    futures[3].add_done_callback(told.append)
    assert futures[3].cancel() and futures[3].cancel()
    assert futures[3].cancelled() and told == [futures[3]]
    with pytest.raises(concurrent.futures.CancelledError):
        futures[3].result()
    executor.shutdown(wait=False, cancel_futures=True)
    assert futures[2].cancelled() and not futures[1].done()
    for flag in flags[:2]:
        flag.unlink()
    assert futures[1].result(30) == "went"
    assert not flags[2].exists() and not flags[3].exists()


def test_a_cancelled_future_is_cancelled(
    spool: SpoolDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the watcher finds its job gone before cancel has returned."""
    remove = Job.cancel

    def slow(job: Job[Any]) -> bool:
        removed = remove(job)
        wait_until(future.done)
        return removed

    monkeypatch.setattr(Job, "cancel", slow)
    with SpoolExecutor() as executor:
        future = executor.submit(jobs.add, 1)
        assert future.cancel() and future.cancelled()


def test_shutdown_waits(serve: Start, tmp_path: pathlib.Path) -> None:
    """The end of the block is the end of all its jobs."""
    serve(text=CALL)
    path = tmp_path / "marks"
    with SpoolExecutor(priority=7, tags=["t"]) as executor:
        futures = [executor.submit(funcs.mark, str(path)) for _ in range(8)]
    assert all(future.done() for future in futures)
    assert path.read_text() == "x" * 8


def test_the_work_outlives_its_program(
    spool: SpoolDir, serve: Start
) -> None:
    """Another executor attaches to a job by its id."""
    first = SpoolExecutor()
    job_id = first.submit(funcs.double, 8).job.id
    first.shutdown(wait=False)
    for watcher in list(outbox.watchers.values()):
        assert isinstance(watcher, waiting.Watcher)
        watcher.close()
    serve(text=CALL)
    with SpoolExecutor() as second:
        assert second.attach(job_id).result(30) == 16
    assert re.fullmatch("[0-9a-v]{20}", job_id)


def test_latency_is_not_a_poll(executor: SpoolExecutor) -> None:
    """A round trip waits for events, not for the next look."""
    executor.submit(funcs.double, 1).result(30)
    took = []
    for _ in range(20):
        started = time.perf_counter()
        executor.submit(funcs.double, 1).result(30)
        took.append(time.perf_counter() - started)
    assert sorted(took)[5] < waiting.POLL_S / 2, took
