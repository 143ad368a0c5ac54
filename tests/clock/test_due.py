# SPDX-License-Identifier: MIT
"""Due times that producers ask for are wall clock; retries are not."""

import signal
import time

import pytest
from clock.scene import BACKOFF_S, EARLY_S, LATE_S, Scene, busy_s
from clock.shimmed import YEAR_S
from support import wait_until

HOUR_S = 3600.0


def _await_deferred(scene: Scene, count: int = 1) -> None:
    wait_until(
        lambda: scene.spool.count("deferred") == count,
        what=scene.spool.tree,
    )


def _drop(scene: Scene, how: str, in_s: float) -> tuple[str, float]:
    """Submit a job; returns its key in the ledger, and when it is due."""
    if how == "name":
        (key,) = scene.submit("once", in_s=in_s)
        due = scene.sent[key].due
        assert due is not None
        return key, due
    due = scene.clock.wall() + in_s
    key = scene.spool.drop_job("later", "once", Not_Before=f"@{due:.6f}")
    return key, due


@pytest.mark.parametrize(
    "how, jump_s", [("name", HOUR_S), ("header", 68 * YEAR_S)]
)
def test_a_jump_past_the_due_time_starts_the_job(
    scene: Scene, how: str, jump_s: float
) -> None:
    """When the clock goes past a due time the job starts within a second."""
    scene.spoold()
    key, _ = _drop(scene, how, jump_s - 1)
    _await_deferred(scene)
    scene.clock.jump(jump_s)
    wait_until(
        lambda: scene.started(key), LATE_S + busy_s(), scene.spool.tree
    )


def test_a_jump_back_makes_the_job_wait_for_the_clock(scene: Scene) -> None:
    """A due time that moved away with the clock is waited for."""
    scene.clock.jump(70 * YEAR_S)
    scene.spoold()
    jobs = [_drop(scene, "name", 1.0), _drop(scene, "header", 1.0)]
    _await_deferred(scene, 2)
    scene.clock.jump(-68 * YEAR_S)
    time.sleep(1.5)  # nothing may happen
    assert not any(scene.started(key) for key, _ in jobs)
    scene.clock.set(max(due for _, due in jobs) - 0.5)
    for key, due in jobs:
        wait_until(
            lambda key=key: scene.started(key), 0.5 + LATE_S + busy_s(),
            scene.spool.tree,
        )
        ((_, _, at),) = scene.starts()[key]
        assert scene.clock.wall(at) >= due - 1e-3


def test_a_retry_waits_elapsed_time_after_a_restart(scene: Scene) -> None:
    """What a new daemon finds put off waits no less and no more either."""
    daemon = scene.spoold()
    (key,) = scene.again(1, 2.0)
    _await_deferred(scene)
    assert daemon.stop() == 0
    scene.spoold()
    scene.clock.jump(HOUR_S)
    scene.await_done([key], 10)
    lines = scene.starts()[key]
    assert [(word, run) for word, run, _ in lines] == [
        ("start", 1), ("end", 1), ("start", 2)
    ]
    waited = lines[2][2] - lines[1][2]
    assert 2.0 - EARLY_S <= waited <= 2.0 + LATE_S + busy_s()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_after_a_jump_back_brings_retries_near(
    scene: Scene, end: str
) -> None:
    """No retry waits years because the clock was wrong when it was filed."""
    daemon = scene.spoold()
    keys = scene.fails("fails", 1, seconds=0.3)
    keys += scene.fails("exits", 1, seconds=0.3)
    wait_until(lambda: all(map(scene.started, keys)))
    daemon.signal(signal.SIGSTOP)  # so that none is tried again at once
    _await_deferred(scene, 2)
    if end == "stop":
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGCONT)
        assert daemon.wait() == 0
    else:
        daemon.kill()
    scene.clock.jump(-10 * YEAR_S)
    scene.spoold()
    scene.await_done(keys, BACKOFF_S + LATE_S + busy_s())


def test_a_restart_after_a_jump_back_keeps_what_was_asked_for(
    scene: Scene,
) -> None:
    """Only retries are brought near, not the due times of producers."""
    daemon = scene.spoold()
    keys = [_drop(scene, how, HOUR_S)[0] for how in ("name", "header")]
    _await_deferred(scene, 2)
    daemon.stop()
    scene.clock.jump(-YEAR_S)
    scene.spoold()
    scene.submit("once")
    time.sleep(1.5)  # nothing may happen
    assert not any(map(scene.started, keys))
    scene.clock.jump(YEAR_S + HOUR_S)
    for key in keys:
        wait_until(
            lambda key=key: scene.started(key), LATE_S + busy_s(),
            scene.spool.tree,
        )


def test_a_restart_keeps_a_wait_that_a_handler_asked_for(
    scene: Scene,
) -> None:
    """A wait longer than the handler's max_backoff outlives a restart."""
    daemon = scene.spoold()
    (key,) = scene.submit(
        "patient", 1, 1.8, times=1, waits_s=(1.8, 1.8)
    )
    _await_deferred(scene)
    daemon.stop()
    scene.spoold()
    scene.await_done([key], 10)
    lines = scene.starts()[key]
    assert lines[2][2] - lines[1][2] >= 1.8 - EARLY_S
