# SPDX-License-Identifier: MIT
"""Mending a spool by a wrong clock."""

import os

from clock.scene import Scene


def test_repair_costs_no_producer_its_file(scene: Scene) -> None:
    """``check --repair`` removes no file that somebody is writing."""
    left = scene.spool.write("left.x")
    with open(scene.spool.path / "tmp" / "slow.x", "wb") as stream:
        scene.clock.jump(2 * 86400.0)
        code, out = scene.spoolctl("check", "--repair")
        assert code in (0, 1), out
        assert "Traceback" not in out
        assert not os.path.exists(left), out
        assert os.path.exists(stream.name), out
