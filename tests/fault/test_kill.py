# SPDX-License-Identifier: MIT
"""kill -9 at every call that changes the spool."""

import pytest
from fault import control, sweeps
from fault.killpoints import Stage
from support import sized

KILLS = [
    (when, whom)
    for whom in ("caller", "daemon", "all") for when in ("before", "after")
]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("when", "whom"), KILLS)
def test_every_job_has_its_verdict_after_a_kill_anywhere(
    stage: Stage, when: str, whom: str
) -> None:
    """A kill of anything at any call loses, doubles and litters nothing."""
    phase = KILLS.index((when, whom)) * 5
    sweeps.kills(stage, when, whom, 6, phase).report()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("when", "whom"), KILLS)
def test_recovery_may_be_killed_again_and_again(
    stage: Stage, when: str, whom: str
) -> None:
    """Recovery killed one call later each time gets everything done."""
    sweeps.again(stage, when, whom, sized(8, 500)).report()


@pytest.mark.timeout(7200)
def test_recovery_may_be_killed_anywhere(stage: Stage) -> None:
    """Two kills, of a run and of its recovery, harm no more than one."""
    sweeps.doubles(stage, 6, 3).report()


@pytest.mark.parametrize("action", [
    control.KILL_BEFORE, control.KILL_AFTER,
])
def test_what_a_killed_producer_was_told_holds(
    stage: Stage, action: int
) -> None:
    """What submit confirmed before the kill runs exactly once."""
    sweeps.producers(stage, 60, 0, action=action).report()


@pytest.mark.parametrize("action", [
    control.KILL_BEFORE, control.KILL_AFTER,
])
def test_what_a_killed_spoolctl_submit_said_holds(
    stage: Stage, action: int
) -> None:
    """The id printed with exit 0 is of a job that runs."""
    sweeps.submitting(stage, action=action).report()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("args", [
    ("requeue", "--all"), ("rm", "--all", "done"),
], ids=lambda args: args[0])
def test_a_killed_spoolctl_leaves_a_spool_that_checks(
    stage: Stage, args: tuple[str, ...]
) -> None:
    """spoolctl killed while it moves or removes jobs breaks no invariant."""
    sweeps.steering(stage, args, 6, 1).report()
