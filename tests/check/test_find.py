# SPDX-License-Identifier: MIT
"""Every seeded violation is found, and what is to be done helps."""

import pytest
from check import prove
from check.healthy import Healthy, findings
from check.seeds import SEEDS, Seed

from spooler.text import inert


@pytest.mark.parametrize("seed", SEEDS.values(), ids=list(SEEDS))
def test_a_violation_is_found_and_what_to_do_helps(
    healthy: Healthy, seed: Seed, spoold: prove.Start
) -> None:
    """Each violation alone is named, and gone when done as told."""
    prove.found(healthy, seed, spoold)


def test_there_are_enough_violations() -> None:
    """Every invariant is broken in several ways, forty and more in all."""
    by_number = [seed.number for seed in SEEDS.values()]
    assert set(by_number) == set(range(1, 10))
    shown = ", ".join(
        f"I{number} {by_number.count(number)}" for number in range(1, 10)
    )
    print(f"check: {len(SEEDS)} violations seeded: {shown}")
    assert len(SEEDS) >= 40


def test_all_violations_are_found_together(healthy: Healthy) -> None:
    """Nothing that is wrong hides anything else that is wrong."""
    expected = []
    for name, seed in SEEDS.items():
        # What changes the owner or mode of all, or needs two days.
        if seed.root or seed.number in (1, 9):
            continue
        expected.append((name, seed, inert(seed.sow(healthy))))
    found = findings(healthy)
    missed = [
        name for name, seed, path in expected
        if not any(
            finding.number == seed.number and seed.what in finding.what
            and (finding.path == path or "*" in path)
            for finding in found
        )
    ]
    assert not missed
    assert len(found) == len(expected), [
        finding for finding in found
        if finding.path not in {path for _, _, path in expected}
    ]


def test_a_healthy_spool_is_healthy(healthy: Healthy) -> None:
    """Jobs in every state, retries, twins, claims and output break none."""
    assert findings(healthy) == []
    before = healthy.tree()
    findings(healthy)
    assert healthy.tree() == before, "check changed something"
