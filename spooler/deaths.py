# SPDX-License-Identifier: MIT
"""Workers that died, and what becomes of the jobs they had claimed."""

import time
from collections.abc import Iterable
from typing import NamedTuple

from spooler import fsops, leftover, recover, settle
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
    "nonsense": "its worker talked nonsense during the run, and was killed",
}


class _Death(NamedTuple):
    """
    One worker that is no more.

    Attributes:
        code: exit status, negative for a signal.
        micros: how long its Python job had run.
        filing: commands of runners before it whose verdict it was filing.
    """

    worker: Worker
    code: int
    micros: int
    filing: tuple[Child, ...]


class Deaths:
    """The dead whose jobs are not settled yet, oldest first."""

    def __init__(self, spool: Spool, pool: Pool, ledger: Ledger) -> None:
        self._spool = spool
        self._pool = pool
        self._ledger = ledger
        self._dead: list[_Death] = []

    def __len__(self) -> int:
        return len(self._dead)

    def add(self, worker: Worker, code: int, micros: int) -> None:
        """A worker was reaped; what it had claimed lies in ``active/``."""
        filing = tuple(worker.filing.values())
        self._dead.append(_Death(worker, code, micros, filing))
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
            if stopped and worker.killed_for is None:
                self._spool.give_back(active)
                self._ledger.gave_back(active)
                continue
            outcome = Outcome(
                *_fate(worker), started_ns=now_ns - death.micros * 1000,
                micros=death.micros, status=None,
                text=_why(worker, death.code),
            )
            settled = recover.lost(
                self._spool, self._pool.config, active, name, outcome
            )
            self._ledger.book(
                settled.state, active, settled.name, death.micros,
                outcome.text, Router(self._pool.config).handler_of(name),
            )
            if worker.kind == "command" and not settle.has_job(
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


def _fate(worker: Worker) -> tuple[str, str]:
    if worker.killed_for == "killed":
        return settle.FAIL, "killed"
    if worker.killed_for == "timeout":
        return settle.RETRY, "timeout"
    return settle.RETRY, "lost"


def _why(worker: Worker, code: int) -> str:
    if worker.killed_for is not None:
        return _KILLED_FOR[worker.killed_for]
    return f"its worker was {describe_exit(code)} during the run".replace(
        "was exited", "exited"
    )
