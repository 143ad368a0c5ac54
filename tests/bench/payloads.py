# SPDX-License-Identifier: MIT
"""Files of 1 kB, 1 MB and 1 GB, submitted, read by a command, filed."""

import functools
import os
import pathlib
import subprocess
import time

from bench.scene import LONG_S, Setting
from support import wait_until

BASE = "cp, sync, dd"
_COUNTS = {1 << 10: (10, 200, 2000), 1 << 20: (2, 20, 200)}


def payloads(setting: Setting) -> None:
    """Dropped files of 1 kB, 1 MB and 1 GB against cp, sync and dd."""
    sizes = {
        size: setting.pick(*counts) for size, counts in _COUNTS.items()
    }
    if setting.size != "smoke":
        sizes[1 << 30] = 1
    for size, count in sizes.items():
        with setting.scratch() as scratch:
            source = scratch / "source.data"
            _write(source, size)
            setting.report.contest(
                f"{count} files of {_size(size)}: submitted, read, filed",
                "/s", 1 if size == 1 << 30 else setting.rounds, {
                    BASE: functools.partial(_floor, scratch, source, count),
                    "durable": functools.partial(
                        _ours, setting, source, count, True
                    ),
                    "relaxed": functools.partial(
                        _ours, setting, source, count, False
                    ),
                }, BASE,
            )


def _size(size: int) -> str:
    units = {1 << 10: "1 kB", 1 << 20: "1 MB", 1 << 30: "1 GB"}
    return units[size]


def _write(path: pathlib.Path, size: int) -> None:
    block = os.urandom(min(size, 1 << 20))
    with open(path, "wb") as stream:
        for _ in range(size // len(block)):
            stream.write(block)


def _floor(scratch: pathlib.Path, source: pathlib.Path, count: int) -> float:
    """The same by hand, one after the other."""
    copy = scratch / "copy.data"
    begun = time.perf_counter()
    for _ in range(count):
        subprocess.run(["cp", str(source), str(copy)], check=True)
        subprocess.run(["sync", str(copy)], check=True)
        subprocess.run(["dd", f"if={copy}", "of=/dev/null", "bs=1M",
                        "status=none"], check=True)
    took = time.perf_counter() - begun
    copy.unlink()
    return count / took


def _ours(
    setting: Setting, source: pathlib.Path, count: int, durable: bool
) -> float:
    with setting.spool() as scene, scene.daemon():
        begun = time.perf_counter()
        with scene.producer(durable) as producer:
            for _ in range(count):
                producer.submit_file(str(source))
        wait_until(lambda: scene.dir.count("done") >= count, LONG_S,
                   scene.dir.tree)
        return count / (time.perf_counter() - begun)
