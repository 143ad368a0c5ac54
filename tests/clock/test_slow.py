# SPDX-License-Identifier: MIT
"""The clock jumps between a verdict and the daemon's hearing of it."""

import signal
import time

import pytest
from clock.scene import EARLY_S, LATE_S, Scene, busy_s
from support import wait_until


@pytest.mark.parametrize("heard", ["first", "last"])
@pytest.mark.parametrize(
    "filed, jump_s", [("before", 3600.0), ("after", -3600.0)]
)
def test_a_retry_filed_around_a_jump_waits_elapsed_time(
    scene: Scene, filed: str, heard: str, jump_s: float
) -> None:
    """A retry waits as long as it was told to, whether it was filed before
    or after a jump, and whichever of both its daemon hears of first."""
    daemon = scene.spoold()
    (key,) = scene.submit("again", 1, 1.5, 0.3, times=1)
    wait_until(lambda: scene.spool.count("active") == 1)
    daemon.signal(signal.SIGSTOP)
    if filed == "after":
        scene.clock.jump(jump_s)
    wait_until(lambda: scene.spool.count("deferred") == 1)
    if filed == "before":
        scene.clock.jump(jump_s)
    if heard == "first":
        time.sleep(0.2)  # the worker tells
    daemon.signal(signal.SIGCONT)
    scene.await_done([key], 1.5 + LATE_S + busy_s() + 1.0)
    lines = scene.starts()[key]
    waited = lines[2][2] - lines[1][2]
    assert 1.5 - EARLY_S <= waited <= 1.5 + LATE_S + busy_s()
