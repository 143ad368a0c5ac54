# SPDX-License-Identifier: MIT
"""Very many jobs at once: what they cost, and what becomes of them."""

import collections
import os
import time
from collections.abc import Callable

from support import LONG, Spoold, SpoolDir, document, peak_rss, wait_until

from spooler import names

Start = Callable[..., Spoold]

QUEUED = 100_000 if LONG else 5_000
IN_FLIGHT = 1_000 if LONG else 100
MORE_BYTES = 32 << 20  #: that spoold may have for all that is queued
CONFIG = """
durability = "relaxed"
[handler.noop]
python = "sample_handlers:noop"
"""


def queue(spool: SpoolDir, count: int) -> list[str]:
    """Lay *count* jobs into ``incoming/``; returns their ids."""
    now = time.time_ns()
    data = document("noop")
    ids = [names.mint_id(now + number, number) for number in range(count)]
    for job_id in ids:
        with open(spool.path / "incoming" / f"4.{job_id},noop.job", "wb") as f:
            f.write(data)
    return ids


def leave(spool: SpoolDir, count: int) -> list[str]:
    """Lay what an instance that died had claimed; returns the ids."""
    before = time.time_ns() - 10**9
    data = document("noop")
    ids = []
    for number in range(count):
        job_id = names.mint_id(before + number, number)
        owner = "vvvvv00" + names.b32(number, 13)
        entry = f"4.{job_id}.a1.c{owner},noop.job"
        with open(spool.path / "active" / entry, "wb") as stream:
            stream.write(data)
        ids.append(job_id)
    return ids


def pause(spool: SpoolDir) -> None:
    """Let nothing be claimed."""
    os.makedirs(spool.path / "run" / "paused", exist_ok=True)
    (spool.path / "run" / "paused" / "+all").touch()


def test_recovery_of_much(big: SpoolDir, spoold: Start) -> None:
    """All that a dead instance had claimed is sent back beside very many
    that wait, and then each of them is run, once."""
    big.configure(CONFIG)
    pause(big)
    ids = queue(big, QUEUED) + leave(big, IN_FLIGHT)
    began = time.monotonic()
    daemon = spoold(spool=big, wait=False)
    wait_until(
        lambda: not any(e for e in big.listed("active") if e.endswith("job")),
        120, lambda: daemon.log[-2000:],
    )
    took = time.monotonic() - began
    print(
        f"scale recovery: {QUEUED} queued and {IN_FLIGHT} in flight,"
        f" sent back {took:.2f} s after the start of spoold"
    )
    assert big.count("incoming") + big.count("deferred") == len(ids)
    (big.path / "run" / "paused" / "+all").unlink()
    wait_until(lambda: big.count("done") == len(ids), 600, big.tree)
    runs = collections.Counter(
        (job.name.id, job.name.runs) for job in big.jobs("done")
    )
    lost = set(ids[QUEUED:])
    wrong = [
        key for key, count in runs.items()
        if count != 1 or key[1] != (2 if key[0] in lost else 1)
    ]
    assert {job_id for job_id, _ in runs} == set(ids) and not wrong, wrong[:9]
    print(
        f"scale once: {len(ids)} jobs, {len(ids)} done,"
        f" {QUEUED} of them with one start, {IN_FLIGHT} with a second, 0 twice"
    )


def test_memory_does_not_grow_with_the_queue(
    big: SpoolDir, spoold: Start
) -> None:
    """However many wait, spoold has at most 32 MiB for them."""
    big.configure(CONFIG)
    pause(big)
    daemon = spoold(spool=big)
    empty = peak_rss(daemon.pid)
    assert daemon.stop() == 0
    queue(big, QUEUED)
    daemon = spoold(spool=big)
    big.status()  # READY came after the first scan; this after a turn
    full = peak_rss(daemon.pid)
    print(
        f"scale memory: {full >> 10} KiB with {QUEUED} queued,"
        f" {empty >> 10} KiB with none"
    )
    assert full - empty <= MORE_BYTES
