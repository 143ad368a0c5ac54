# SPDX-License-Identifier: MIT
"""
The moves of jobs, as they happen: from the names that directories tell of.

Works whether spoold runs or not, and costs it nothing.  What a move was is
told by where the job comes to lie, and where it was seen before.
"""

import collections
import dataclasses
import select
import time

from spooler import listing
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.view import JobView, view
from spooler.watch import Moves

_KNOWN_MAX = 200_000
_ARRIVED = {
    State.ACTIVE: "claim", State.DONE: "finish", State.FAILED: "fail",
    State.HELD: "hold", State.DEFERRED: "defer", State.INCOMING: "submit",
}
#: What put a job into incoming/ that was in another state.
_BACK = {
    State.HELD: "release", State.DEFERRED: "retry", State.DONE: "requeue",
    State.FAILED: "requeue", State.INCOMING: "admit",
}


@dataclasses.dataclass(frozen=True)
class Event:
    """
    One move.

    Attributes:
        word: as in the table of moves.
        job: as it lies now, or lay when it was removed.
        at_ns: wall clock when it was heard of.
    """

    word: str
    job: JobView
    at_ns: int


class Feed:
    """Tells every move from now on."""

    def __init__(self, spool: Spool) -> None:
        """
        Begin to listen.

        Raises:
            OSError: the file system has no events, or no more watches are
                to be had.
        """
        self._moves = Moves([spool.fds[state] for state in FLOW])
        #: Where a job was seen last, and its runs then; the latest ones.
        self._known: collections.OrderedDict[str, tuple[State, int]] = (
            collections.OrderedDict()
        )
        for state in (State.HELD, State.DEFERRED, State.ACTIVE):
            for entry in listing.entries(spool, state):
                job = view(state, entry)
                if job is not None:
                    self._remember(job)

    def take(self, wait_s: float) -> list[Event]:
        """The moves heard of, after at most *wait_s* seconds."""
        select.select([self._moves.wake_fd], [], [], max(0.0, wait_s))
        now_ns = time.time_ns()
        out = []
        for number, left, entry in self._moves.take():
            job = view(FLOW[number], entry)
            if job is None:
                continue
            word = self._left(job) if left else self._arrived(job)
            if word:
                out.append(Event(word, job, now_ns))
        return out

    def take_lost(self) -> bool:
        """Whether moves were missed since the last call."""
        return self._moves.take_lost()

    @property
    def gone(self) -> bool:
        """Whether there will be no more: the spool was moved or removed."""
        return self._moves.gone

    def close(self) -> None:
        """Listen no more."""
        self._moves.close()

    def _arrived(self, job: JobView) -> str:
        before = self._known.get(_key(job))
        if before is None and job.name is not None and job.dropped_name:
            # Not yet known by its id, but by the name it was dropped under.
            if job.state is State.INCOMING or job.state is State.DEFERRED:
                before = self._known.pop("," + job.dropped_name, None)
        self._remember(job)
        name = job.name
        if job.state is State.ACTIVE and before and (
            before[0] is State.ACTIVE
        ):
            return "twin"
        if job.state is State.DEFERRED and name is not None:
            if before is not None and before[0] is State.DEFERRED:
                return "reschedule"
            return "defer" if name.verdict else "delay"
        if job.state is not State.INCOMING or name is None:
            return _ARRIVED[job.state]
        if before is None:
            if name.requeued and not name.runs:
                return "requeue"
            return "retry" if name.runs else "submit"
        if before[0] is State.ACTIVE:
            return "give_back" if name.runs < before[1] else "recover"
        return _BACK[before[0]]

    def _left(self, job: JobView) -> str:
        before = self._known.get(_key(job))
        if before is not None and before[0] is not job.state:
            return ""  # another name of it, or it is elsewhere by now
        self._known.pop(_key(job), None)
        if job.state in (State.DONE, State.FAILED):
            return "purge"
        return "delete" if job.state is State.ACTIVE else "remove"

    def _remember(self, job: JobView) -> None:
        key = _key(job)
        self._known[key] = job.state, job.name.runs if job.name else 0
        self._known.move_to_end(key)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)


def _key(job: JobView) -> str:
    return "," + job.entry if job.name is None else job.stem[2:]
