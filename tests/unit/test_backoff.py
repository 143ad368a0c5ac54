# SPDX-License-Identifier: MIT
"""How long a failed job waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooler.backoff import delay_s

seconds = st.floats(0, 1e9)
dice = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    "failures, bound",
    [(1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (100, 60), (10**9, 60)],
)
def test_the_bound_doubles_up_to_the_cap(failures: int, bound: int) -> None:
    """Every failure doubles the longest wait until the cap is reached."""
    assert delay_s(failures, 10, 60, 0.5) == bound / 2


@given(st.integers(1, 10**6), seconds, seconds, dice)
def test_the_wait_is_within_its_bounds(
    failures: int, base: float, cap: float, roll: float
) -> None:
    """No wait is negative or longer than the cap, however many failures."""
    assert 0 <= delay_s(failures, base, cap, roll) <= cap


@given(st.integers(1, 10**6), seconds, seconds, dice, dice)
def test_the_dice_spread_the_waits(
    failures: int, base: float, cap: float, one: float, other: float
) -> None:
    """A higher roll never waits shorter, and a zero does not wait."""
    low, high = sorted((one, other))
    assert delay_s(failures, base, cap, low) <= delay_s(
        failures, base, cap, high
    )
    assert delay_s(failures, base, cap, 0.0) == 0


@pytest.mark.parametrize("failures", [0, -1])
def test_there_is_no_failure_before_the_first(failures: int) -> None:
    """Fewer than one failure is the caller's bug."""
    with pytest.raises(ValueError, match=f"starts at 1, not {failures}"):
        delay_s(failures, 10, 60, 0.5)
