# SPDX-License-Identifier: MIT
"""Finding jobs among many, by names alone."""

import os
import pathlib
from collections.abc import Iterator

import pytest
from spooler import layout, listing, names
from spooler.spool import Spool
from spooler.states import State

MANY = 300
STRANGE = 5  #: names that are not of the grammar


@pytest.fixture
def spool(tmp_path: pathlib.Path) -> Iterator[Spool]:
    """A spool with many jobs that wait and that are done, and a few files
    that are none."""
    path = tmp_path / "spool"
    layout.create(str(path))
    for number in range(MANY):
        for state, fields in (("incoming", ""), ("done", ".a1.vok.r1")):
            job = names.mint_id(10**18 + number * 10**6, len(fields))
            rank = number % 10
            (path / state / f"{rank}.{job}{fields},mail.job").touch()
    for name in ("a.txt", "b,c.txt"):
        (path / "incoming" / name).touch()
    for name in (".hidden", "x.part"):
        (path / "incoming" / name).touch()
    (path / "incoming" / "directory").mkdir()
    job = names.mint_id(10**18, 7)
    for kind in ("out", "result"):
        (path / "done" / f"4.{job}.{kind}").touch()
    with Spool(str(path)) as opened:
        yield opened


class Calls:
    """Counts what must not be done for every job."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.parsed = self.asked = 0
        parse, stat = names.parse, os.stat

        def counted_parse(name: str) -> names.Name | None:
            self.parsed += 1
            return parse(name)

        def counted_stat(*args: object, **kwargs: object) -> object:
            self.asked += 1
            return stat(*args, **kwargs)  # type: ignore[arg-type]

        patch.setattr(names, "parse", counted_parse)
        patch.setattr(os, "stat", counted_stat)
        patch.setattr(os, "lstat", counted_stat)


def test_counts(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are counted as they are listed, and no name is taken apart."""
    listed = [job.state for job in listing.jobs(spool).values()]
    calls = Calls(monkeypatch)
    counts, oldest_ns = listing.count(spool)
    assert counts[State.INCOMING] == listed.count(State.INCOMING) == MANY + 2
    assert counts[State.DONE] == listed.count(State.DONE) == MANY
    assert oldest_ns == 10**18
    assert calls.parsed <= STRANGE and not calls.asked


def test_some_run_first(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that run first are picked, in order, and only they are taken
    apart."""
    by_rank = sorted(
        (job for job in listing.jobs(spool, [State.INCOMING]).values()),
        key=lambda job: listing.order(job.entry),
    )
    calls = Calls(monkeypatch)
    chosen, number = listing.some(spool, State.INCOMING, 20)
    assert [job.entry for job in chosen] == [
        job.entry for job in by_rank[:20]
    ]
    assert number == MANY + 2
    assert calls.parsed <= 20 + STRANGE and not calls.asked


def test_some_came_last(spool: Spool) -> None:
    """Of finished jobs the latest are picked, whatever their priority."""
    chosen, number = listing.some(spool, State.DONE, 5, latest=True)
    ids = sorted(
        (job.id for job in listing.jobs(spool, [State.DONE]).values()),
        reverse=True,
    )
    assert [job.id for job in chosen] == ids[:5] and number == MANY


def test_find_is_one_look(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any number of ids is found by one scan of each directory, and only
    what fits is taken apart."""
    jobs = list(listing.jobs(spool, [State.DONE]).values())
    scans = []
    scan = Spool.scan

    def counted(self: Spool, state: State) -> Iterator["os.DirEntry[str]"]:
        scans.append(state)
        return scan(self, state)

    monkeypatch.setattr(Spool, "scan", counted)
    calls = Calls(monkeypatch)
    found = listing.find(spool, [job.id for job in jobs[:100]])
    assert [job.entry for job in found] == [job.entry for job in jobs[:100]]
    assert len(scans) == len(set(scans)) and calls.parsed <= 110


def test_find_by_name(spool: Spool) -> None:
    """A file not yet admitted, and one whose name has a comma."""
    for name in ("a.txt", "b,c.txt"):
        (job,) = listing.find(spool, [name])
        assert job.entry == name


@pytest.mark.parametrize("word", ["", "nothing", "directory", ".hidden"])
def test_what_is_not_found(spool: Spool, word: str) -> None:
    """No job is meant by what is none, or by no word."""
    with pytest.raises(listing.NotFound):
        listing.find(spool, [word])


def test_a_beginning_must_be_one(spool: Spool) -> None:
    """A beginning that several share is told with some of them."""
    with pytest.raises(listing.NotFound, match="ids begin so"):
        listing.find(spool, [names.mint_id(10**18, 0)[:8]])


def test_handler_of_a_name() -> None:
    """It is told where the name tells it, and only there."""
    job = names.mint_id(10**18, 0)
    for entry, handler in (
        (f"4.{job},mail.job", "mail"), (f"4.{job}.a1.vok.r1,mail.job", "mail"),
        (f"4.{job}.hx.a1,mail.job", None), (f"4.{job},scan.pdf", None),
        ("mail.job", None),
    ):
        assert listing.handler_in(entry) == handler, entry


def test_the_latest_moves(spool: Spool) -> None:
    """They come by the time of their move, the latest first."""
    path = pathlib.Path(spool.path)
    entry = sorted(os.listdir(path / "incoming"))[7]
    before_ns = max(
        file.stat().st_ctime_ns
        for state in ("incoming", "done") for file in (path / state).iterdir()
    )
    os.rename(path / "incoming" / entry, path / "hold" / entry)
    # Stamps tick every few milliseconds; all of these may have the same.
    while (path / "hold" / entry).stat().st_ctime_ns <= before_ns:
        (path / "hold" / entry).chmod(0o640)
    (at_ns, job), *_ = listing.latest_moved(spool, 3)
    assert (job.entry, job.state) == (entry, State.HELD)
    assert at_ns == (path / "hold" / entry).stat().st_ctime_ns
    only = listing.latest_moved(
        spool, 3, lambda job: job.state is State.DONE
    )
    assert {job.state for _, job in only} == {State.DONE}
