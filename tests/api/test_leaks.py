# SPDX-License-Identifier: MIT
"""Round trips, one after the other: nothing is left of any of them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from spooler import outbox, waiting
from support import ROOT, Spoold, SpoolDir, environment, wait_until

from . import jobs

Start = Callable[..., Spoold]

LONG = os.environ.get("SPOOL_LONG") == "1"
TRIPS = 100_000 if LONG else 300
#: Caches fill before the count begins.
WARM = 2_000 if LONG else 100
#: What an allocator keeps for itself, in bytes.
SLACK_BYTES = 8 << 20 if LONG else 2 << 20

#: Submits and waits; prints what it and spoold hold, before and after.
CLIENT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from api import jobs
from api.test_leaks import held
daemon, trips, warm = map(int, sys.argv[2:])
add = jobs.add.options(durable=False)
took = []
for number in range(warm + trips):
    if number == warm:
        before = held(None), held(daemon)
    since = time.perf_counter()
    assert add.submit(number, 1).result(30) == number + 1
    took.append(time.perf_counter() - since)
took = sorted(took[warm:])
after = held(None), held(daemon)
print(json.dumps([before, after, took[len(took) // 2]]))
"""


def held(pid: int | None) -> dict[str, int]:
    """What a process holds: descriptors, threads, watches, memory."""
    proc = f"/proc/{'self' if pid is None else pid}"
    watches = 0
    fds = os.listdir(f"{proc}/fd")
    for fd in fds:
        try:
            with open(f"{proc}/fdinfo/{fd}") as stream:
                watches += stream.read().count("inotify wd:")
        except FileNotFoundError:
            pass  # the one the listing was read from
    with open(f"{proc}/statm") as stream:
        pages = int(stream.read().split()[1])
    return {
        "descriptors": len(fds), "threads": len(os.listdir(f"{proc}/task")),
        "watches": watches, "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
    }


@pytest.mark.timeout(3600)
def test_round_trips_leave_nothing(spool: SpoolDir, serve: Start) -> None:
    """Client and spoold hold after the last one what they held before."""
    # Workers are replaced, too, and old jobs purged.
    daemon = serve(text='keep_done_jobs = 500\nrecycle_jobs = 5000\n')
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(ROOT / "tests"),
         str(daemon.process.pid), str(TRIPS), str(WARM)],
        capture_output=True, text=True,
        env={**environment(None), "SPOOL_DIR": str(spool.path)},
    )
    assert done.returncode == 0, done.stderr
    before, after, median = json.loads(done.stdout)
    for who, old, new in zip(("client", "spoold"), before, after):
        grown = new.pop("bytes") - old.pop("bytes")
        assert new == old, who
        assert grown < SLACK_BYTES, f"{who}: {grown} bytes more"
        print(f"leaks: {who} {new}, {grown >> 10} KiB more")
    print(f"leaks: {TRIPS} round trips, median {median * 1000:.2f} ms")


def test_watchers_leave_nothing(spool: SpoolDir, serve: Start) -> None:
    """One that was idle too long, and the next, hold no more than one."""
    serve()
    before: dict[str, int] = {}
    for number in range(32):
        watcher = waiting.watcher(str(spool.path))
        job = jobs.add.submit(number)
        assert job.result(30) == number + 1
        watcher.close()
        assert not outbox.watchers
        if number == 1:
            before = counts()
    # A thread that was told to end may do so a little later.
    wait_until(
        lambda: all(now <= before[what] for what, now in counts().items()),
        what=lambda: f"{counts()}, not {before}",
    )


def counts() -> dict[str, int]:
    """What this process holds, but for memory."""
    now = held(None)
    del now["bytes"]
    return now
