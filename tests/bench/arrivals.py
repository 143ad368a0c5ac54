# SPDX-License-Identifier: MIT
"""Jobs that arrive while spoold runs: how soon and how evenly they start."""

import statistics

from bench.figures import percentile
from bench.scene import Scene, Setting

LONG_S, SHORT_S = 0.1, 0.001
SHORTS = 10  #: short jobs for each long one


def latency(setting: Setting) -> None:
    """Rename to handler start, one job at a time on an idle daemon."""
    jobs = setting.pick(50, 500, 5000)
    _tell(setting, jobs, 1000 / setting.gap_ms)


def rate(setting: Setting) -> None:
    """Rename to handler start, at 100 and at 1000 jobs a second."""
    for a_second in (100, 1000):
        seconds = dict(smoke=0.5, short=5, long=60)[setting.size]
        _tell(setting, round(a_second * seconds), a_second)


def _tell(setting: Setting, jobs: int, a_second: float) -> None:
    """All jobs of all rounds, as one distribution."""
    waits: list[float] = []
    for _ in range(setting.rounds):
        with setting.spool() as scene, scene.daemon():
            scene.warm()
            waits += scene.waits_ms(a_second, jobs)
    setting.report.tell(
        f"rename to start, {a_second:g} jobs a second, {len(waits)} jobs", {
            "median": (statistics.median(waits), "ms"),
            "p99": (percentile(waits, 0.99), "ms"),
            "p99.9": (percentile(waits, 0.999), "ms"),
            "longest": (max(waits), "ms"),
        },
    )


def mixed(setting: Setting) -> None:
    """Jobs of 1 ms and of 100 ms, 10:1: how near to the ideal they end."""
    longs = setting.pick(4, 20, 200)
    setting.report.contest(
        f"{longs} jobs of 100 ms among {longs * SHORTS} of 1 ms,"
        f" {setting.workers} workers", "of the ideal time", setting.rounds,
        {"spooler": lambda: _mixed(setting, longs)},
    )


def _mixed(setting: Setting, longs: int) -> float:
    with setting.spool() as scene:
        with scene.producer() as producer:
            for _ in range(longs):
                for seconds in (LONG_S, *[SHORT_S] * SHORTS):
                    producer.submit("work", str(scene.log), str(seconds))
        return _stretch(scene, longs, setting.workers)


def _stretch(scene: Scene, longs: int, workers: int) -> float:
    """How much longer than ideal it took, from the first start on."""
    scene.drain()
    spans = scene.lines(longs * (1 + SHORTS))
    took_s = (max(end for _, end in spans)
              - min(start for start, _ in spans)) / 1e9
    return took_s / (longs * (LONG_S + SHORTS * SHORT_S) / workers)
