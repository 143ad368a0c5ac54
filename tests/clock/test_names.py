# SPDX-License-Identifier: MIT
"""Ids stay unique, and sort by submission, though the clock goes back."""

import time

from clock.scene import Scene
from clock.shimmed import YEAR_S
from support import sized

COUNT = sized(100, 20_000)


def test_ids_of_one_client_sort(scene: Scene) -> None:
    """As long as a client lives its ids grow, however the clock jumps."""
    ids = []
    for jump_s in (-1.0, -3600.0, 60.0, 68 * YEAR_S, -100 * YEAR_S, 1.0):
        scene.ask("once", count=COUNT)
        time.sleep(0.01)  # it is at it
        scene.clock.jump(jump_s)
        ids += scene.answer()
    assert len(ids) == 6 * COUNT
    assert all(a < b for a, b in zip(ids, ids[1:]))
    assert scene.spool.count("incoming") == len(ids)


def test_ids_of_dropped_files_sort(scene: Scene) -> None:
    """What one daemon admits has ids in the order of its admission."""
    scene.spool.configure(
        'default = "once"\n[handler.once]\npython = "clock.handlers:once"\n'
    )
    scene.spoold()
    order = []
    for number, jump_s in enumerate(
        (-1.0, -3600.0, 60.0, 68 * YEAR_S, -100 * YEAR_S, 1.0)
    ):
        name = scene.spool.drop(f"{number}.x")
        order.append(scene.spool.wait(name).name.id)
        scene.clock.jump(jump_s)
    assert order == sorted(order)
    assert len(set(order)) == 6
