# SPDX-License-Identifier: MIT
"""Which jobs a listing shows, and in which order."""

import time

from spooler import listing, units, view
from spooler.cli.common import Teller
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.view import JobView

_ORDER = {
    State.DONE: 0, State.FAILED: 1, State.HELD: 2, State.DEFERRED: 3,
    State.INCOMING: 4, State.ACTIVE: 5,
}
_FINAL = (State.DONE, State.FAILED)
_SCREEN = 50  #: jobs of each state that a person is shown unasked


def _by_state(job: JobView) -> tuple[object, ...]:
    rank = 9 - job.name.priority if job.name else 4
    return _ORDER[job.state], rank, job.id


SORTS = {
    "state": _by_state,
    "id": lambda job: job.id,
    "name": lambda job: (job.dropped_name or "", job.id),
    "priority": lambda job: (-job.name.priority if job.name else 0, job.id),
    "tries": lambda job: (-job.name.runs if job.name else 0, job.id),
}


class Selection:
    """Which jobs a verb is for: the filters of a listing."""

    def __init__(
        self, handler: str | None = None, since_s: float | None = None,
        older_than_s: float | None = None, tags: tuple[str, ...] = (),
    ) -> None:
        self.handler = handler
        self.since_s = since_s
        self.older_than_s = older_than_s
        self.tags = tags

    @property
    def empty(self) -> bool:
        """Whether it leaves all."""
        return not self.tags and (
            self.handler is None and self.since_s is None
            and self.older_than_s is None
        )

    def matches(self, job: JobView, spool: Spool, teller: Teller) -> bool:
        """Whether a job is among them."""
        if self.handler is not None and teller.handler(job) != self.handler:
            return False
        if self.since_s is not None or self.older_than_s is not None:
            if not self._has_age(job):
                return False
        if not self.tags:
            return True
        return set(self.tags) <= set(view.tags(spool, job))

    def _has_age(self, job: JobView) -> bool:
        if job.submitted_ns is None:
            return self.older_than_s is None
        age = time.time() - job.submitted_ns / units.NS
        if self.since_s is not None and age > self.since_s:
            return False
        return self.older_than_s is None or age >= self.older_than_s


class Chooser:
    """
    Picks the jobs to be listed.

    Attributes:
        teller: of their handlers.
    """

    def __init__(
        self, spool: Spool, states: list[State], selection: Selection,
        sort: str,
    ) -> None:
        self._spool = spool
        self._states = sorted(set(states), key=lambda state: _ORDER[state])
        self._selection = selection
        self._sort = sort
        self.teller = Teller(spool)

    def choose(
        self, count: int | None, for_person: bool
    ) -> tuple[list[JobView], list[str]]:
        """
        The jobs, in order, and what to say of those that are left out.

        Args:
            count: the first so many; None: all.
            for_person: without *count*, a screenful of each state will do:
                of finished jobs the latest, else those that run first.
        """
        if self._selection.empty and self._sort == "state":
            if count is not None:
                return self._first(count)
            if for_person:
                return self._screen()
        found = [
            job for job in listing.jobs(self._spool, self._states).values()
            if self._selection.matches(job, self._spool, self.teller)
        ]
        found.sort(key=SORTS[self._sort])
        if count is None or len(found) <= count:
            return found, []
        return found[:count], [f"{len(found) - count} more"]

    def _first(self, count: int) -> tuple[list[JobView], list[str]]:
        shown: list[JobView] = []
        total = 0
        for state in self._states:
            found, number = listing.some(
                self._spool, state, count - len(shown)
            )
            shown += sorted(found, key=_by_state)
            total += number
        more = total - len(shown)
        return shown, [f"{more} more"] if more > 0 else []

    def _screen(self) -> tuple[list[JobView], list[str]]:
        shown: dict[str, JobView] = {}
        left = []
        for state in (state for state in FLOW if state in self._states):
            found, number = listing.some(
                self._spool, state, _SCREEN, state in _FINAL
            )
            if number > len(found):
                left.append(
                    f"{number - len(found)} more {state.word};"
                    f" 'spoolctl ls {state.word} -n {number}' shows all"
                )
            for job in found:
                shown[job.stem] = job
        return sorted(shown.values(), key=_by_state), left
