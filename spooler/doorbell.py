# SPDX-License-Identifier: MIT
"""Tell of jobs that arrive in some states, for whoever waits for them."""

import select
import time
from collections.abc import Sequence

from spooler.spool import Spool
from spooler.states import State
from spooler.view import JobView, view
from spooler.watch import Moves

POLL_S = 0.2  #: between looks where there are no events


class Doorbell:
    """
    Rings when a job comes to lie in one of some directories.

    Attributes:
        works: False where there are no events, or no more: look oneself.
    """

    def __init__(self, spool: Spool, states: Sequence[State]) -> None:
        """Begin to listen; make it before the first look."""
        self._states = tuple(states)
        self._moves: Moves | None = None
        try:
            # One watcher for all: what moves twice is told in its order.
            self._moves = Moves([spool.fds[state] for state in states])
        except OSError:
            pass
        self.works = self._moves is not None

    def listen(self, wait_s: float) -> list[JobView]:
        """The jobs that arrived, in order, after at most *wait_s* seconds."""
        if self._moves is None or not self.works:
            time.sleep(max(0.0, min(wait_s, POLL_S)))
            return []
        select.select([self._moves.wake_fd], [], [], max(0.0, wait_s))
        out = []
        for number, left, entry in self._moves.take():
            job = None if left else view(self._states[number], entry)
            if job is not None and job.name is not None:
                out.append(job)
        if self._moves.take_lost() or self._moves.gone:
            self.works = False
        return out

    def close(self) -> None:
        """Listen no more."""
        if self._moves is not None:
            self._moves.close()
