# SPDX-License-Identifier: MIT
"""States that a power cut can leave a disk in, block by block."""

import random
from collections.abc import Callable

import pytest

from . import crashdisk
from .blocklog import FLUSH, MARK, WRITE, Entry
from .verdict import Counts
from support import LONG, sized

STATES, SECONDS = sized(60, 7000), 1e9 if LONG else 4.0
COUNT = 12 if LONG else 6


@pytest.fixture(params=crashdisk.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A file system on a disk that is logged; skips and says why not."""
    name = str(request.param)
    why = crashdisk.why_not(name)
    if why is not None:
        pytest.skip(why)
    return name


@pytest.mark.parametrize("who", ["producers", "worker", "daemon"])
def test_what_was_confirmed_survives(
    kind: str, who: str, show: Callable[[Counts], None]
) -> None:
    """In every state of the disk a confirmed job is whole and recovered."""
    counts = crashdisk.campaign(
        kind, who, STATES, count=COUNT, drain_every=100 if LONG else 20,
        seconds=SECONDS,
    )
    show(counts)
    assert counts.confirmed and counts.reorders
    assert counts.is_clean, counts.report()


def test_relaxed_jobs_are_lost(
    kind: str, show: Callable[[Counts], None]
) -> None:
    """The states are real: without flushes jobs are lost in some."""
    counts = crashdisk.campaign(
        kind, "relaxed", 12, count=COUNT, drain_every=0, seconds=SECONDS
    )
    show(counts)
    assert counts.lost, counts.report()


def test_rebuilds_any_state() -> None:
    """A state holds what was flushed, what was kept, and nothing else."""
    block = 4096
    log = [
        Entry(MARK, 0, b"start\n"),
        Entry(WRITE, 0, b"a" * block),
        Entry(FLUSH, 0, b""),
        Entry(WRITE, block, b"b" * block),
        Entry(WRITE, 0, b"c" * 2 * block),
    ]
    with crashdisk.scratch_disk(log, 4 * block) as (disk, image):
        def blocks() -> bytes:
            disk.write_image()
            return image.read_bytes()[::block].replace(b"\0", b".")

        assert blocks() == b"...."
        disk.advance(4)
        assert blocks() == b"ab.."
        disk.advance(5)
        assert blocks() == b"cc.."
        assert disk.pending() == [3, 4]
        with disk.only([3], -1, 0):
            assert blocks() == b"ab.."
        with disk.only([], -1, 0):
            assert blocks() == b"a..."
        with disk.only([4], 4, block):
            assert blocks() == b"c..."
        assert blocks() == b"cc.."


def test_picks_no_state_before_the_work() -> None:
    """What was written before the first mark was promised nothing."""
    log = [
        Entry(WRITE, 0, b"x"), Entry(FLUSH, 0, b""),
        Entry(MARK, 0, b"start\n"), Entry(WRITE, 0, b"y"),
    ]
    states = crashdisk.pick(log, -1, 9, random.Random(1))
    assert len(states) == 11
    assert {cut for cut, _ in states} <= {3, 4}


def test_logs_writes_flushes_and_marks() -> None:
    """What a process writes is in the log, in order, and can be read."""
    why = crashdisk.why_not("ext4")
    if why is not None:
        pytest.skip(why)
    recorded = crashdisk.record("ext4", "relaxed", 2)
    kinds = [entry.what for entry in recorded.log]
    assert kinds.count(MARK) >= 1 + 2 * crashdisk.PRODUCERS
    assert kinds.count(WRITE) and kinds.count(FLUSH)
    marks = [entry.data for entry in recorded.log if entry.what == MARK]
    assert marks[0] == b"start\n"
