# SPDX-License-Identifier: MIT
"""Done jobs are purged by their age, never by a clock's jump alone."""

import signal

import pytest
from clock.scene import Scene
from clock.shimmed import YEAR_S
from support import wait_until

HOUR_S = 3600.0
CONFIG = """
rescan = "100ms"
keep_done = "2d"
default = "once"
[handler.once]
python = "clock.handlers:once"
"""


@pytest.mark.parametrize("jump_s", [3 * 24 * HOUR_S, 68 * YEAR_S])
def test_a_leap_costs_no_record(scene: Scene, jump_s: float) -> None:
    """Not until the clock has gone ahead for an hour; then it is right."""
    scene.spool.configure(CONFIG)
    daemon = scene.spoold()
    scene.spool.drop("a.x")
    scene.spool.wait("a.x")

    def looks() -> None:
        """Retention looks at all jobs after a reload."""
        ready = daemon.notify.count("READY=1")
        daemon.signal(signal.SIGHUP)
        daemon.wait_ready(ready + 1)
        number = scene.spool.count("done")
        scene.spool.drop(f"{number}-{ready}.x")
        scene.spool.wait(f"{number}-{ready}.x")

    scene.clock.jump(jump_s)
    for _ in range(3):
        looks()
    scene.clock.pass_time(HOUR_S / 2)
    looks()
    assert scene.spool.all("a.x", "done")
    assert scene.spool.count("done") == 5
    scene.clock.pass_time(HOUR_S)
    wait_until(lambda: not scene.spool.count("done"), what=scene.spool.tree)
