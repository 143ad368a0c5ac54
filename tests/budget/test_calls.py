# SPDX-License-Identifier: MIT
"""A job costs no more system calls than the budget has."""

import pathlib
import tomllib

import pytest

from . import trace

BUDGET = tomllib.loads(
    (pathlib.Path(__file__).parent / "budget.toml").read_text("utf-8")
)["calls"]
OTHERS = "others"
#: How much of a start or a stop may fall into a difference of two drains.
NOISE = 0.05
#: Time brings calls as well, to whoever is slow; they only ever add.
TRIES = 3


@pytest.fixture
def seen(tmp_path: pathlib.Path) -> dict[str, dict[str, float]]:
    """Calls a job: the least of each that some drains showed."""
    why = trace.why_not(tmp_path)
    if why is not None:
        pytest.skip(why)
    least: dict[str, dict[str, float]] = {}
    for number in range(TRIES):
        where = tmp_path / str(number)
        where.mkdir()
        calls = trace.per_job(where)
        for who, counts in (("worker", calls.worker),
                            ("daemon", calls.daemon)):
            sums = _by_line(who, counts)
            known = least.setdefault(who, sums)
            least[who] = {
                name: min(sums.get(name, 0), known.get(name, 0))
                for name in {*sums, *known}
            }
        if not any(_over(who, least[who]) for who in least):
            break
    return least


def _by_line(who: str, counts: dict[str, float]) -> dict[str, float]:
    """What has no line of its own is added up; it keeps its name, too."""
    sums = dict(counts)
    sums[OTHERS] = sum(
        count for name, count in counts.items() if name not in BUDGET[who]
    )
    return sums


def _over(who: str, counts: dict[str, float]) -> list[str]:
    """The lines of the budget that were exceeded, as text."""
    return [
        f"{name}: {counts.get(name, 0):.2f} a job, budget {most:g} ({why})"
        for name, (most, why) in BUDGET[who].items()
        if counts.get(name, 0) > most + NOISE
    ]


def test_calls_a_job(seen: dict[str, dict[str, float]]) -> None:
    """No system call of a job that does nothing is made more often, by
    the worker or by spoold, than its line in budget.toml allows."""
    # Else the counts are not of jobs that were run.
    renames = seen["worker"]["renameat"] + seen["worker"]["renameat2"]
    assert renames == pytest.approx(2.0, abs=NOISE)
    for who, counts in seen.items():
        unlisted = {
            name: round(count, 2) for name, count in counts.items()
            if name not in BUDGET[who] and abs(count) > NOISE
        }
        over = "; ".join(_over(who, counts))
        assert not over, f"{who}: {over}; without a line: {unlisted}"
