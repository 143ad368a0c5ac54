# SPDX-License-Identifier: MIT
"""Jumps of the wall clock while jobs run, back off and wait for their day."""

import itertools
import random
import time
from collections.abc import Callable

import pytest
from clock.scene import Scene
from clock.shimmed import Y1970, Y2038, Y2106, YEAR_S, Clock
from clock.verdict import Verdict
from support import LONG, sized

JUMPS, STEP_S = sized(20, 1000), 0.35

_SIZES = (
    1, -1, 2, -3, 60, -60, 3600, -3600, 86400, -86400, YEAR_S, -YEAR_S,
    68 * YEAR_S, -68 * YEAR_S,
)
_MOMENTS = (Y1970, Y2038 - 1, Y2038 + 1, Y2106 - 1, Y2106 + 1)
_HIGHEST = Y2106 + 69 * YEAR_S
_IN_S = (0.4, 1.5, 1800.0, YEAR_S / 2, 30 * YEAR_S)


def _moves(clock: Clock, count: int) -> list[Callable[[], None]]:
    """Jumps, every kind of them as often as another."""
    kinds: list[Callable[[], None]] = [clock.right]
    for size in _SIZES:
        kinds.append(lambda size=size: clock.jump(size, _HIGHEST))
    for moment in _MOMENTS:
        kinds.append(lambda moment=moment: clock.set(moment))
    dice = random.Random(count)
    out: list[Callable[[], None]] = []
    while len(out) < count:
        out += dice.sample(kinds, len(kinds))
    return out[:count]


def _end(scene: Scene, kind: str) -> None:
    scene.clock.set(_HIGHEST + 31 * YEAR_S)  # when all are due
    scene.await_done(timeout=60)
    Verdict(scene, kind).report()


@pytest.mark.timeout(3600 if LONG else 120)
def test_jumps_make_nothing_early_late_lost_or_doubled(
    scene: Scene,
) -> None:
    """Retries wait elapsed time, due times the wall clock, whatever jumps."""
    scene.spoold()
    dice = random.Random(JUMPS)
    in_s = itertools.cycle(_IN_S)
    for move in _moves(scene.clock, JUMPS):
        scene.again(2, round(dice.uniform(0.05, 1.5), 3), count=3)
        scene.fails("fails", 2)
        scene.fails("exits", 1)
        for _ in range(2):
            scene.submit("once", in_s=next(in_s))
        # Between two jumps there is nothing to wait for but time.
        time.sleep(dice.uniform(0.5, 1.5) * STEP_S)
        move()
        assert scene.spool.status()["trouble"] is None
    _end(scene, "storm")


@pytest.mark.timeout(600)
def test_a_clock_that_never_gets_on(scene: Scene) -> None:
    """If the clock is set back every second, 200 jobs and retries all run."""
    scene.spoold()
    for _ in range(sized(14, 400)):
        scene.again(2, 0.3, count=8)
        scene.fails("fails", 1, count=7)
        time.sleep(0.25)
        if scene.clock.since_last_jump() >= 1.0:
            scene.clock.jump(-1.0)
    _end(scene, "sawtooth")
