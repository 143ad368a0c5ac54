# SPDX-License-Identifier: MIT
"""
The daemon's dealings with its workers: who is missing, what they report,
and what becomes of the jobs of one that died.
"""

import logging
import math
import socket
import time
from collections.abc import Callable
from typing import Any

from spooler import leftover, names, running
from spooler.deaths import Deaths, drop_output
from spooler.dispatch import Dispatcher
from spooler.foster import Child, Foster, reap_orphans
from spooler.health import Health
from spooler.labels import about, id_of
from spooler.ledger import Ledger
from spooler.pool import KINDS, Pool, Worker, describe_exit
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert

log = logging.getLogger(__name__)

_KILL_AFTER_S = 0.5
_LINGER_S = 1.0  #: that a worker may live on after it hung up
#: That it may do nothing about the jobs it was given; a runner, which also
#: files verdicts and clears directories meanwhile, has longer.
_DEAF_S = {"python": 5.0, "asyncio": 30.0, "command": 30.0}
_KILLED_WITHIN_S = 1.0  #: a coroutine ends that a person kills
#: What comes of reports that no worker of ours writes.
_NONSENSE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
)


class Crew:
    """Keeps the workers at strength and books what they report."""

    def __init__(
        self,
        spool: Spool,
        pool: Pool,
        dispatcher: Dispatcher,
        ledger: Ledger,
        health: Health,
        watch: Callable[[Worker], None],
        unwatch: Callable[[socket.socket], object],
    ) -> None:
        self._spool = spool
        self._pool = pool
        self._ledger = ledger
        self._health = health
        self._watch, self._unwatch = watch, unwatch
        #: Jobs that cannot be claimed, and why; for arrivals to know.
        self.refused: dict[str, str] = {}
        self.foster = Foster()
        self.use(dispatcher)
        self._deaths = Deaths(spool, pool, ledger)
        self._ended: list[tuple[Child, int]] = []

    def use(self, dispatcher: Dispatcher) -> None:
        """Serve *dispatcher* from now on."""
        self.dispatcher = dispatcher
        dispatcher.fostered = self.foster.children

    def fill(self) -> None:
        """
        Start the workers that are missing.

        Raises:
            OSError: no process or descriptor to be had.
        """
        for kind in KINDS:
            here = self._pool.of_kind(kind)
            missing = self.dispatcher.wanted(kind) - len(here)
            for _ in range(missing):
                worker = self._pool.start(kind)
                if worker is None:
                    break
                self._watch(worker)

    def hear(self, worker: Worker) -> None:
        """Take a worker's reports; replace it if it is gone."""
        if self._listen(worker) is not None:
            return
        if worker.has_ended():
            self._died(worker)
            return
        # It is about to end, or a handler became another program.
        self._unwatch(worker.socket)
        worker.gone_at = time.monotonic()

    def _listen(self, worker: Worker) -> bool | None:
        """Whether it reported anything; None if it will not any more."""
        try:
            reports = worker.receive()
            if reports is None:
                return None
            for report in reports:
                self._book(worker, report)
            worker.idle_since = None
        except _NONSENSE as error:
            log.error("worker %s: %s; ended", worker.owner, inert(str(error)))
            worker.kill("nonsense")
            return None
        return bool(reports)

    def is_idle(self) -> bool:
        """Nobody has anything to do, and no job is active on disk."""
        if any(worker.outstanding for worker in self._pool.workers.values()):
            return False
        return all(
            names.parse(entry.name) is None
            for entry in self._spool.scan(State.ACTIVE)
        )

    def see_deaths(self) -> None:
        """Replace the workers whose process has ended."""
        for worker in list(self._pool.workers.values()):
            if worker.has_ended():
                while worker.gone_at is None and self._listen(worker):
                    pass
                self._died(worker)

    def _book(self, worker: Worker, report: list[Any]) -> None:
        kind = report[0]
        if kind == "done":
            _, hints, took = report
            self._book_done(worker, hints, took)
        elif kind == "settled":
            _, hint, state, name, micros, text, base = report
            handler = self._ended_run(worker, hint, micros)
            self._ledger.book(
                State(state), hint, name, micros, text, handler, base
            )
        elif kind == "taken":
            self._forget(worker.answered(report[1]), report[1])
        elif kind == "started" and worker.kind != "python":
            _, hint, active, pid, work, started_ns, clock_ns, limit = report
            worker.started[hint] = Child(
                hint, active, worker.outstanding.get(hint, ""), pid, work,
                started_ns, clock_ns, limit,
            )
            self._ledger.started(hint, worker.outstanding.get(hint), pid)
        elif kind == "back":
            self._unclaimed(worker, report[1])
            self._ledger.gave_back(report[1])
        elif kind == "unstarted":
            for hint in report[1]:
                worker.chains.is_stuck(hint)
                self._unclaimed(worker, hint)
        elif kind == "trouble":
            self._health.told(report[2], report[3])
            self._unclaimed(worker, report[1])
        elif kind == "owing":
            self._health.told(report[1], report[2])
        elif kind == "refused":
            # This one job cannot be moved; it must not stop the others.
            self._forget(worker.answered(report[1]), report[1])
            self.refused[report[1]] = report[2]
        elif kind == "ready":
            self._pool.is_ready(worker)
        elif kind == "worn":
            log.info("worker %s is replaced: %s", worker.owner, report[1])
            worker.stop()

    def _book_done(
        self, worker: Worker, hints: list[str], micros: list[int]
    ) -> None:
        """Successes with nothing more to say, thousands a second."""
        lanes = self.dispatcher.lanes.by_handler
        groups = worker.all_answered(hints, micros)
        for handler, (group, took) in groups.items():
            self._ledger.book_done(group, took, handler)
            if handler:
                self.dispatcher.learn(handler, *took)
            if handler in lanes:
                lanes[handler].forget(*group)
        self._health.took()

    def _ended_run(
        self, worker: Worker, hint: str, micros: int
    ) -> str | None:
        handler = worker.answered(hint)
        if handler is not None:
            self.dispatcher.learn(handler, micros)
            self._forget(handler, hint)
        self._health.took()
        return handler

    def _unclaimed(self, worker: Worker, hint: str) -> None:
        """A job still waits that a worker was given."""
        lane = self.dispatcher.lanes.by_handler.get(
            worker.answered(hint) or ""
        )
        parsed = names.parse(hint)
        if lane is not None and parsed is not None:
            lane.forget(hint)
            lane.add(hint, parsed.runs)

    def _forget(self, handler: str | None, hint: str) -> None:
        lane = self.dispatcher.lanes.by_handler.get(handler or "")
        if lane is not None:
            lane.forget(hint)

    def _died(self, worker: Worker) -> None:
        doing = worker.board.read()
        if worker.gone_at is None:
            self._unwatch(worker.socket)
        code = self._pool.reap(worker)
        if not worker.retiring:
            log.warning("worker %s %s", worker.owner, describe_exit(code))
        self._deaths.add(worker, code, doing)
        for child in list(worker.started.values()):
            if worker.kind == "command" and self.foster.adopt(child):
                log.info(
                    "%s: runs on without its runner", id_of(child.hint),
                    extra=about(child.hint, State.ACTIVE),
                )
                worker.answered(child.hint)
        for hint in list(worker.filing):
            self._forget(worker.answered(hint), hint)
        for hint in list(worker.outstanding):
            self._unclaimed(worker, hint)

    def bury(self) -> None:
        """
        Settle what workers that died had claimed.

        Raises:
            OSError: the spool is in trouble; the next call goes on.
        """
        if not len(self._deaths):
            return
        in_care = [child for child, _ in self._ended] + self.foster.children
        self._deaths.settle(in_care, self._pids(), self.dispatcher.stopped)

    def _pids(self) -> set[int]:
        pids = {child.pid for child in self.foster.children}
        for worker in self._pool.workers.values():
            pids.add(worker.process.pid)
            pids.update(child.pid for child in worker.started.values())
        return pids

    def look_after(self) -> bool:
        """
        See to commands without a runner; a runner files those that ended.

        Returns:
            Whether there are any, so that they must be looked at again.
        """
        self._ended += self.foster.step()
        runners = [
            worker for worker in self._pool.workers.values()
            if worker.kind == "command" and worker.ready
            and worker.gone_at is None
        ]
        while self._ended and runners:
            child, code = self._ended.pop()
            leftover.end_strays(id_of(child.hint), self._pids())
            runners[0].give_ended(child, code)
        return bool(self._ended or self.foster.children)

    def abandon(self) -> None:
        """End the commands without a runner and give their jobs back."""
        for child in self.foster.end_all():
            name = names.parse(child.active)
            if name is not None:
                drop_output(self._spool, name.stem)
            self._spool.give_back(child.active)
            self._ledger.gave_back(child.hint)

    def reap_orphans(self) -> None:
        """Take leave of dead workers, and of what commands left behind."""
        self.see_deaths()
        reap_orphans(self._pids())

    def running(self) -> list[dict[str, Any]]:
        """What runs now, for status."""
        return running.listed(
            self._pool, self.foster, self._spool.private_fd
        )

    def running_count(self) -> int:
        """How many jobs run now."""
        return running.count(self._pool, self.foster)

    def kill(self, job_id: str) -> bool:
        """End the running job *job_id*; False if it does not run."""
        for worker in self._pool.workers.values():
            if worker.kind == "python":
                doing = worker.board.read()
                if doing is not None and id_of(doing[0]) == job_id:
                    worker.kill("killed")
                    return True
            for hint, child in worker.started.items():
                if id_of(hint) == job_id:
                    worker.send({"kill": hint})
                    if worker.kind == "asyncio":
                        child.kill_at = time.monotonic() + _KILLED_WITHIN_S
                    return True
        for child in self.foster.children:
            if id_of(child.hint) == job_id:
                child.end("killed", _KILL_AFTER_S)
                return True
        return False

    def check_limits(self) -> bool:
        """
        End workers that do nothing, or whose job is over its hard limit.

        Returns:
            Whether any worker is busy, so that it must be looked at again.
        """
        busy = False
        now = time.monotonic()
        for worker in list(self._pool.workers.values()):
            worker.flush()  # what its socket had no room for
            if worker.gone_at is not None and now > worker.gone_at + _LINGER_S:
                worker.kill("gone")
            if worker.kind == "asyncio":
                self._check_overdue(worker, now)
            if len(worker.outstanding) == len(worker.started):
                worker.idle_since = None
                continue
            busy = True
            doing = worker.board.read()
            # A runner never says, and a coroutine may hold up the others.
            if doing is None or worker.kind != "python":
                self._check_idle(worker, now)
                continue
            worker.idle_since = None
            if 0 < doing[2] < time.monotonic_ns() - doing[1]:
                worker.kill("timeout")
        return busy

    def _check_overdue(self, worker: Worker, now: float) -> None:
        """End a worker whose coroutines do not end when told to."""
        for why in ("killed", "timeout"):
            late = {
                child.hint for child in worker.started.values()
                if now > ((
                    child.kill_at if why == "killed" else child.limit_s
                ) or math.inf)
            }
            if late and worker.killed_for is None:
                worker.condemned = late
                worker.kill(why)

    def _check_idle(self, worker: Worker, now: float) -> None:
        if worker.idle_since is None:
            worker.idle_since = now
        elif (
            now > worker.idle_since + _DEAF_S[worker.kind]
            and worker.killed_for is None
        ):
            log.error("worker %s: %s; ended", worker.owner, "takes no jobs")
            worker.kill("gone")
