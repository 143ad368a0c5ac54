# SPDX-License-Identifier: MIT
"""What a Python handler does to its worker ends with its own run."""

import json
import os
import signal
import stat
import struct
import time
from collections.abc import Callable

import pytest
from deaths.table import environment
from deaths.ways import LASTS_S
from support import Found, Spoold, SpoolDir, is_alive, wait_until

Start = Callable[..., Spoold]
WAYS = {
    "fork_child": "spoil", "fork_daemon": "spoil", "fork_once": "spoil",
    "exec_long": "spoil", "timer": "spoil", "mask": "spoil",
    "drop_identity": "spoil", "close_directories": "spoil",
    "leak_descriptors": "spoil", "say": "spoil", "pause": "spoil",
    "deafen": "spoil", "linger": "spoil",
    "close_streams": "ways", "healthy": "ways",
}
TIMED = 'timeout = "300ms"'
SOON_S = 10.0


@pytest.fixture
def one(spool: SpoolDir, spoold: Start) -> Callable[..., Spoold]:
    """Start a spoold with one worker, so that a neighbour gets the same."""
    spool.configure("workers = 1\n" + "".join(map(_table, WAYS)))
    return lambda: spoold(env=environment())


def _table(way: str) -> str:
    timed = TIMED if way in ("deafen", "linger") else ""
    return (
        f'[handler.{way}]\npython = "deaths.{WAYS[way]}:{way}"\n'
        f'attempts = 2\nbackoff = "1ms"\nbreaker = 0\n{timed}\n'
    )


def fails(spool: SpoolDir, way: str, *args: str) -> Found:
    """Run one to its end in failed/, after two runs."""
    spool.drop_job(way, way, *args)
    bad = spool.wait(f"{way}.job", "failed", timeout=SOON_S)
    assert bad.name.runs == 2
    return bad


def is_well(spool: SpoolDir, name: str = "next") -> None:
    """The next job runs as ever, once."""
    spool.drop_job(name, "healthy")
    job = spool.wait(f"{name}.job", timeout=SOON_S)
    assert (job.name.runs, job.out) == (1, b"healthy\n"), job.record


def kill_all(daemon: Spoold) -> None:
    """End a daemon and all that has its mark."""
    for pid in (daemon.pid, *daemon.processes()):
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    daemon.process.wait()


@pytest.mark.parametrize("way", ["fork_child", "fork_daemon"])
def test_a_forked_child_does_not_hide_a_death(
    spool: SpoolDir, one: Callable[..., Spoold], way: str
) -> None:
    """A worker's death is seen while its child has its descriptors."""
    daemon = one()
    try:
        bad = fails(spool, way)
        assert set(bad.kinds) == {("lost", None)}
        assert "exited with status 9" in bad.reason
        is_well(spool)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait(SOON_S) == 0
    finally:
        kill_all(daemon)


def test_a_forked_child_does_not_keep_a_job(
    spool: SpoolDir, one: Callable[..., Spoold]
) -> None:
    """After kill -9 of spoold a forked child keeps no job from running."""
    first = one()
    spool.drop_job("bad", "fork_once")
    spool.wait("bad.job", "active")
    wait_until(lambda: len(first.workers("python")) == 2)
    first.kill()
    second = one()
    try:
        job = spool.wait("bad.job", timeout=15)
        assert job.name.runs == 2
        assert not second.log.count("Traceback")
    finally:
        kill_all(first)


def _message(body: object) -> bytes:
    data = json.dumps(body).encode()
    return struct.pack(">I", len(data)) + data


@pytest.mark.parametrize("data", [
    _message({"reports": 1}), _message({"reports": [["done"]]}),
    _message({"reports": [1]}), _message({"reports": [[]]}),
    _message({"reports": [["settled", "x", "nowhere", None, "s", 0]]}),
    _message({"reports": [["done", ["x"], 1]]}),
    _message({"reports": [["started", "x", "y", "z", 0, 0, 0, 0]]}),
    _message([]), b"\xff" * 64, b"\0\0\0\0",
], ids=lambda data: data[:40].decode("ascii", "backslashreplace")[4:])
def test_nonsense_in_a_worker_s_name_ends_the_worker(
    spool: SpoolDir, one: Callable[..., Spoold], data: bytes
) -> None:
    """Whatever a handler says to spoold, spoold lives and work goes on."""
    daemon = one()
    fails(spool, "say", data.hex())
    is_well(spool)
    assert daemon.process.poll() is None, daemon.log


def test_half_a_message_does_not_cost_a_slot(
    spool: SpoolDir, one: Callable[..., Spoold]
) -> None:
    """The beginning of a message whose end never comes ends the worker."""
    one()
    spool.drop_job("bad", "say", b"\0\xff\xff\xff".hex(), Attempts=1)
    assert spool.wait("bad.job", "failed").name.runs == 1
    is_well(spool)


def test_an_alarm_left_behind_rings_for_nobody(
    spool: SpoolDir, one: Callable[..., Spoold]
) -> None:
    """A timer that a handler left does not end the next run."""
    daemon = one()
    spool.drop_job("bad", "timer", Attempts=1)
    for number in range(3):
        spool.drop_job(f"n{number}", "pause")
    spool.wait("bad.job", "failed")
    for number in range(3):
        job = spool.wait(f"n{number}.job")
        assert job.kinds == [("ok", None)], job.record
    assert "\nworker " not in daemon.log, daemon.log


def test_closed_streams_are_opened_again(
    spool: SpoolDir, one: Callable[..., Spoold]
) -> None:
    """A handler that closes sys.stdout takes it from no other job."""
    one()
    bad = fails(spool, "close_streams")
    assert "went wrong" in bad.reason
    for number in range(3):
        is_well(spool, f"n{number}")


def test_an_umask_does_not_stay(
    spool: SpoolDir, one: Callable[..., Spoold]
) -> None:
    """What is filed for later jobs can be read by their owner."""
    one()
    fails(spool, "mask")
    is_well(spool)
    job = spool.wait("next.job")
    for kind in ("out", "result"):
        mode = (job.path.parent / f"{job.name.stem}.{kind}").stat().st_mode
        assert stat.S_IMODE(mode) == 0o640, f"{kind}: {mode:o}"


@pytest.mark.parametrize("way", [
    "close_directories", "drop_identity", "leak_descriptors",
])
def test_a_worker_that_can_file_nothing_gives_up(
    spool: SpoolDir, one: Callable[..., Spoold], way: str
) -> None:
    """A worker that lost its hold on the spool does not pause the spool."""
    if way == "drop_identity" and os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    one()
    bad = fails(spool, way)
    assert set(bad.kinds) <= {("lost", None), ("error", None)}, bad.record
    is_well(spool)


def test_spoold_does_not_wait_for_a_worker_that_hung_up(
    spool: SpoolDir, one: Callable[..., Spoold]
) -> None:
    """While a worker that became another program lives, spoold answers."""
    one()
    spool.drop_job("bad", "exec_long")
    longest = 0.0
    ended = time.monotonic() + SOON_S
    while not spool.all("bad.job", "failed") and time.monotonic() < ended:
        asked = time.monotonic()
        spool.status()
        longest = max(longest, time.monotonic() - asked)
    assert spool.wait("bad.job", "failed").name.runs == 2
    assert longest < LASTS_S / 10


def test_a_soft_timeout_is_heard_after_signals_were_blocked(
    spool: SpoolDir, one: Callable[..., Spoold]
) -> None:
    """A handler that blocked signals does not cost the next its timeout."""
    one()
    fails(spool, "deafen")
    spool.drop_job("next", "linger", Attempts=1)
    job = spool.wait("next.job", "failed")
    assert job.kinds == [("timeout", None)]
    assert job.reason == "timed out after 0.3s"
