# SPDX-License-Identifier: MIT
"""How long something may take is elapsed time, whatever the clock does."""

import os
import signal
import subprocess
import sys
import time

from clock.scene import Scene, busy_s
from clock.shimmed import ROOT, YEAR_S
from support import wait_until


def _jump_about(scene: Scene) -> None:
    for jump_s in (68 * YEAR_S, -70 * YEAR_S, 3600.0, -3600.0):
        time.sleep(0.1)
        scene.clock.jump(jump_s)


def _while_running(scene: Scene, seconds: float) -> list[str]:
    """Submit one job of each kind; the clock jumps about as they run."""
    keys = scene.submit("brief", seconds) + scene.submit("sleep", seconds)
    wait_until(lambda: scene.spool.count("active") == 2)
    _jump_about(scene)
    return keys


def test_a_jump_does_not_end_a_run(scene: Scene) -> None:
    """A run that is within its timeout is done, and took what it took."""
    scene.spoold()
    scene.await_done(_while_running(scene, 1.5), 20)
    for job in scene.spool.jobs("done"):
        assert job.name.micros is not None
        assert 1.49e6 <= job.name.micros <= (1.5 + busy_s()) * 1e6


def test_a_jump_does_not_lengthen_a_run(scene: Scene) -> None:
    """A run that is over its timeout is ended when that time has passed."""
    scene.spoold()
    _while_running(scene, 60)
    wait_until(
        lambda: scene.spool.count("failed") == 2, 3 + 2 * busy_s(),
        scene.spool.tree,
    )
    for job in scene.spool.jobs("failed"):
        assert job.kinds[0][0] == "timeout"
        assert 2.99 <= job.record["runs"][0]["seconds"] <= 3 + busy_s()


def test_a_jump_does_not_lengthen_a_stop(scene: Scene) -> None:
    """A stop waits as long as it was told to, and gives the job back."""
    daemon = scene.spoold()
    scene.submit("nap", 60)
    wait_until(lambda: scene.spool.count("active") == 1)
    began = time.monotonic()
    daemon.signal(signal.SIGTERM)
    scene.clock.jump(-50 * YEAR_S)
    assert daemon.wait(10) == 0
    assert 0.9 <= time.monotonic() - began <= 1.0 + 3 * busy_s()
    assert scene.spool.count("incoming") == 1


def test_a_jump_does_not_change_how_long_wait_waits(scene: Scene) -> None:
    """``wait --timeout`` gives up after elapsed time."""
    (key,) = scene.submit("once")
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "bin" / "spoolctl"), "-C",
         str(scene.spool.path), "wait", "--timeout", "1500ms", key],
        env={**os.environ, **scene.environ()},
    )
    try:
        time.sleep(0.6)  # it waits
        _jump_about(scene)
        assert process.wait(10) == 124
    finally:
        process.kill()
        process.wait()
    assert 1.5 <= time.monotonic() - began <= 1.5 + 2 * busy_s()
