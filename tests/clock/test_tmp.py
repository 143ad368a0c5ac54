# SPDX-License-Identifier: MIT
"""What lies in tmp/ is cleaned away by its age, never by a clock's jump."""

import os
import time

from clock.scene import Scene
from clock.shimmed import YEAR_S
from support import wait_until

HOUR_S = 3600.0
DAY_S = 86400.0


def _fast(scene: Scene) -> None:
    scene.spool.configure('rescan = "100ms"\ndefault = "once"\n'
                          '[handler.once]\npython = "clock.handlers:once"\n')


def test_a_jump_costs_no_producer_its_file(scene: Scene) -> None:
    """A file that is being written survives a jump by days or by years."""
    _fast(scene)
    scene.spool.write("early.x")
    scene.spoold()
    scene.spool.write("late.x")
    scene.spool.drop("first.x")
    scene.spool.wait("first.x")
    for jump_s in (2 * DAY_S, 68 * YEAR_S):
        scene.clock.jump(jump_s)
        time.sleep(0.5)  # nothing may happen
    for name in ("early.x", "late.x"):
        scene.spool.publish(name)
        scene.spool.wait(name)


def test_a_restart_after_a_jump_costs_no_producer_its_file(
    scene: Scene,
) -> None:
    """A daemon that starts with a wrong clock removes nothing at once."""
    _fast(scene)
    scene.spool.write("a.x")
    scene.clock.jump(2 * DAY_S)
    for _ in range(2):
        daemon = scene.spoold()
        scene.clock.pass_time(HOUR_S / 2)
        time.sleep(0.6)  # nothing may happen
        daemon.stop()
    assert scene.spool.listed("tmp") == ["a.x"]


def test_what_was_left_unfinished_is_cleaned_away(scene: Scene) -> None:
    """A file that nobody touched for 36 hours goes; a slow one stays."""
    _fast(scene)
    paths = [scene.spool.write(name) for name in ("left.x", "slow.x")]
    scene.spoold()

    def gone() -> bool:
        return not os.path.exists(paths[0])

    for hours, steps in ((30, 1), (1, 4)):
        for _ in range(steps):
            scene.clock.pass_time(hours * HOUR_S)
            time.sleep(0.25)  # some scans
            assert not gone()
    for _ in range(6):
        scene.clock.pass_time(HOUR_S)
        with open(paths[1], "r+b") as stream:  # makes none anew
            stream.write(b"on\n")
        time.sleep(0.25)
    wait_until(gone, 1, lambda: f"tmp: {scene.spool.listed('tmp')}")
    scene.spool.publish("slow.x")
    scene.spool.wait("slow.x")
