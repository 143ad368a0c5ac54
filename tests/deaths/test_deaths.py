# SPDX-License-Identifier: MIT
"""A job's death is its own, whichever way it dies."""

import pytest
from deaths.conftest import LONG
from deaths.table import DEATHS, Death
from deaths.ward import Ward

TIMES = 12 if LONG else 1


@pytest.mark.timeout(0 if LONG else 120)
@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.handler)
def test_seven_healthy_jobs_do_not_notice(ward: Ward, death: Death) -> None:
    """Beside a death seven jobs end well, once, and nothing is left over."""
    for _ in range(TIMES):
        ward.die(death)
    runs = death.runs * TIMES
    print(f"{death.handler}: {runs} deaths, {ward.neighbours} neighbours")
