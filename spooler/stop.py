# SPDX-License-Identifier: MIT
"""A stop under way: patience with running jobs, and what comes after it."""

import time

from spooler.pool import Pool

_ABORT_S = 3.0  #: from giving up on running jobs to killing their workers
_WAIT_S = 0.2
_ABORTED_WAIT_S = 0.05


class Stop:
    """
    Ends the workers of a pool: first by asking, in the end by force.

    Attributes:
        reopen: what lies at the spool's path is to be served next.
    """

    def __init__(self, pool: Pool, patience_s: float, reopen: bool) -> None:
        self._pool = pool
        self.reopen = reopen
        self._deadline = time.monotonic() + patience_s
        self._aborted_at: float | None = None
        for worker in pool.workers.values():
            worker.stop()

    @property
    def patient(self) -> bool:
        """Whether running jobs are still waited for."""
        return self._aborted_at is None

    def hurry(self) -> None:
        """Have no more patience, and serve nothing next."""
        self._deadline = 0.0
        self.reopen = False

    def step(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if self._aborted_at is None:
            if now >= self._deadline:
                self._aborted_at = now
                self._abort()
        elif now > self._aborted_at + _ABORT_S:
            self._pool.kill_all()

    def _abort(self) -> None:
        for worker in self._pool.workers.values():
            if worker.kind == "python":
                worker.kill()
            else:
                worker.send({"abort": True})

    def wait_s(self) -> float:
        """Seconds until the next step."""
        return _WAIT_S if self._aborted_at is None else _ABORTED_WAIT_S
