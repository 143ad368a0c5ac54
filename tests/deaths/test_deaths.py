# SPDX-License-Identifier: MIT
"""A job's death is its own, whichever way it dies."""

import pytest
from deaths.table import DEATHS, Death
from deaths.ward import Ward
from support import LONG, sized

TIMES = sized(1, 120)


@pytest.mark.timeout(0 if LONG else 120)
@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.handler)
def test_seven_healthy_jobs_do_not_notice(ward: Ward, death: Death) -> None:
    """Beside a death seven jobs end well, once, and nothing is left over."""
    for _ in range(TIMES):
        ward.die(death)
    runs = death.runs * TIMES
    print(f"{death.handler}: {runs} deaths, {ward.neighbours} neighbours")
