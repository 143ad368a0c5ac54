# SPDX-License-Identifier: MIT
"""How long the daemon runs, when the clock was set back since."""

from clock.scene import Scene
from clock.test_show import NEGATIVE


def test_status_shows_no_negative_time(scene: Scene) -> None:
    """A daemon that was started in the future was not started then."""
    scene.spoold()
    scene.clock.jump(-3600.0)
    code, out = scene.spoolctl("status")
    assert code == 0
    assert "running" in out
    assert not NEGATIVE.search(out), out
