# SPDX-License-Identifier: MIT
"""Workers that died, and what becomes of the jobs they had claimed."""

import signal
import time
from collections.abc import Iterable
from typing import NamedTuple

from spooler import fsops, leftover, recover, settle, sidecar
from spooler.foster import Child
from spooler.ledger import Ledger
from spooler.names import Name
from spooler.pool import Pool, Worker, describe_exit
from spooler.route import Router
from spooler.settle import Outcome
from spooler.spool import Spool
from spooler.states import State

#: What a job is told of a worker that we killed.
_KILLED_FOR = {
    "killed": "killed by an operator",
    "timeout":
        "timed out and did not end when told to; its worker was killed",
    "gone": "its worker hung up during the run, and was killed",
    "hogged":
        "held up all other coroutines of its worker for %.1fs, which was"
        " killed; it must not block: see asyncio.to_thread",
    "nonsense": "its worker talked nonsense during the run, and was killed",
}
#: What comes of it, if not another run after a lost one.
_KINDS = {
    "killed": (settle.FAIL, "killed"), "timeout": (settle.RETRY, "timeout"),
}
#: Signals that what a process does brings upon itself.
_FAULTS = frozenset((
    signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE,
    signal.SIGILL, signal.SIGSYS, signal.SIGTRAP,
))
#: A coroutine that had the loop for so long held up the others.
_HOG_S = 0.5

_Fate = tuple[str, str, str]  #: effect, kind and text of an Outcome


class _Death(NamedTuple):
    """
    One worker that is no more.

    Attributes:
        code: exit status, negative for a signal.
        since_ns: monotonic moment since when its jobs ran, by name in
            ``active/``; "" for all others.
        filing: commands of runners before it whose verdict it was filing.
        blamed: the fate of the jobs because of which it died, by name; the
            others are sent back.  None: it may be any of them.
    """

    worker: Worker
    code: int
    since_ns: dict[str, int]
    filing: tuple[Child, ...]
    blamed: dict[str, _Fate] | None

    def micros(self, active: str) -> int:
        """How long a job had run."""
        since_ns = self.since_ns.get(active, self.since_ns.get("", 0))
        return (time.monotonic_ns() - since_ns) // 1000 if since_ns else 0


class Deaths:
    """The dead whose jobs are not settled yet, oldest first."""

    def __init__(self, spool: Spool, pool: Pool, ledger: Ledger) -> None:
        self._spool = spool
        self._pool = pool
        self._ledger = ledger
        self._dead: list[_Death] = []

    def __len__(self) -> int:
        return len(self._dead)

    def add(
        self, worker: Worker, code: int, doing: tuple[str, int, int] | None
    ) -> None:
        """
        A worker was reaped; what it had claimed lies in ``active/``.

        Args:
            doing: what its board says.
        """
        since_ns = {} if doing is None else {"": doing[1]}
        blamed = None
        if worker.kind == "asyncio":
            since_ns = {
                child.active: child.clock_ns
                for child in worker.started.values()
            }
            blamed = _blamed(worker, code, doing)
        self._dead.append(_Death(
            worker, code, since_ns, tuple(worker.filing.values()), blamed
        ))
        drop_output(self._spool, worker.owner)

    def settle(
        self, in_care: list[Child], pids: set[int], stopped: bool
    ) -> None:
        """
        Settle what they had claimed.

        Args:
            in_care: commands that run on, or whose end is not filed yet.
            pids: processes of ours that live.
            stopped: nothing is to be run any more: give back what can be.

        Raises:
            OSError: the spool is in trouble; the next call goes on.
        """
        while self._dead:
            self._settle(self._dead[0], in_care, pids, stopped)
            self._dead.pop(0)

    def _settle(
        self, death: _Death, in_care: list[Child], pids: set[int],
        stopped: bool,
    ) -> None:
        worker = death.worker
        now_ns = time.time_ns()
        lost = self._left(death, {child.active for child in in_care})
        if worker.kind == "command":
            for _, name in lost:  # it died before it could tell of them
                leftover.end_strays(name.id, pids)
            recover.tidy_captures(self._spool, worker.owner)
            self._tidy_work(death, {child.work for child in in_care})
        for active, name in lost:
            fate: _Fate | None = _fate(worker, death.code)
            if death.blamed is not None:
                fate = death.blamed.get(active)
            if fate is None or stopped and worker.killed_for is None:
                self._spool.give_back(active)
                self._ledger.gave_back(active)
                continue
            micros = death.micros(active)
            effect, kind, text = fate
            outcome = Outcome(
                effect, kind, started_ns=now_ns - micros * 1000,
                micros=micros, status=None, text=text,
            )
            settled = recover.lost(
                self._spool, self._pool.config, active, name, outcome
            )
            self._ledger.book(
                settled.state, active, settled.name, micros,
                outcome.text, Router(self._pool.config).handler_of(name),
            )
            if worker.kind == "command" and not sidecar.has_job(
                self._spool, State.ACTIVE, name.stem
            ):
                drop_output(self._spool, name.stem)

    def _left(
        self, death: _Death, cared: set[str]
    ) -> list[tuple[str, Name]]:
        """What it had claimed, or was filing, and is in ``active/`` still."""
        filing = {child.active for child in death.filing}
        owner = death.worker.owner
        return [
            (active, name)
            for active, name in recover.orphans(
                self._spool, lambda other: other == owner or bool(filing)
            )
            if (name.owner == owner or active in filing)
            and active not in cared
        ]

    def _tidy_work(self, death: _Death, cared: Iterable[str]) -> None:
        filing = {child.work for child in death.filing}
        recover.tidy_work(self._spool, lambda work: (
            work.startswith(f"{death.worker.owner}-") or work in filing
        ) and work not in cared)


def drop_output(spool: Spool, stem: str) -> None:
    """Remove what was written by a run that files no verdict."""
    for kind in ("out", "err"):
        try:
            fsops.unlink(spool.fds[State.ACTIVE], f"{stem}.{kind}")
        except OSError:
            pass  # recovery tidies


def _blamed(
    worker: Worker, code: int, doing: tuple[str, int, int] | None
) -> dict[str, _Fate] | None:
    """The fate of those coroutines that are to blame; None: it is not known.
    """
    active = {
        child.hint: child.active for child in worker.started.values()
    }
    hog, held_s = None, 0.0
    if doing is not None and doing[0] in active:
        hog, held_s = doing[0], (time.monotonic_ns() - doing[1]) / 1e9
    if worker.killed_for is None:
        # What a process did to itself was done by who had it.
        is_own = code >= 0 or -code in _FAULTS
        return {active[hog]: _fate(worker, code)} if hog and is_own else None
    out = {}
    if worker.killed_for == "killed" or hog in (None, *worker.condemned):
        fate = _fate(worker, code)
        out = {active[hint]: fate for hint in worker.condemned & set(active)}
    if hog is not None and hog not in worker.condemned and held_s > _HOG_S:
        text = _KILLED_FOR["hogged"] % held_s
        out[active[hog]] = settle.RETRY, "lost", text
    return out or None


def _fate(worker: Worker, code: int) -> _Fate:
    """Effect, kind and text for the jobs of a worker that died."""
    if worker.killed_for is not None:
        effect, kind = _KINDS.get(worker.killed_for, (settle.RETRY, "lost"))
        return effect, kind, _KILLED_FOR[worker.killed_for]
    return settle.RETRY, "lost", (
        f"its worker was {describe_exit(code)} during the run".replace(
            "was exited", "exited"
        )
    )
