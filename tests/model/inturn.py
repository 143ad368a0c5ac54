# SPDX-License-Identifier: MIT
"""
Whether the daemon hands out its jobs in turn: of those it was told of, the
first by priority and submission, retries and fresh ones alternately.
"""

from typing import Any

from spooler import index, names
from spooler.route import Router
from spooler.states import State

_TAKE = index.Lane.take
_MAKE = index.Lanes.__init__


class InTurn:
    """Knows what one daemon knows."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._told: set[str] = set()  #: as of the turn
        self._heard: set[str] = set()
        self._handed: set[str] = set()
        self._again: dict[str, bool] = {}
        self.judged = 0

    def begin(self) -> list[str]:
        """A new daemon knows nothing; returns what it is going to find."""
        self._told, self._heard, self._handed = set(), set(), set()
        self._again = {}
        return self._waiting()

    def _waiting(self) -> list[str]:
        return [entry for state, entry in self._world.ledger.places
                if state is State.INCOMING]

    def hear(self, entries: list[str]) -> None:
        """The daemon is told; it takes them in at its next turn."""
        self._heard.update(entries)

    def gone(self, entry: str) -> None:
        """It left; should it come back unheard, only a scan finds it."""
        self._told.discard(entry)
        self._heard.discard(entry)

    def turn(self) -> None:
        """A turn begins."""
        self._told |= self._heard
        self._heard.clear()

    def make(self, lanes: Any, handlers: Any) -> None:
        """Stands in for the one of Lanes: it starts, or scans anew."""
        self.begin()
        _MAKE(lanes, handlers)

    def take(self, lane: Any, count: int) -> list[str]:
        """Stands in for the method of Lane: judge what it hands out."""
        here = set(self._waiting())
        out = _TAKE(lane, count)
        for hint in out:
            self._judge(lane.handler, hint, here)
            self._handed.add(hint)
        return out

    def _judge(self, handler: str, hint: str, here: set[str]) -> None:
        """
        Compare a job handed out with those that are sure to be known.

        One that was handed out before and came back under the same name may
        not be known until the next scan.
        """
        router = Router(self._world.config)
        classes: dict[bool, list[str]] = {True: [], False: []}
        for entry in (self._told & here) - self._handed:
            name = names.parse(entry)
            if name is None or name.due_ns is not None or name.resubmitted:
                continue
            if name.is_waiting_form() and router.handler_of(name) == handler:
                classes[name.runs > 0].append(entry)
        name = names.parse(hint)
        assert name is not None
        again, turn = name.runs > 0, self._again.get(handler, True)
        self._again[handler] = not turn
        insist = self._world.ledger.insist
        insist(again == turn or not classes[turn],
               f"{hint} handed out before {classes[turn]}")
        first = min(classes[again], key=_key, default=hint)
        insist(_key(hint) <= _key(first), f"{hint} handed out before {first}")
        self.judged += 1


def _key(entry: str) -> tuple[int, int]:
    name = names.parse(entry)
    assert name is not None
    return -name.priority, names.submitted_ns(name.id)
