# SPDX-License-Identifier: MIT
"""Repair mends what it may, loses nothing, and leaves the rest alone."""

import pytest
from check import prove
from check.healthy import Healthy, findings, later, mend
from check.prove import SOON_S
from check.seeds import SEEDS, Seed


@pytest.mark.parametrize("seed", SEEDS.values(), ids=list(SEEDS))
def test_repair_of_one_violation(healthy: Healthy, seed: Seed) -> None:
    """It mends or leaves as the table says, nothing else, and only once."""
    prove.mended(healthy, seed)


def test_repair_of_a_healthy_spool(healthy: Healthy) -> None:
    """Where nothing is wrong nothing is done and nothing is said."""
    before = healthy.tree()
    with later(SOON_S):
        assert mend(healthy) == []
    assert healthy.tree() == before


def test_repair_of_all_at_once(healthy: Healthy) -> None:
    """All that can be mended is, whatever else is wrong."""
    left = 0
    for seed in SEEDS.values():
        if not seed.root and seed.number not in (1, 9):
            seed.sow(healthy)
            left += not seed.mended
    contents = healthy.job_contents()
    with later(SOON_S):
        assert mend(healthy)
        assert not contents - healthy.job_contents(), "a job was lost"
        assert len(findings(healthy)) == left
        assert mend(healthy) == []


def test_what_may_be_under_way_is_left_alone(healthy: Healthy) -> None:
    """A record or output that is younger than a minute may get its job."""
    path = healthy.path / SEEDS["lonely-out"].sow(healthy)
    assert mend(healthy) == [] and path.exists()
    with later(SOON_S):
        assert mend(healthy) and not path.exists()


def test_half_a_record_is_removed(healthy: Healthy) -> None:
    """A record that was never finished goes; its job and output stay."""
    job = healthy.put_done(out=b"output", told={})
    part = healthy.path / "done" / f"{job.stem}.result.new"
    part.write_bytes(b'{"v":1,"id"')
    assert findings(healthy) == []
    before = healthy.tree()
    del before[f"done/{part.name}"]
    with later(SOON_S):
        assert len(mend(healthy)) == 1
    assert healthy.tree() == before


@pytest.mark.parametrize("seed", ["dead-instance", "dead-last-run"])
def test_only_who_knows_the_handler_judges_its_jobs(
    healthy: Healthy, seed: str
) -> None:
    """An interrupted job whose attempts are not known waits for spoold."""
    SEEDS[seed].sow(healthy)
    healthy.configure("")  # spoold was given --config or --handler
    before = healthy.tree()
    with later(SOON_S):
        assert mend(healthy) == []
    assert healthy.tree() == before
    assert [finding.number for finding in findings(healthy)] == [5]
