# SPDX-License-Identifier: MIT
"""
The order of starts, by a model: per handler two sorted lists of what is sure
to be known, fresh and retried.

It is told what the daemon was told of, and judges every hint handed out.  It
knows nothing of windows, heaps and horizons, but for one excuse: what lies
beyond memory may wait for a scan.
"""

import bisect
import dataclasses

from spooler import names
from spooler.config import Handler
from spooler.dispatch import BATCH_MAX, UNSTARTED_MAX

Key = tuple[int, str, str]


class Wrong(AssertionError):
    """A job was started out of turn, or not at all."""


def key_of(entry: str) -> Key:
    """Priority, then submission."""
    name = names.parse(entry)
    assert name is not None, entry
    return 9 - name.priority, name.id, entry


def is_again(entry: str) -> bool:
    """Whether it is a retry."""
    name = names.parse(entry)
    assert name is not None, entry
    return name.runs > 0


@dataclasses.dataclass
class Desk:
    """
    A worker by the model's books.

    Attributes:
        out: hints it was given and has not answered, with their handlers.
        started: of commands, those it told of.
        chains: of commands: number of the chain each hint is in; one chain
            runs one at a time.
    """

    kind: str
    ready: bool = True
    out: dict[str, str] = dataclasses.field(default_factory=dict)
    started: set[str] = dataclasses.field(default_factory=set)
    chains: dict[str, int] = dataclasses.field(default_factory=dict)

    def slots(self) -> list[str]:
        """The handler of each slot in use."""
        if self.kind == "python":
            return list(set(self.out.values()))
        return list({
            self.chains[hint]: handler for hint, handler in self.out.items()
        }.values())


class Queue:
    """The jobs of one handler that are sure to be known, in order."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.known: dict[bool, list[Key]] = {False: [], True: []}
        #: Those that may be known besides: seen by a scan under way, or
        #: taken away meanwhile.
        self.maybe: list[Key] = []
        #: In which an excuse holds: more came than memory holds.
        self.beyond = {False: False, True: False}
        #: Which class the last take passed over though it had a job.
        self.passed: bool | None = None

    def add(self, entry: str) -> None:
        """It is known from now on."""
        keys, key = self.known[is_again(entry)], key_of(entry)
        at = bisect.bisect_left(keys, key)
        if keys[at:at + 1] != [key]:
            keys.insert(at, key)

    def rumour(self, entry: str) -> None:
        """It may be known."""
        bisect.insort(self.maybe, key_of(entry))

    def handed(self, entry: str) -> None:
        """It was handed out."""
        self.drop(entry)
        self.maybe = [key for key in self.maybe if key[2] != entry]

    def drop(self, entry: str) -> None:
        """It waits no more, or may be unknown again."""
        keys, key = self.known[is_again(entry)], key_of(entry)
        at = bisect.bisect_left(keys, key)
        if keys[at:at + 1] == [key]:
            del keys[at]


class Order:
    """
    The judge of one history.

    Attributes:
        blocked: handlers that pause, by a person or by their deaths.
        tried: handlers of which one run at a time is tried.
        held: how many jobs of a handler and a class memory holds; the
            excuse of a queue that went beyond it.
        judged: hints handed out.
        topped: of them, to workers still at work.
        turns: in which the other class was passed over.
    """

    def __init__(self, handlers: dict[str, Handler], slots: int) -> None:
        self.queues = {name: Queue(handlers[name]) for name in handlers}
        self.slots = slots
        self.desks: list[Desk] = []
        self.blocked: set[str] = set()
        self.tried: set[str] = set()
        self.held: dict[tuple[str, bool], int] = {}
        self.judged = self.topped = self.turns = 0

    def insist(self, truth: object, what: str) -> None:
        """Fail unless *truth*."""
        if not truth:
            raise Wrong(what)

    def add(self, handler: str, entry: str) -> None:
        """A waiting job of *handler* is known, unless a worker has it."""
        if not any(entry in desk.out for desk in self.desks):
            self.queues[handler].add(entry)

    def drop(self, entry: str) -> None:
        """It left ``incoming/``, or may be forgotten."""
        for queue in self.queues.values():
            queue.drop(entry)

    # What may start.

    def limit(self, handler: Handler) -> int:
        """How many of them may run at once."""
        own = handler.concurrency
        if handler.name in self.tried:
            return 1
        if own is None or (handler.kind == "python" and own > self.slots):
            return self.slots
        return own

    def running(self, name: str) -> int:
        """How many run; a Python worker or a chain runs one at a time."""
        return sum(desk.slots().count(name) for desk in self.desks)

    def _shares(self, name: str) -> bool:
        handler = self.queues[name].handler
        return handler.kind == "python" or handler.concurrency is None

    def in_use(self) -> int:
        """Shared slots that are taken."""
        return sum(
            bool(desk.out) if desk.kind == "python"
            else sum(map(self._shares, desk.slots()))
            for desk in self.desks
        )

    def below_limit(self, handler: Handler) -> bool:
        """Whether it neither pauses nor is at its limit."""
        return handler.name not in self.blocked and (
            self.running(handler.name) < self.limit(handler)
        )

    def has_slot(self, handler: Handler) -> bool:
        """Whether the slots let another of it start."""
        return not self._shares(handler.name) or self.in_use() < self.slots

    def has_desk(self, handler: Handler) -> bool:
        """Whether there is a worker to start another of it."""
        fit = [desk for desk in self.desks
               if desk.kind == handler.kind and desk.ready]
        if handler.kind == "python":
            return any(not desk.out for desk in fit)
        return any(len(desk.slots()) - len(desk.started) < UNSTARTED_MAX
                   for desk in fit)

    def _here(self, queue: Queue, again: bool) -> list[Key]:
        """Those that have no excuse for not starting."""
        if queue.beyond[again] and not self.held[queue.handler.name, again]:
            return []
        return queue.known[again]

    def best(self, queue: Queue) -> Key | None:
        """The first of a handler."""
        heads = [keys[0] for again in (False, True)
                 if (keys := self._here(queue, again))]
        return min(heads, default=None)

    # The judgement.

    def gave(
        self, desk: Desk, name: str, hints: list[str], chain: int
    ) -> None:
        """*hints* of handler *name* were handed out, in this order."""
        queue = self.queues[name]
        self.insist(hints and len(hints) <= BATCH_MAX, f"gave {len(hints)}")
        self.insist(name not in self.blocked, f"{name} pauses: {hints}")
        self.insist(desk.ready and desk.kind == queue.handler.kind,
                    f"{name} given to a {desk.kind} worker")
        first = min(filter(None, (
            self.best(queue), *map(key_of, hints), *queue.maybe[:1]
        )))
        before = {
            handler for hint, handler in desk.out.items()
            if desk.kind == "python" or desk.chains[hint] == chain
        }
        if before:
            self.insist(before == {name}, "mixed batches")
            if self._shares(name):
                self._nobody_waits(first, name)
            self.topped += len(hints)
        else:
            self.insist(self.below_limit(queue.handler),
                        f"{name} over its limit: {hints}")
            self.insist(self.has_slot(queue.handler), f"no slot: {hints}")
        self._passed_over(first, name)
        for hint in hints:
            self._turn(queue, hint)
            desk.out[hint] = name
            desk.chains[hint] = chain
        self.judged += len(hints)

    def _nobody_waits(self, first: Key, name: str) -> None:
        """While an earlier one waits for a slot, nobody else gets more."""
        for other in self.queues.values():
            best = self.best(other)
            if (
                other.handler.name != name and best is not None
                and best < first and self.below_limit(other.handler)
                and self._shares(other.handler.name)
            ):
                self.insist(
                    self.has_desk(other.handler)
                    and self.has_slot(other.handler)
                    or not any(d.ready and d.kind == other.handler.kind
                               for d in self.desks),
                    f"{name} goes on with {first} while {best} waits for a"
                    " slot",
                )

    def _passed_over(self, first: Key, name: str) -> None:
        """Every earlier one of another handler cannot start now."""
        for other in self.queues.values():
            best = self.best(other)
            if other.handler.name != name and best and best < first:
                self.insist(
                    not self._can_start(other.handler),
                    f"{first} of {name} before {best} of"
                    f" {other.handler.name}",
                )

    def _can_start(self, handler: Handler) -> bool:
        return (self.below_limit(handler) and self.has_slot(handler)
                and self.has_desk(handler))

    def _turn(self, queue: Queue, hint: str) -> None:
        """It is the first of its class, whose turn it is."""
        again, key = is_again(hint), key_of(hint)
        self.insist(not any(hint in desk.out for desk in self.desks),
                    f"{hint} given twice")
        keys = queue.known[again]
        self.insist(not keys or key <= keys[0], f"{hint} before {keys[:1]}")
        queue.handed(hint)
        other = not again
        if not self._here(queue, other):
            queue.passed = None
            return
        self.insist(queue.passed is not other,
                    f"{hint} passes over {queue.known[other][0]} again")
        queue.passed = other
        self.turns += 1

    def rest(self) -> None:
        """All was handed out that can be."""
        for queue in self.queues.values():
            if self.best(queue) is not None:
                self.insist(
                    not self._can_start(queue.handler),
                    f"{self.best(queue)} is not started",
                )
