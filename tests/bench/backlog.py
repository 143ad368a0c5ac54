# SPDX-License-Identifier: MIT
"""Many files: jobs that wait, and jobs that are done."""

import os
import statistics
import subprocess
import sys
import time

from bench.figures import percentile
from bench.scene import LONG_S, Scene, Setting
from spooler import names
from support import SPOOLCTL, peak_rss, wait_until

_SIZES = {
    "smoke": (200,), "short": (1000, 30_000),
    "long": (1000, 100_000, 1_000_000),
}
_DONE = {"smoke": 1000, "short": 50_000, "long": 1_000_000}
_FIRST_NS = 1_700_000_000_000_000_000
_DOCUMENT = b"Handler: noop\n\n"
_ARRIVALS_S = 2


def backlog(setting: Setting) -> None:
    """1 k, 100 k and 1 M jobs wait: first job, memory, cost, ls, status."""
    costs: dict[int, float] = {}
    for jobs in (setting.jobs,) if setting.jobs else _SIZES[setting.size]:
        with setting.spool() as scene:
            if jobs >= 1_000_000 and not _in_memory(scene.spool):
                setting.report.note(
                    f"not {jobs:,} jobs: only in memory, --on tmpfs"
                )
                continue
            _write(scene, jobs)
            costs[jobs] = _measure(setting, scene, jobs)
    least = min(costs, default=0)
    for jobs, cost in costs.items():
        if jobs != least:
            setting.report.tell(f"a job, {jobs:,} against {least:,} waiting", {
                "cost": (cost / costs[least], "times"),
            })


def _measure(setting: Setting, scene: Scene, jobs: int) -> float:
    """All figures of one backlog; returns the cost of a job in us."""
    rows = {"ls -n 20, spoold down": (_ms(scene, "ls", "-n", "20"), "ms")}
    begun_ns = time.time_ns()
    with scene.daemon() as daemon:
        rows["status"] = (_ms(scene, "status"), "ms")
        rows["ls -n 20"] = (_ms(scene, "ls", "-n", "20"), "ms")
        waits = scene.waits_ms(100, 100 * _ARRIVALS_S, priority=9)
        # Not by listing: a million names again and again take a processor.
        ended = jobs + len(waits)
        wait_until(lambda: scene.dir.status()["done"] == ended, LONG_S)
        memory = peak_rss(daemon.pid) / 1e6
    ends = scene.ends(",noop.job")
    assert len(ends) == jobs, scene.dir.tree()
    cost = (ends[-1] - ends[0]) / 1e3 / jobs
    rows |= {
        "spoold's start to the end of the first job":
            ((ends[0] - begun_ns) / 1e9, "s"),
        "spoold's memory, at most": (memory, "MB"),
        "a job": (cost, "us"),
        "priority 9 at 100/s meanwhile, median":
            (statistics.median(waits), "ms"),
        "priority 9 at 100/s meanwhile, p99": (percentile(waits, 0.99), "ms"),
    }
    setting.report.tell(f"{jobs:,} jobs wait", rows)
    return cost


def done(setting: Setting) -> None:
    """done/ with 1 M entries: start, drain, ls, status, check."""
    entries = setting.jobs or _DONE[setting.size]
    jobs = setting.pick(200, 5000, 20_000) if not setting.jobs else 5000
    rates = {}
    for old in (0, entries):
        with setting.spool() as scene:
            _write(scene, old, "done", runs=1, verdict="ok", micros=20)
            scene.fill(jobs, "noop")
            begun = time.perf_counter()
            with scene.daemon():
                ready = time.perf_counter() - begun
                wait_until(lambda: not scene.dir.count("incoming"), LONG_S)
                wait_until(lambda: not scene.dir.count("active"), LONG_S)
                ls = _ms(scene, "ls", "done", "-n", "20")
                waiting = _ms(scene, "ls")
                status = _ms(scene, "status")
            ends = scene.ends(",noop.job")[-jobs:]
            rates[old] = jobs / ((ends[-1] - ends[0]) / 1e9)
            setting.report.tell(f"{old:,} jobs are done", {
                "spoold is ready": (ready, "s"),
                f"drain of {jobs} more": (rates[old], "/s"),
                "ls done -n 20": (ls, "ms"),
                "ls": (waiting, "ms"),
                "status": (status, "ms"),
            })
    setting.report.tell(f"drain with {entries:,} done against none", {
        "rate": (rates[entries] / rates[0], "times"),
    })


def _ms(scene: Scene, *words: str) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, SPOOLCTL, "-C", scene.spool, *words],
        stdin=subprocess.DEVNULL, capture_output=True,
    )
    return (time.perf_counter() - begun) * 1e3


def _write(
    scene: Scene, jobs: int, state: str = "incoming", **fields: object
) -> None:
    """Jobs as submit would leave them, with nothing flushed."""
    where = os.open(scene.dir.path / state, os.O_RDONLY)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    try:
        for number in range(jobs):
            name = names.Name(
                5, names.mint_id(_FIRST_NS + number, number), "noop.job",
                **fields,  # type: ignore[arg-type]
            )
            fd = os.open(str(name), flags, 0o640, dir_fd=where)
            os.write(fd, _DOCUMENT)
            os.close(fd)
    finally:
        os.close(where)


def _in_memory(path: str) -> bool:
    found = subprocess.run(["stat", "-f", "-c", "%T", path], text=True,
                           capture_output=True, check=True)
    return found.stdout.strip() == "tmpfs"
