# SPDX-License-Identifier: MIT
"""What who knows the id of another's job can do to that job: nothing."""

import time
from collections.abc import Iterator

import pytest
from hostile.stage import Stage, serving, stage
from support import Spoold, document, wait_until

from spooler import names

CONFIG = """
workers = 3
rescan = "200ms"
durability = "relaxed"
[handler.note]
python = "hostile.handlers:note"
[handler.again]
python = "hostile.handlers:again"
attempts = 1
[handler.say]
command = ["sh", "-c", "cat; while ! [ -e $0 ]; do sleep 0.02; done; cat"]
"""


@pytest.fixture
def on() -> Iterator[Stage]:
    """Make a spool for all."""
    with stage(CONFIG) as made:
        yield made


@pytest.fixture
def daemon(on: Stage) -> Iterator[Spoold]:
    """Serve it."""
    with serving(on) as running:
        yield running


def _victim_job(on: Stage, handler: str, body: bytes = b"") -> str:
    """Submit another's job; its id."""
    job_id = names.mint_id(time.time_ns(), 1)
    mark = [] if handler == "say" else ["victim"]
    on.put(f"4.{job_id},{handler}.job", document(
        handler, *mark, str(on.directory / "open"), body=body
    ))
    return job_id


def test_output_stays_with_its_job(on: Stage, daemon: Spoold) -> None:
    """A job of the same id that runs meanwhile has output of its own."""
    job_id = _victim_job(on, "say", b"the victim's words\n")
    out = on.path / "active" / f"4.{job_id}.out"
    wait_until(lambda: on.count("active") == 1, what=on.tree)
    time.sleep(0.2)
    on.hostile(lambda: on.put(f"4.{job_id}.hsay,evil.job", document(
        "say", str(on.directory / "open"), body=b"evil\n"
    ))).result()
    wait_until(lambda: on.count("active") == 2, what=on.tree)
    (on.directory / "open").touch()
    found = on.wait("say.job")
    assert found.out == b"the victim's words\n", (out, on.tree())
    assert on.wait("evil.job").out == b"evil\n"
    assert found.record["out_bytes"] == len(found.out)


@pytest.mark.parametrize("fields", [".vok", ".a5"])
def test_earlier_runs_stay_with_their_job(
    on: Stage, daemon: Spoold, fields: str
) -> None:
    """A job of the same id takes nothing of what earlier runs left."""
    job_id = _victim_job(on, "again")
    wait_until(lambda: on.ran(), what=on.tree)
    on.hostile(lambda: on.put(
        f"4.{job_id}.hnote{fields},evil.job", document("note", "evil")
    )).result()
    on.wait("evil.job")
    (on.directory / "open").touch()
    found = on.wait("again.job")
    assert [run["kind"] for run in found.record["runs"]] == ["defer", "ok"]
