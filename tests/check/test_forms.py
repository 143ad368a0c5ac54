# SPDX-License-Identifier: MIT
"""Where repair puts a job whose name does not fit its directory."""

from typing import Any

import pytest
from check.healthy import DUE_NS, Healthy, findings, later, mend, run
from check.seeds import SEEDS
from check.sow import form

from spooler import names

HELD = {"due_ns": None, "verdict": "", "micros": None}
#: What is known of a job stays known: where it goes to, and what of its
#: name is kept.
GOES: dict[str, tuple[str, dict[str, Any]]] = {
    "active-unclaimed": ("incoming", {"runs": 0}),
    "deferred-never-due": ("hold", {"runs": 1}),
    "deferred-fresh": ("hold", {"runs": 0}),
    "deferred-claimed": ("deferred", {"runs": 1, "due_ns": DUE_NS}),
    "held-claimed": ("hold", {"runs": 1}),
    "held-claimed-due": (
        "hold", {"runs": 1, "due_ns": DUE_NS, "verdict": "exit1"}),
    "done-no-verdict": ("hold", {"runs": 1}),
    "done-no-runs": ("hold", {"runs": 0}),
    "done-fresh": ("hold", {"runs": 0}),
    "done-with-exit": ("failed", {"verdict": "exit1", "micros": 9}),
    "done-due": ("done", {"verdict": "ok"}),
    "done-claimed": ("done", {"verdict": "ok"}),
    "failed-no-verdict": ("hold", {"runs": 3}),
    "failed-with-ok": ("done", {"verdict": "ok"}),
    "failed-due": (
        "hold", {"runs": 1, "verdict": "exit1", "due_ns": DUE_NS}),
    "failed-claimed": ("failed", {"verdict": "exit1"}),
}
KINDS = ("result", "out")


def where(spool: Healthy, job_id: str) -> list[tuple[str, names.Name]]:
    """Where jobs of an id lie, and their names there."""
    return [
        (job.state, job.name) for job in spool.jobs()
        if job.name.id == job_id
    ]


@pytest.mark.parametrize("seed", GOES)
def test_a_job_keeps_what_its_name_knows(healthy: Healthy, seed: str) -> None:
    """A verdict, a due time and runs that may be true are not forgotten."""
    goes, fields = GOES[seed]
    path = SEEDS[seed].sow(healthy)
    state, _, entry = path.partition("/")
    name = names.parse(entry)
    assert name is not None
    beside = {
        kind: (healthy.path / state / f"{name.stem}.{kind}").exists()
        for kind in KINDS
    }
    with later(120):
        mend(healthy)
    ((found_state, found),) = where(healthy, name.id)
    assert found_state == goes
    for field, value in {**HELD, **fields}.items():
        assert getattr(found, field) == value, field
    assert found.claim == "" and found.tail == name.tail
    place = goes if goes in ("done", "failed") else state
    for kind in KINDS:
        path_beside = healthy.path / place / f"{found.stem}.{kind}"
        assert path_beside.exists() == beside[kind]


def test_a_moved_verdict_finds_its_record(healthy: Healthy) -> None:
    """A failed job that was moved to done/ goes back to its record."""
    job = healthy.put_failed()
    (healthy.path / "failed" / str(job)).rename(
        healthy.path / "done" / str(job)
    )
    with later(120):
        mend(healthy)
    ((state, _),) = where(healthy, job.id)
    assert state == "failed" and healthy.beside(
        "failed", job, "result"
    ).exists()
    assert findings(healthy) == []


@pytest.mark.parametrize(("state", "fields"), [
    ("hold", {}), ("deferred", {}), ("done", {"runs": 1}),
], ids=["held", "deferred", "done"])
def test_one_id_in_two_wrong_names(
    healthy: Healthy, state: str, fields: dict[str, Any]
) -> None:
    """Jobs of one id that would get one name both stay, told apart."""
    job_id = healthy.id()
    one = healthy.put("hold", id=job_id, **fields)
    more = {"claim": "0" * 20} if state == "hold" else {}
    two = form(state, id=job_id, **fields, **more)(healthy)
    assert str(one) not in two or state != "hold"
    contents = healthy.job_contents()
    with later(120):
        assert mend(healthy)
        assert not contents - healthy.job_contents()
        assert mend(healthy) == []
    found = where(healthy, job_id)
    assert [found_state for found_state, _ in found] == ["hold", "hold"]
    assert len({name.twin for _, name in found}) == 2
    assert findings(healthy) == []


def test_two_verdicts_of_one_id_are_not_mixed(healthy: Healthy) -> None:
    """A job does not get between another one of its id and its record."""
    job_id = healthy.id()
    record = {"told": {"runs": (run(1),)}}
    other = healthy.put_failed(id=job_id)
    form("done", id=job_id, runs=1, verdict="exit1", **record)(healthy)
    before = healthy.beside("failed", other, "result").read_bytes()
    contents = healthy.job_contents()
    with later(120):
        mend(healthy)
    assert not contents - healthy.job_contents()
    assert healthy.beside("failed", other, "result").read_bytes() == before
    assert sorted(state for state, _ in where(healthy, job_id)) == [
        "failed", "hold"
    ]
    assert {finding.number for finding in findings(healthy)} == {4}
