# SPDX-License-Identifier: MIT
"""What is purged of finished jobs, and what is kept."""

import os
import pathlib
import time
import types
from collections.abc import Callable

import pytest
from spooler import fsops, layout, names, retention
from spooler.config import Keep
from spooler.retention import Retention
from spooler.spool import Spool
from spooler.states import State
from spooler.units import NS

DAY_S = 86400.0
BLOCK = 4096


class Shelf:
    """A spool whose finished jobs have the ages they are given."""

    def __init__(
        self, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layout.create(str(path))
        self.path = path
        self.spool = Spool(str(path))
        self._ages: dict[str, float] = {}
        self._dice = 0
        monkeypatch.setattr(
            retention, "fsops",
            types.SimpleNamespace(status=self._status, exists=fsops.exists),
        )

    def _status(self, dir_fd: int, name: str) -> object:
        os.stat(name, dir_fd=dir_fd)
        age_s = self._ages.get(name[:names.STEM_CHARS], 0.0)
        return types.SimpleNamespace(
            st_ctime_ns=time.time_ns() - round(age_s * NS),
            st_blocks=BLOCK // 512,
        )

    def put(self, age_s: float, *kinds: str, state: str = "done") -> str:
        """Lay a job that ended so long ago; returns its stem."""
        self._dice += 1
        stem = f"4.{names.mint_id(time.time_ns(), self._dice)}"
        self._ages[stem] = age_s
        (self.path / state / f"{stem}.a1.vok.r1,mail.job").touch()
        for kind in kinds:
            (self.path / state / f"{stem}.{kind}").touch()
        return stem

    def left(self, state: str = "done") -> set[str]:
        """The stems of what is left, with what lies beside them."""
        return {
            name[:names.STEM_CHARS]
            for name in os.listdir(self.path / state)
        }

    def hold_to(self, keep: Keep, state: State = State.DONE) -> Retention:
        """Make one whole pass."""
        held = Retention(self.spool, state, keep)
        whole_pass(held)
        return held


def whole_pass(held: Retention) -> int:
    """Step until there is nothing to do; returns the number of steps."""
    for number in range(1, 100_000):
        held.step()
        wait_s = held.wait_s()
        if wait_s is None or wait_s > 0:
            return number
    raise AssertionError("never ends")


@pytest.fixture
def shelf(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Shelf:
    """A fresh spool."""
    return Shelf(tmp_path / "spool", monkeypatch)


def test_without_limits_all_is_kept(shelf: Shelf) -> None:
    """No limit, no pass: nothing is even looked at."""
    stem = shelf.put(10_000 * DAY_S)
    held = shelf.hold_to(Keep())
    assert shelf.left() == {stem} and held.wait_s() is None


def test_age(shelf: Shelf) -> None:
    """What is older goes, with what lies beside it; the rest stays."""
    old = [shelf.put(age * DAY_S, "out", "err", "result")
           for age in (31, 40, 4000)]
    new = [shelf.put(age * DAY_S, "out") for age in (0, 1, 29)]
    held = shelf.hold_to(Keep(age_s=30 * DAY_S))
    assert shelf.left() == set(new)
    assert held.purged == len(old)


def test_only_its_directory(shelf: Shelf) -> None:
    """What is kept of done jobs is no matter of those that failed."""
    shelf.put(40 * DAY_S)
    failed = shelf.put(40 * DAY_S, "out", state="failed")
    shelf.hold_to(Keep(age_s=DAY_S))
    assert shelf.left() == set() and shelf.left("failed") == {failed}
    shelf.hold_to(Keep(age_s=DAY_S), State.FAILED)
    assert shelf.left("failed") == set()


@pytest.mark.parametrize("keep", [0, 1, 7, 30, 99])
def test_number(shelf: Shelf, keep: int) -> None:
    """The oldest go until just so many are left."""
    stems = [shelf.put(hours * 3600.0) for hours in range(1, 41)]
    shelf.hold_to(Keep(jobs=keep or 1))
    left = shelf.left()
    assert len(left) == min(keep or 1, 40)
    # Ages that are near one another may go in any order.
    oldest = max(stems.index(stem) for stem in left)
    assert oldest <= (keep or 1) * 1.05 + 1


def test_number_of_one_age(shelf: Shelf) -> None:
    """Just so many are left, also of jobs that ended all at once."""
    for _ in range(500):
        shelf.put(5.0)
    shelf.hold_to(Keep(jobs=123))
    assert len(shelf.left()) == 123


def test_size(shelf: Shelf) -> None:
    """The oldest go until the rest takes no more room than it may; what
    lies beside a job counts."""
    stems = [shelf.put(hours * 3600.0, "out", "result")
             for hours in range(1, 21)]
    shelf.hold_to(Keep(size=3 * 3 * BLOCK))
    left = shelf.left()
    assert 2 <= len(left) <= 3 and left <= set(stems[:4])


def test_all_at_once(shelf: Shelf) -> None:
    """With several limits each holds."""
    stems = [shelf.put(hours * 3600.0) for hours in range(1, 101)]
    shelf.hold_to(Keep(age_s=50.5 * 3600, jobs=20, size=30 * BLOCK))
    assert len(shelf.left()) == 20 and shelf.left() <= set(stems[:22])


def test_a_clock_that_was_set_back(shelf: Shelf) -> None:
    """Jobs of the future are young."""
    stem = shelf.put(-5 * DAY_S)
    shelf.hold_to(Keep(age_s=DAY_S))
    assert shelf.left() == {stem}
    shelf.hold_to(Keep(jobs=1))
    assert shelf.left() == {stem}


def test_slices(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass is made in pieces, and what comes meanwhile is no matter."""
    monkeypatch.setattr(retention, "_SLICE_S", 0.0)
    for _ in range(50):
        shelf.put(40 * DAY_S)
    held = Retention(shelf.spool, State.DONE, Keep(age_s=DAY_S))
    held.step()
    assert held.wait_s() == 0.0 and len(shelf.left()) >= 49
    shelf.put(0.0)
    assert whole_pass(held) >= 49
    assert len(shelf.left()) == 1


def test_nothing_new_costs_nothing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that did not change is not read again before something
    in it is old enough."""
    clock = [1000.0]
    monkeypatch.setattr(retention.time, "monotonic", lambda: clock[0])
    shelf.put(0.0)
    held = shelf.hold_to(Keep(age_s=DAY_S))
    reads = []
    scan = shelf.spool.scan

    def counting(state: State) -> object:
        reads.append(state)
        return scan(state)

    monkeypatch.setattr(shelf.spool, "scan", counting)
    clock[0] += 1e6
    assert whole_pass(held) == 1 and not reads
    shelf.put(2 * DAY_S)
    clock[0] += 1e6
    whole_pass(held)
    assert reads and len(shelf.left()) == 1


def test_trouble_begins_anew(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error ends the pass; a later one goes on."""
    shelf.put(2 * DAY_S)

    def fails(*_: object) -> bool:
        raise OSError(5, "Input/output error")

    held = Retention(shelf.spool, State.DONE, Keep(age_s=DAY_S))
    with monkeypatch.context() as patch:
        patch.setattr(shelf.spool, "purge", fails)
        with pytest.raises(OSError):
            whole_pass(held)
    assert held.wait_s()
    held.use(Keep(age_s=DAY_S))
    whole_pass(held)
    assert shelf.left() == set()


Put = Callable[..., str]


def test_forget_spares_another_job(shelf: Shelf) -> None:
    """What a verdict that was cut short left elsewhere goes; what lies
    beside another job of that name does not."""
    stem = shelf.put(0.0, "out")
    (shelf.path / "deferred" / f"{stem}.result").touch()
    (shelf.path / "failed" / f"{stem}.result").touch()
    (shelf.path / "failed" / f"{stem}.a1.vexit1.r1,mail.job").touch()
    retention.forget(shelf.spool, State.DONE, stem)
    assert not list((shelf.path / "deferred").iterdir())
    assert len(list((shelf.path / "failed").iterdir())) == 2
    assert not (shelf.path / "done" / f"{stem}.out").exists()
