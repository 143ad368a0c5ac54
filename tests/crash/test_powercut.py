# SPDX-License-Identifier: MIT
"""The plug is pulled under spoold and its producers."""

from collections.abc import Callable

import pytest

from . import machine, powercut
from .verdict import Counts
from support import LONG, sized

CUTS, SECONDS = sized(6, 2000), 1e9 if LONG else 6.0
RELAXED_CUTS = 50 if LONG else 10


@pytest.fixture(params=powercut.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A file system that can be shut down; skips and says why not."""
    name = str(request.param)
    why = machine.why_not(name)
    if why is not None:
        pytest.skip(why)
    return name


def test_what_was_confirmed_survives(
    kind: str, show: Callable[[Counts], None]
) -> None:
    """A confirmed job is whole, in one place, and finished, after cuts."""
    counts = powercut.campaign(kind, CUTS, seconds=SECONDS)
    show(counts)
    assert counts.confirmed and counts.drained
    assert counts.is_clean, counts.report()


def test_relaxed_jobs_are_lost(
    kind: str, show: Callable[[Counts], None]
) -> None:
    """The cuts are real: without flushes confirmed jobs are lost in them."""
    counts = powercut.campaign(
        kind, RELAXED_CUTS, durable=False, until_lost=True
    )
    counts.what += ", relaxed"
    show(counts)
    assert counts.lost, counts.report()
