# SPDX-License-Identifier: MIT
"""
Which waiting job goes to which worker, and when.

The order is that of the names: priority, then submission, over all handlers
that may start a job now.  A handler at its limit is passed over and blocks
nobody.  Hints go out in batches as large as the jobs are short.
"""

import os
import time

from spooler.breaker import Breaker
from spooler.config import Config, Handler
from spooler.foster import Child
from spooler.index import Lane, Lanes
from spooler.pause import EVERY
from spooler.pool import Pool, Worker

BATCH_MAX = 128
#: How much work a batch is meant to hold: what a job of higher priority may
#: have to wait, and what a message is shared by.
BATCH_S = 0.005
#: The same of a chain of commands, whose messages cost more than themselves.
CHAIN_S = 0.015
#: A batch whose first job takes longer than this is offered to others too.
STUCK_S = 0.02
#: Chains a runner was given and has not started: what its socket holds.
UNSTARTED_MAX = 32
LULL_S = 0.003
_SMOOTHING = 0.2


class Dispatcher:
    """Hands waiting jobs to workers."""

    def __init__(
        self, config: Config, pool: Pool, lanes: Lanes,
        breakers: dict[str, Breaker],
    ) -> None:
        self._pool = pool
        self.handlers = config.handlers
        self.lanes = lanes
        self.slots = slots_of(config)
        self.breakers = breakers
        self._mean_s: dict[str, float] = {}
        self.stopped = False
        self.paused: frozenset[str] = frozenset()  #: marks of pause.py
        self.fostered: list[Child] = []  #: commands without a runner

    def learn(self, handler: str, *micros: int) -> None:
        """Take note of how long jobs took."""
        mean = self._mean_s.get(handler, 0.0)
        for took in micros:
            new = took / 1e6
            if new < mean:
                mean += (new - mean) * _SMOOTHING
            else:
                # A longer one counts at once: the next batch must not hide
                # behind it.
                mean = new
        self._mean_s[handler] = mean

    def running(self, handler: str) -> int:
        """How many jobs of *handler* are being worked at."""
        count = sum(child.handler == handler for child in self.fostered)
        for worker in self._pool.workers.values():
            count += worker.slots(handler)
        return count

    def shared_in_use(self) -> int:
        """Slots taken by handlers without slots of their own."""
        count = 0
        for worker in self._pool.workers.values():
            if worker.kind == "python":
                count += bool(worker.outstanding)
            else:
                count += sum(
                    number for name, number in worker.chains.slots.items()
                    if not self.has_own_slots(name)
                )
        return count

    def has_own_slots(self, name: str) -> bool:
        """Whether jobs of a handler take none of the shared slots."""
        handler = self.handlers.get(name)
        return (
            handler is not None and handler.kind != "python"
            and handler.slots is not None
        )

    def limit(self, name: str) -> int:
        """How many jobs of a handler may run at once."""
        handler = self.handlers[name]
        if self.breakers[name].tripped:
            return 1  # one is tried
        if handler.slots is None:
            return self.slots
        if handler.kind == "python":
            return min(handler.slots, self.slots)
        return handler.slots

    def dispatch(self) -> None:
        """Hand out all that can be started now."""
        if self.stopped or not len(self.lanes) or EVERY in self.paused:
            return
        now = time.monotonic()
        blocked = {
            name for name, breaker in self.breakers.items()
            if breaker.wait_s(now)
        }
        blocked |= self.paused
        crowded = False  #: a job waits for a slot, and for nothing else
        while True:
            lane = self._next_lane(blocked)
            if lane is None:
                return
            handler = self.handlers[lane.handler]
            if handler.kind == "python":
                started = self._start_python(lane, handler, crowded)
            elif handler.kind == "asyncio":
                started = self._start_asyncio(lane, handler)
            else:
                started = self._start_command(lane, handler, crowded)
            if not started:
                blocked.add(lane.handler)
                crowded = crowded or self._lacks_slot(handler)

    def _lacks_slot(self, handler: Handler) -> bool:
        """Whether jobs that could not be started only want a slot."""
        if self.has_own_slots(handler.name) or (
            self.running(handler.name) >= self.limit(handler.name)
        ):
            return False
        return handler.kind == "python" or self.shared_in_use() >= self.slots

    def _next_lane(self, blocked: set[str]) -> Lane | None:
        best, best_key = None, ""
        for name, lane in self.lanes.by_handler.items():
            if name in blocked:
                continue
            key = lane.peek()
            if key is not None and (best is None or key < best_key):
                best, best_key = lane, key
        return best

    def _start_python(
        self, lane: Lane, handler: Handler, crowded: bool
    ) -> bool:
        batch = self._batch(handler.name, BATCH_S)
        worker = self._python_worker(handler, batch, crowded)
        if worker is None:
            return False
        waiting = len(lane)
        if not worker.outstanding:
            # Leave some for the workers that are idle too.
            share = -(-waiting // max(1, self.slots))
            batch = max(1, min(batch, share))
        worker.give(lane.take(batch), handler.name)
        return True

    def _start_asyncio(self, lane: Lane, handler: Handler) -> bool:
        room = self.limit(handler.name) - self.running(handler.name)
        ready = [w for w in self._pool.of_kind("asyncio") if w.ready]
        if room < 1 or not ready:
            return False
        ready[0].give(lane.take(min(room, BATCH_MAX)), handler.name)
        return True

    def _batch(self, handler: str, seconds: float) -> int:
        mean = self._mean_s.get(handler)
        if mean is None or self.breakers[handler].tripped:
            return 1  # nothing is known: find out with one
        return max(1, min(BATCH_MAX, int(seconds / max(mean, 1e-6))))

    def _python_worker(
        self, handler: Handler, batch: int, crowded: bool
    ) -> Worker | None:
        workers = self._pool.of_kind("python")
        at_work = self.running(handler.name)
        limit = self.limit(handler.name)
        if at_work < limit and self.shared_in_use() < self.slots:
            idle = [w for w in workers if not w.outstanding and w.ready]
            if idle:
                return idle[0]
        # Short jobs: keep a second batch waiting at each worker, so that
        # none stands idle while reports and hints are on their way.  Not
        # while an earlier job waits for one of them: it would wait for ever.
        if batch > 1 and not crowded:
            for worker in workers:
                if 0 < len(worker.outstanding) <= batch // 2 + 1:
                    if worker.counts.get(handler.name) == len(
                        worker.outstanding
                    ):
                        return worker
        return None

    def _start_command(
        self, lane: Lane, handler: Handler, crowded: bool
    ) -> bool:
        batch = self._batch(handler.name, CHAIN_S)
        # Leave some for the other slots.
        share = -(-len(lane) // max(1, self.limit(handler.name)))
        room = self.limit(handler.name) - self.running(handler.name)
        if not self.has_own_slots(handler.name):
            room = min(room, self.slots - self.shared_in_use())
        ready = [w for w in self._pool.of_kind("command") if w.ready]
        if room < 1:
            # Not while an earlier job waits for the slot of one of them.
            if batch < 2 or crowded and not self.has_own_slots(handler.name):
                return False
            return any(
                self._lengthen(worker, lane, batch, share)
                for worker in ready
            )
        if not ready:
            return False
        worker = min(ready, key=lambda w: len(w.outstanding))
        if len(worker.chains) - len(worker.started) >= UNSTARTED_MAX:
            return False  # it has enough to do; its reports bring us back
        worker.give(lane.take(min(batch, share)), handler.name)
        return True

    def _lengthen(
        self, worker: Worker, lane: Lane, batch: int, share: int
    ) -> bool:
        """Give more to a chain before its end; False if none is short."""
        chain = worker.chains.short(lane.handler, batch // 2 + 1)
        if chain is None:
            return False
        worker.give(lane.take(min(batch, share)), lane.handler, chain)
        return True

    def lull_s(self) -> float:
        """
        For how long nothing is lost by not listening.

        Runners with short commands report each of them; they go on with
        their chains meanwhile.
        """
        busy = False
        for worker in self._pool.workers.values():
            if worker.kind == "python":
                if worker.outstanding:
                    return 0.0
            elif worker.chains.busy:
                busy = True
        return LULL_S if busy else 0.0

    def wanted(self, kind: str) -> int:
        """How many workers of a kind the configuration calls for."""
        if all(handler.kind != kind for handler in self.handlers.values()):
            return 0
        return self.slots if kind == "python" else 1

    def starved(self) -> str | None:
        """The kind of worker that jobs wait for and that does not start."""
        kinds = {
            handler.kind for name, handler in self.handlers.items()
            if self.waiting(name)
        }
        return next(filter(self._pool.is_hopeless, sorted(kinds)), None)

    def paused_wait_s(self) -> float | None:
        """Seconds until a pausing handler is tried; None: none pauses."""
        now = time.monotonic()
        waits = [
            wait for name, breaker in self.breakers.items()
            if (wait := breaker.wait_s(now)) and self.waiting(name)
        ]
        return min(waits, default=None)

    def waiting(self, handler: str) -> int:
        """How many jobs of *handler* the lanes hold."""
        lane = self.lanes.by_handler.get(handler)
        return 0 if lane is None else len(lane)

    def share_stuck(self) -> float | None:
        """
        Offer jobs queued behind a slow one to workers that are idle.

        The claim decides who gets them.

        Returns:
            Seconds after which to look again; None: nothing can be stuck.
        """
        again = None
        now_ns = time.monotonic_ns()
        for worker in self._pool.workers.values():
            if worker.kind != "python" or len(worker.outstanding) < 2:
                continue
            again = STUCK_S
            doing = worker.board.read()
            if doing is None or now_ns - doing[1] < STUCK_S * 1e9:
                continue
            self._share(worker, doing[0])
        return again

    def _share(self, stuck: Worker, current: str) -> None:
        idle = [
            worker for worker in self._pool.of_kind("python")
            if worker.ready and not worker.outstanding
        ]
        if not idle:
            return
        queued = [
            (hint, handler) for hint, handler in stuck.outstanding.items()
            if hint != current
        ]
        for worker, (hint, handler) in zip(idle, queued):
            if self.running(handler) < self.limit(handler):
                # Moved in the books: the stuck worker's own claim of it will
                # fail, or win, and both are reported.
                stuck.answered(hint)
                worker.give([hint], handler)


def slots_of(config: Config) -> int:
    """Jobs at once of handlers without slots of their own."""
    return config.workers or len(os.sched_getaffinity(0))
