# SPDX-License-Identifier: MIT
"""Violations that are easy to overlook are found, and mended or left."""

import pytest
from check import prove
from check.healthy import Healthy
from check.seeds import Seed
from check.seeds_more import MORE


@pytest.mark.parametrize("seed", MORE.values(), ids=list(MORE))
def test_it_is_found_and_what_to_do_helps(
    healthy: Healthy, seed: Seed, spoold: prove.Start
) -> None:
    """Each violation alone is named, and gone when done as told."""
    prove.found(healthy, seed, spoold)


@pytest.mark.parametrize("seed", MORE.values(), ids=list(MORE))
def test_repair_of_it(healthy: Healthy, seed: Seed) -> None:
    """It mends or leaves as the table says, nothing else, and only once."""
    prove.mended(healthy, seed)
