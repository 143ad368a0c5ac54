# SPDX-License-Identifier: MIT
"""The life of a spool, by any order of what can happen."""

import logging

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from model.machine import Spooling
from support import LONG, sized

EXAMPLES = sized(40, 5000)
STEPS = 60 if LONG else 40


@pytest.mark.parametrize("noreplace", [True, False])
def test_every_job_ends_once_whatever_happens(noreplace: bool) -> None:
    """Producers, workers, people, kills, errors and power cuts between any
    two calls: no job is lost, doubled, altered or run out of turn.

    Without RENAME_NOREPLACE the moves are links and unlinks.
    """
    machine = seed(1)(type("Machine", (Spooling,), {
        "noreplace": noreplace, "tally": {},
    }))
    logging.disable(logging.CRITICAL)
    try:
        run_state_machine_as_test(machine, settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ))
    finally:
        logging.disable(logging.NOTSET)
    tally = machine.tally
    kills = sum(
        times for what, times in tally.items() if what.endswith("killed")
    )
    print(
        f"model: {tally['examples']} lives of {tally['steps']} steps,"
        f" {tally['calls']} calls, {kills} kills, {tally.get('failed', 0)}"
        f" errors, {tally.get('met', 0)} meetings, 0 wrong"
    )
    assert kills and tally["active to done"] and tally["active to failed"]
