# SPDX-License-Identifier: MIT
"""Waiting for a dropped file across a jump of the clock."""

import os
import subprocess
import sys
import time

from clock.scene import Scene
from clock.shimmed import ROOT
from support import wait_until


def test_wait_for_a_dropped_file_ends_though_the_clock_goes_back(
    scene: Scene,
) -> None:
    """``wait NAME`` knows its job however old its id seems to be."""
    scene.spool.drop_job("photo", "once")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "bin" / "spoolctl"), "-C",
         str(scene.spool.path), "wait", "--timeout", "8s", "photo.job"],
        env={**os.environ, **scene.environ()},
    )
    try:
        wait_until(lambda: _watches(process.pid))
        time.sleep(0.2)  # and has looked
        scene.clock.jump(-3600.0)
        scene.spoold()
        scene.spool.wait("photo.job")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def _watches(pid: int) -> bool:
    """Whether a process listens to two directories, as wait does."""
    found = 0
    for entry in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{entry}") as stream:
                found += stream.read().count("inotify ")
        except FileNotFoundError:
            continue
    return found >= 2
