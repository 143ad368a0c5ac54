# SPDX-License-Identifier: MIT
"""
One history: the real Arrivals, Lanes, Dispatcher, Crew and Pool on a real
spool, with workers that are no processes and claim when they are told to.
"""

import contextlib
import os
import random
import selectors
from collections.abc import Callable, Iterator
from typing import Any, cast
from unittest import mock

from spooler import (
    arrivals, clock, crew, deferred, dispatch, health, index, intake, ledger,
    names, sweep,
)
from spooler.arrivals import Arrivals
from spooler.config import Config, Handler
from spooler.crew import Crew
from spooler.dispatch import Dispatcher
from spooler.health import Health
from spooler.index import Lanes, Timetable
from spooler.ledger import Ledger
from spooler.names import Name
from spooler.pause import EVERY
from spooler.pool import KINDS, Pool, Worker
from spooler.route import Router
from spooler.spool import Spool
from spooler.states import FLOW, State

from . import order
from .kernel import Clock
from .order import Desk, Order

_TIMED = (
    arrivals, clock, crew, deferred, dispatch, health, intake, ledger, sweep,
)
#: Of a run, in microseconds: by it batches grow or shrink.
_MICROS = (20, 300, 1000, 20_000)
_BOOT_TURNS = 10_000


class Watch:
    """Stands in for watchdog: the history tells what arrived."""

    wake_fd = -1
    gone = False

    def __init__(self) -> None:
        self.names: list[str] = []
        self.lost = False

    def take(self) -> list[str]:
        """What arrived since the last call."""
        out, self.names = self.names, []
        return out

    def take_lost(self) -> bool:
        """Whether arrivals were lost."""
        lost, self.lost = self.lost, False
        return lost

    def close(self) -> None:
        """Hear no more."""


class Board:
    """Stands in for the shared page."""

    doing: tuple[str, int, int] | None = None

    def read(self) -> tuple[str, int, int] | None:
        """What runs."""
        return self.doing


class Hand(Worker):
    """
    A worker that is no process.

    Attributes:
        inbox: hints it has not taken up, in the order they came.
        runs: what it runs: hint, name in ``active/``.
        desk: what the model has of it.
    """

    def __init__(self, shop: "Shop", number: int, kind: str) -> None:
        owner = names.b32(number, names.OWNER_CHARS)
        board = Board()
        super().__init__(owner, kind, cast(Any, None), cast(Any, None),
                         cast(Any, board))
        self.page = board
        self.shop = shop
        self.inbox: list[str] = []
        self.runs: list[tuple[str, str]] = []
        self.reports: list[list[Any]] = []
        self.desk = Desk(kind)
        self.ready = True

    def send(self, message: dict[str, Any]) -> None:
        """What ``give`` says."""
        self.inbox += message["jobs"]
        self.shop.gave(
            self, message["handler"], message["jobs"], message["chain"]
        )

    def first(self) -> str | None:
        """What it can take up now: of each chain, one after the other."""
        if self.kind == "python":
            return self.inbox[0] if self.inbox and not self.runs else None
        busy = {self.desk.chains[hint] for hint, _ in self.runs}
        return next((
            hint for hint in self.inbox if self.desk.chains[hint] not in busy
        ), None)

    def receive(self) -> list[list[Any]]:
        """What it has to tell."""
        out, self.reports = self.reports, []
        return out


class Shop:
    """One history, step by step."""

    def __init__(
        self, path: str, handlers: list[Handler], workers: int, window: int
    ) -> None:
        self.handlers = {handler.name: handler for handler in handlers}
        self.config = Config(handlers=self.handlers, workers=workers)
        self.workers, self.window = workers, window
        self.clock = Clock()
        self.dice = random.Random(0)
        self.order = Order(self.handlers, workers)
        self.spool = Spool(path)
        self.here: set[str] = set()  #: what lies in incoming/
        self._told: set[str] = set()
        self._seen: set[str] | None = None  #: when a scan began
        self._later: set[str] = set()
        self._ever: set[str] = set()
        self._counts: dict[tuple[str, bool], int] = {}
        self._sharing = False
        self.held: list[str] = []
        self.paused: set[str] = set()
        self.started = 0

    @contextlib.contextmanager
    def open(self) -> Iterator["Shop"]:
        """Begin; at the end nothing is left in the spool."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._clear)
            for module in _TIMED:
                stack.enter_context(
                    mock.patch.object(module, "time", self.clock)
                )
            for module, name, value in (
                (index, "WINDOW_MAX", self.window), (sweep, "CHUNK", 7),
                (sweep, "_SCAN_SLICE_S", 0.0),
                (arrivals, "Lanes", self._lanes),
                (deferred, "Timetable", lambda: Timetable(self.window)),
                (arrivals, "Watch", lambda _: self.watch),
            ):
                stack.enter_context(mock.patch.object(module, name, value))
            self._build()
            yield self

    def _build(self) -> None:
        self.watch = Watch()
        self._hear: Callable[[], None] = lambda: None
        self.arrivals = Arrivals(
            self.spool, self.config,
            cast(selectors.BaseSelector, self),  # see register
        )
        self.arrivals.open_watch()
        self.ledger = Ledger(self.arrivals.deferred.put_off, self.config)
        self.pool = Pool(self.spool.path, "00000", -1, self.config, None)
        self.dispatcher = Dispatcher(
            self.config, self.pool, self.arrivals.lanes,
            self.ledger.breakers,
        )
        self.crew = Crew(
            self.spool, self.pool, self.dispatcher, self.ledger, Health(),
            lambda worker: None, lambda sock: None,
        )
        kinds = [
            kind for kind in KINDS
            for _ in range(self.dispatcher.wanted(kind))
        ]
        self.hands = [Hand(self, number, kind)
                      for number, kind in enumerate(kinds)]
        for number, hand in enumerate(self.hands):
            self.pool.workers[number] = hand
            self.order.desks.append(hand.desk)

    def register(
        self, _fd: int, _mask: int, hear: Callable[[], None]
    ) -> None:
        """The part of a selector."""
        self._hear = hear

    def _lanes(self, handlers: dict[str, Handler]) -> Lanes:
        shop = self

        class Told(Lanes):
            """Lanes whose scans the history gets to know."""

            def begin_scan(self) -> None:
                super().begin_scan()
                shop._seen = set(os.listdir(shop.spool.fds[State.INCOMING]))

            def end_scan(self) -> None:
                super().end_scan()
                assert shop._seen is not None
                shop._later |= shop._seen & shop.here
                shop._seen = None

        return Told(handlers)

    def _clear(self) -> None:
        for state in (State.TMP, *FLOW):
            fd = self.spool.fds[state]
            for entry in os.listdir(fd):
                os.unlink(entry, dir_fd=fd)
        self.spool.close()

    # What the model is told.

    def _handler(self, entry: str) -> str | None:
        name = names.parse(entry)
        if name is None or name.due_ns is not None:
            return None
        return Router(self.config).handler_of(name)

    def _know(self, entries: set[str]) -> None:
        for entry in entries & self.here:
            handler = self._handler(entry)
            if handler is not None:
                self.order.add(handler, entry)

    def _measure(self) -> None:
        """Tell what memory holds, and of which class there is too much."""
        for entry in self.here - self._ever:
            self._heard_of(entry)
        # Memory may still hold what was taken away.
        for (handler, again), count in self._counts.items():
            if count > 2 * self.window:
                self.order.queues[handler].beyond[again] = True
        self._count_held()

    def _heard_of(self, entry: str) -> None:
        handler = self._handler(entry)
        self._ever.add(entry)
        if handler is not None:
            queue, mark = self.order.queues[handler], order.is_again(entry)
            self._counts[handler, mark] = self._counts.get(
                (handler, mark), 0
            ) + 1
            queue.rumour(entry)

    def _count_held(self) -> None:
        for handler, lane in self.arrivals.lanes.by_handler.items():
            self.order.held[handler, False] = len(lane.fresh)
            self.order.held[handler, True] = len(lane.again)

    def gave(
        self, hand: Hand, handler: str, hints: list[str], chain: int
    ) -> None:
        """Hints were handed out."""
        if self._sharing:
            hand.desk.out.update((hint, handler) for hint in hints)
            return
        self._count_held()
        self.order.gave(hand.desk, handler, hints, chain)

    # What happens.

    def _put(self, entry: str, told: bool, data: bytes = b"") -> None:
        fd = os.open(entry, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600,
                     dir_fd=self.spool.fds[State.INCOMING])
        os.write(fd, data)
        os.close(fd)
        self.here.add(entry)
        self._heard_of(entry)
        if told:
            self.watch.names.append(entry)
            self._told.add(entry)

    def mint(
        self, handler: str, priority: int, runs: int = 0,
        due_s: float | None = None, told: bool = True,
    ) -> None:
        """A producer submits a job."""
        at = self.clock.time_ns()
        name = Name(
            priority, names.mint_id(at, self.dice.getrandbits(35)),
            f"{handler}.job", runs=runs,
        )
        if due_s is not None:
            name.due_ns = at + round(due_s * 1e9)
        self._put(str(name), told)

    def drop(self, handler: str, number: int, told: bool) -> None:
        """A file is dropped: a payload, or a document with a priority."""
        tail = f"{self.clock.time_ns():x}.{handler}"
        if number % 3:
            self._put(tail, told)
        else:
            text = f"Handler: {handler}\nPriority: {number % 10}\n\n"
            self._put(f"{tail}.job", told, text.encode())

    def turn(self) -> None:
        """One turn of the daemon's loop: it hears, takes in, hands out."""
        for hand in self.hands:
            self._answer(hand)
        told, later = self._told, self._later
        self._told, self._later = set(), set()
        for entry in set(self.watch.names) - self.here:
            # Told of, but it left again before that was heard: a ghost.
            self._heard_of(entry)
        self._hear()
        before = set(self.here)
        self.arrivals.work()
        self.here = set(os.listdir(self.spool.fds[State.INCOMING]))
        # What it moved here itself, it knows.
        self._know(told | later | (self.here - before))
        # What a scan found under a name with fields is looked at later.
        self._know({entry for entry in self._later
                    if names.plain_handler(entry) is not None})
        self._measure()
        self.dispatch()

    def dispatch(self) -> None:
        """Hand out what can be started."""
        self.dispatcher.paused = frozenset(self.paused)
        now = self.clock.monotonic()
        breakers = self.ledger.breakers
        self.order.tried = {name for name in breakers
                            if breakers[name].tripped}
        self.order.blocked = {name for name in breakers
                              if breakers[name].wait_s(now + 1e-3)}
        if any(0 < breaker.wait_s(now) <= 1e-3
               for breaker in breakers.values()):
            return
        self.order.blocked |= self.paused & set(self.handlers)
        if EVERY in self.paused:
            self.order.blocked |= set(self.handlers)
        self.dispatcher.dispatch()
        self._count_held()
        self.order.rest()

    def _answer(self, hand: Hand) -> None:
        for report in hand.reports:
            kind, hint = report[0], report[1]
            if kind in ("unstarted", "done"):
                (hint,) = hint
            handler = hand.desk.out.get(hint)
            if kind == "started":
                hand.desk.started.add(hint)
                continue
            hand.desk.out.pop(hint, None)
            hand.desk.started.discard(hint)
            if hint in self._later or hint in (self._seen or ()):
                # A scan that read it before it left brings a ghost.
                owner = handler or self._handler(hint)
                assert owner is not None
                self.order.queues[owner].rumour(hint)
            if kind in ("back", "unstarted") and handler is not None:
                self.order.queues[handler].rumour(hint)
                self._know({hint})
            elif kind == "taken":
                # Should it come back, the next scan tells.
                self._unknow(hint)
        self.crew.hear(hand)

    def _unknow(self, entry: str) -> None:
        self.order.drop(entry)
        self._later.discard(entry)
        self._told.discard(entry)
        if self._seen is not None:
            self._seen.discard(entry)

    def _left(self, entry: str) -> None:
        self.here.discard(entry)
        if names.parse(entry) is not None:
            self.order.drop(entry)

    def take(self, hand: Hand) -> None:
        """A worker claims the next job it was told of."""
        hint = hand.first()
        if hint is None:
            return
        hand.inbox.remove(hint)
        active = self.spool.claim(hint, hand.owner)
        if active is None:
            hand.reports.append(["taken", hint])
            return
        self._left(hint)
        self.started += 1
        hand.runs.append((hint, active))
        hand.page.doing = hint, self.clock.monotonic_ns(), 0
        if hand.kind == "command":
            hand.reports.append(["started", hint, active, 1, "", 0, 0, 0])

    def finish(self, hand: Hand, number: int) -> None:
        """A run ends: well, put off, or by its death."""
        if not hand.runs:
            return
        at = number % len(hand.runs) if hand.kind == "command" else 0
        hint, active = hand.runs.pop(at)
        hand.page.doing = None
        micros = _MICROS[number // 7 % len(_MICROS)]
        name = names.parse(active)
        assert name is not None
        how = number // 29 % 8
        if how < 4 or name.runs > 5:
            assert self.spool.finish(active, "ok", micros)
            hand.reports.append(["done", [hint], [micros]])
            return
        due_ns = self.clock.time_ns() + (number % 5) * 10 ** 8
        verdict = "sig9" if how == 7 else "exit1"
        moved = self.spool.defer(active, verdict, due_ns)
        hand.reports.append([
            "settled", hint, "deferred", moved, micros, "", clock.base_ns(),
        ])

    def give_back(self, hand: Hand) -> None:
        """A worker does not take up what it was told of."""
        if not hand.inbox:
            return
        hint = hand.inbox.pop()
        if hand.kind == "python":
            hand.reports.append(["back", hint])
            return
        chain = hand.desk.chains[hint]
        rest = [item for item in hand.inbox
                if hand.desk.chains[item] == chain]
        hand.inbox = [item for item in hand.inbox if item not in rest]
        hand.reports += [["unstarted", [item]] for item in (*rest, hint)]

    def remove(self, number: int) -> None:
        """Somebody takes a waiting job away, or puts it aside."""
        if not self.here:
            return
        entry = sorted(self.here)[number % len(self.here)]
        if number % 2 and names.parse(entry) is not None:
            held = self.spool.hold(State.INCOMING, entry)
            assert held is not None
            self.held.append(held)
        else:
            self.spool.remove(State.INCOMING, entry)
        self._left(entry)

    def release(self) -> None:
        """What was put aside comes back; it may be unknown until a scan."""
        if self.held:
            entry = self.spool.release(self.held.pop())
            assert entry is not None
            self.here.add(entry)
            self._ever.discard(entry)
            self.watch.names.append(entry)

    def share(self) -> None:
        """Jobs behind a slow one are offered to others."""
        self.clock.pass_by(0.05)
        before = {
            hint: hand for hand in self.hands for hint in hand.outstanding
        }
        self._sharing = True
        self.dispatcher.share_stuck()
        self._sharing = False
        for hand in self.hands:
            for hint in hand.outstanding:
                if before[hint] is not hand:
                    before[hint].desk.out.pop(hint, None)

    def drain(self) -> None:
        """Let all that waits run, in as many turns as it takes."""
        self.paused.clear()
        while self.held:
            self.release()
        self.watch.lost = True
        for number in range(_BOOT_TURNS):
            self.turn()
            for hand in self.hands:
                while hand.first() is not None:
                    self.take(hand)
                while hand.runs:
                    self.finish(hand, number)
            self.clock.pass_by(0.5)
            if not self.here and not os.listdir(
                self.spool.fds[State.DEFERRED]
            ) and not any(hand.inbox or hand.reports for hand in self.hands):
                return
        raise AssertionError(f"these do not start: {sorted(self.here)[:5]}")
