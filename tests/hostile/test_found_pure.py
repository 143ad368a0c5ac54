# SPDX-License-Identifier: MIT
"""Limits that must hold for whatever is given."""

import pathlib
import selectors

import pytest
from hostile.racers import ALTERNATIVES
from hostile.stage import serving, stage
from hostile.test_swap import CONFIG, judge_race

from spooler import config, layout, names
from spooler.arrivals import Arrivals
from spooler.config import Config
from spooler.errors import ConfigError
from spooler.spool import Spool
from spooler.watch import PENDING_MAX


@pytest.mark.parametrize("tail", ["x" * 200, "x" * 156 + ".job", "x"])
@pytest.mark.parametrize("fields", [
    "", ".h" + "h" * 32, ".h", ".zabc", ".h" + "h" * 32 + ".zabc.a5",
])
def test_every_legal_name_leaves_room(tail: str, fields: str) -> None:
    """What a claim, a wait and a verdict add to a legal name still fits."""
    name = f"4.{'0' * 20}{fields},{tail}"
    parsed = names.parse(name)
    assert parsed is not None
    if names.why_illegal(name) is not None:
        return
    for form in (
        {"claim": "0" * 20},
        {"due_ns": 10 ** 18, "verdict": "exit255"},
        {"micros": names.MAX_MICROSECONDS, "verdict": "timeout"},
    ):
        later = parsed.waiting(names.MAX_RUNS)
        later.twin = "zzz"
        for key, value in form.items():
            setattr(later, key, value)
        assert len(str(later).encode()) <= names.NAME_MAX_BYTES, later


@pytest.mark.parametrize("text", [
    "a = " + "[" * 5000, "a = " + "{b=" * 5000, "workers = " + "9" * 5000,
], ids=["lists", "tables", "digits"])
def test_a_configuration_beyond_all_limits(text: str) -> None:
    """A configuration that cannot be read is a ConfigError, as any other."""
    with pytest.raises(ConfigError):
        config.parse(text)


def test_events_that_come_faster_than_they_are_looked_at(
    tmp_path: pathlib.Path,
) -> None:
    """What is remembered of events is bounded; the rest is scanned for."""
    layout.create(str(tmp_path / "spool"))
    with Spool(str(tmp_path / "spool")) as spool:
        selector = selectors.DefaultSelector()
        arrivals = Arrivals(spool, Config(), selector)
        arrivals.open_watch()
        watch = arrivals._watch
        assert watch is not None
        try:
            for _ in range(4):
                watch._heard.extend([(0, False, "x")] * PENDING_MAX)
                watch.ring()
                for key, _ in selector.select(1):
                    key.data()
                assert arrivals.pending <= 2 * PENDING_MAX
        finally:
            arrivals.close()
            selector.close()


@pytest.mark.timeout(3600)
def test_a_directory_never_wins() -> None:
    """A directory that takes the name of a document stops nobody."""
    assert "directory" in ALTERNATIVES
    moves = [
        lambda racer: racer.swap_once("directory"),
        lambda racer: racer.swap_in_tmp("directory"),
    ]
    with stage(CONFIG) as on, serving(on, "--workers", "2") as daemon:
        judge_race(on, daemon, "directory for document", moves)
