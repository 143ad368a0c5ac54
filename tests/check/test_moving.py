# SPDX-License-Identifier: MIT
"""Check looks at any instant of a job's life, and while it moves."""

import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from check.healthy import LIVE, claim
from check.test_killed import Strike
from support import SpoolDir, sized

from spooler import check, fsops, names, recover, settle, sidecar
from spooler.check import Finding
from spooler.config import Config, Handler
from spooler.settle import Outcome
from spooler.spool import Spool
from spooler.states import State

HANDLER = Handler("backup", command=("true",), attempts=9, backoff_s=0.0)
OWNER = claim(LIVE)[:names.OWNER_CHARS]


class Life:
    """One job that is run, tried again, done, and sent back."""

    def __init__(self, place: SpoolDir, spool: Spool) -> None:
        """Submit it."""
        self._place, self._spool = place, spool
        self._state = State.INCOMING
        self._entry = f"4.{names.mint_id(1, 1)},backup.job"
        path = place.path / "incoming" / self._entry
        path.write_bytes(b"Handler: backup\n\n")
        self._run = 0

    def steps(self) -> Iterator[Callable[[], None]]:
        """What happens to it, one after the other, for ever."""
        while True:
            for effect in settle.RETRY, settle.DEFER, settle.DONE:
                yield self.claim
                yield lambda: self.end(effect)
                yield self.back
            yield self.claim
            yield self.give_back
            yield self.claim
            yield self.recover
            yield self.claim
            yield lambda: self.end(settle.FAIL)
            yield self.back

    def claim(self) -> None:
        """It is run, and writes more, or less, than the time before."""
        active = self._spool.claim(self._entry, OWNER)
        assert active is not None
        self._entry, self._run = active, self._run + 1
        self._beside("out").write_bytes(b"x" * (self._run * 7 % 5))

    def end(self, effect: str) -> None:
        """Its run ends."""
        out = self._beside("out")
        size = out.stat().st_size
        if not size:
            out.unlink()
        kind = "ok" if effect == settle.DONE else "exit"
        status = None if effect == settle.DONE else 1
        settled = settle.settle(
            self._spool, self._entry,
            Outcome(effect, kind, 1, 1, status, out_bytes=size,
                    value=self._run),
            HANDLER, None, False, time.time_ns(), 0.0,
        )
        assert settled.name is not None
        self._state, self._entry = settled.state, settled.name

    def back(self) -> None:
        """It is due again, or a person sends it back."""
        if self._state is State.DEFERRED:
            moved = self._spool.retry(self._entry)
        else:
            name = names.parse(self._entry)
            assert name is not None
            for state in self._state, State.DEFERRED:
                sidecar.drop(self._spool, state, name.stem)
            moved = self._spool.requeue(self._state, self._entry)
        assert moved is not None
        self._entry = moved

    def give_back(self) -> None:
        """Its run is cut short."""
        self._beside("out").unlink()
        moved = self._spool.give_back(self._entry)
        assert moved is not None
        self._entry = moved

    def recover(self) -> None:
        """Its spoold died, and the next one takes it back."""
        name = names.parse(self._entry)
        assert name is not None
        _, moved = recover.recover(
            self._spool, Config(handlers={"backup": HANDLER}), self._entry,
            name,
        )
        recover.tidy(self._spool, lambda _: False)
        assert moved is not None
        self._entry = moved

    def _beside(self, kind: str) -> pathlib.Path:
        name = names.parse(self._entry)
        assert name is not None
        return self._place.path / "active" / f"{name.stem}.{kind}"


ROUND = 16  #: steps until a life begins anew
GAP_MAX = sized(3, 20)


def look(spool: Spool) -> list[Finding]:
    """What check finds; all who claim live."""
    return list(check.check(spool, lambda _: False))


class Watch(Strike):
    """Stands in for the module os, and checks before every change."""

    def __init__(self, spool: Spool) -> None:
        """See that nothing is wrong with *spool*."""
        super().__init__(0)
        self._spool = spool

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Check, then call."""
        def watched(*args: Any, **keys: Any) -> Any:
            assert look(self._spool) == [], f"before {call.__name__}{args}"
            self.count += 1
            return call(*args, **keys)
        return watched


def test_no_instant_of_a_life_is_called_wrong(
    spool: SpoolDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two changes on disk the invariants hold."""
    with Spool(str(spool.path)) as opened:
        steps = Life(spool, opened).steps()
        watch = Watch(opened)
        monkeypatch.setattr(fsops, "os", watch)
        monkeypatch.setattr(
            fsops, "_renameat2", watch.wrap(fsops._renameat2)
        )
        for _ in range(3 * ROUND):
            next(steps)()
            assert look(opened) == []
        monkeypatch.undo()
    print(f"check: {watch.count} instants of a job's life, 0 false alarms")
    assert watch.count > 3 * ROUND


def test_a_job_that_moves_meanwhile_is_not_called_wrong(
    spool: SpoolDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job may move before any directory that check reads."""
    scan = Spool.scan
    plan: dict[int, int] = {}
    read = 0

    def moving(self: Spool, state: State) -> Iterator["os.DirEntry[str]"]:
        nonlocal read
        read += 1
        for _ in range(plan.get(read, 0)):
            with monkeypatch.context() as still:
                still.setattr(Spool, "scan", scan)
                next(steps)()
        return scan(self, state)

    with Spool(str(spool.path)) as opened:
        steps = Life(spool, opened).steps()
        monkeypatch.setattr(Spool, "scan", moving)
        looks = total = 0
        first, gap = 1, 0
        while first <= max(total, 20):
            # Two steps, at one directory and another soon after it.
            plan.clear()
            plan[first] = 1
            plan[first + gap] = plan.get(first + gap, 0) + 1
            for _ in range(ROUND):
                read = 0
                assert look(opened) == [], plan
                total, looks = max(total, read), looks + 1
                read = 1 << 30  # it moves, and nobody looks
                next(steps)()  # three a look: begins at every step once
            gap += 1
            if gap > GAP_MAX:
                first, gap = first + 1, 0
        monkeypatch.undo()
    print(f"check: {looks} looks at a job on the move, 0 false alarms")
