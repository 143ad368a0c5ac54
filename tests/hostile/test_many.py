# SPDX-License-Identifier: MIT
"""A producer that drops without end: others' jobs are started all the same."""

import os
import time

import pytest
from hostile import judge
from hostile.kinds import note
from hostile.stage import Stage, serving, stage
from support import Spoold, peak_rss, sized

from spooler import names

CONFIG = """
workers = 2
rescan = "500ms"
durability = "relaxed"
[handler.note]
python = "hostile.handlers:note"
[handler.slow]
command = ["sleep", "0.02"]
match = ["*"]
"""
FILES = sized(20_000, 1_000_000)
GOOD = 40
#: A good job's wait, on a machine that does other things too.
WAIT_S = 8.0
RSS_MAX = 200 << 20


def flood(on: Stage, names_of: list[str]) -> None:
    """Drop a file of each name, as fast as the kernel lets."""
    for number, form in enumerate(names_of):
        new = on.path / "tmp" / f"flood-{number}"
        fd = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        os.write(fd, note("flood"))
        os.close(fd)
        os.rename(new, on.path / "incoming" / form)


def _scan_s(on: Stage) -> float:
    """How long it takes to see every entry once."""
    started = time.monotonic()
    with os.scandir(on.path / "incoming") as entries:
        for entry in entries:
            entry.is_dir(follow_symlinks=False)
    return time.monotonic() - started


def _judge(on: Stage, daemon: Spoold, what: str, waits: list[float]) -> None:
    waits.sort()
    scan_s = _scan_s(on)
    waiting = len(on.listed("incoming"))
    print(
        f"hostile flood, {what}: {FILES} files, {waiting} of them still wait;"
        f" {len(waits)} good jobs started within {waits[-1]:.2f} s, half"
        f" within {waits[len(waits) // 2]:.3f} s; a bare scan takes"
        f" {scan_s:.3f} s; spoold had {peak_rss(daemon.pid) >> 20} MiB"
    )
    assert waits[-1] < WAIT_S + 20 * scan_s
    assert peak_rss(daemon.pid) < RSS_MAX
    judge.assert_inert(daemon.log_path.read_bytes(), "log")
    assert b"in trouble" not in daemon.log_path.read_bytes()
    assert daemon.process.poll() is None


@pytest.mark.timeout(3600)
def test_a_flood_delays_no_other() -> None:
    """Good jobs start at once while thousands of hostile ones arrive."""
    with stage(CONFIG, memory=True) as on, serving(on) as daemon:
        forms = [f"flood-{number}" for number in range(FILES)]
        child = on.hostile(lambda: flood(on, forms))
        waits = judge.good_jobs(on, GOOD, 0.03)
        child.result()
        _judge(on, daemon, "dropped meanwhile", waits)


@pytest.mark.timeout(3600)
def test_a_flood_that_is_there_at_the_start() -> None:
    """spoold that finds thousands of hostile jobs begins with the good."""
    with stage(CONFIG, memory=True) as on:
        forms = [
            f"4.{names.mint_id(10 ** 18 + number, number)},slow.job"
            for number in range(FILES)
        ]
        on.hostile(lambda: flood(on, forms)).result()
        started = time.monotonic()
        with serving(on) as daemon:
            ready_s = time.monotonic() - started
            waits = judge.good_jobs(on, GOOD // 2, 0.02)
            _judge(on, daemon, f"found, ready in {ready_s:.2f} s", waits)
