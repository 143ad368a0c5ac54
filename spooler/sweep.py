# SPDX-License-Identifier: MIT
"""
Scans of ``incoming/`` and ``deferred/``, in slices.

A scan of a million entries takes a second; done in slices, events, reports
and signals are served in between.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator

from spooler.spool import Spool
from spooler.states import State

#: Entries that are taken in at once.
CHUNK = 500
#: What one piece of work may take before others get their turn.
SLICE_S = 0.05
#: The same of a scan, which can stop anywhere.
_SCAN_SLICE_S = 0.006
#: A scan may take this share of the time, so that rescans of a huge
#: directory do not become the daemon's main work.
_SHARE = 20
#: Clocks of directories tick no finer than this.
_CLOCK_SLACK_NS = 100_000_000


class Sweep:
    """
    Scans one directory again and again.

    Attributes:
        complete: whether a whole scan has ever been made.
    """

    def __init__(
        self,
        spool: Spool,
        state: State,
        begin: Callable[[], None],
        take: Callable[[list["os.DirEntry[str]"]], None],
        end: Callable[[], None],
    ) -> None:
        self._spool = spool
        self._state = state
        self._begin, self._take, self._end = begin, take, end
        self._slices: Iterator[None] | None = None
        self._next_at = 0.0
        self._seen_mtime_ns = 0
        self._requested = True
        self.complete = False

    @property
    def running(self) -> bool:
        """Whether a scan is under way."""
        return self._slices is not None

    def request(self) -> None:
        """Scan soon, and from the start: not only what is left of a scan."""
        self._requested = True

    def restart(self, after_s: float = 0.0) -> None:
        """Scan soon, or *after_s* from now; drop a scan under way."""
        self._slices = None
        self._requested = after_s == 0.0
        self._next_at = time.monotonic() + after_s
        self._seen_mtime_ns = -1

    def step(self, every_s: float) -> None:
        """
        Do one slice of a scan under way, or begin one that is due.

        Args:
            every_s: between scans.

        Raises:
            OSError: the directory cannot be read; the scan is begun anew
                the next time.
        """
        now = time.monotonic()
        if self._slices is None:
            if not self._requested:
                if now < self._next_at:
                    return
                if not self._changed():
                    self._next_at = now + every_s
                    return
            self._requested = False
            self._slices = self._scan(every_s)
        try:
            next(self._slices, None)
        except OSError:
            self.restart()
            raise

    def wait_s(self) -> float:
        """Seconds until the next step is of use."""
        if self._slices is not None or self._requested:
            return 0.0
        return max(0.0, self._next_at - time.monotonic())

    def _changed(self) -> bool:
        status = self._spool.in_place(self._state)
        return status.st_mtime_ns != self._seen_mtime_ns

    def _scan(self, every_s: float) -> Iterator[None]:
        started = time.monotonic()
        mtime_ns = self._spool.in_place(self._state).st_mtime_ns
        if time.time_ns() - mtime_ns < _CLOCK_SLACK_NS:
            mtime_ns = 0  # a later change may leave the same stamp
        self._begin()
        until = started + _SCAN_SLICE_S
        entries = self._spool.scan(self._state)
        while chunk := list(itertools.islice(entries, CHUNK)):
            self._take(chunk)
            if time.monotonic() >= until:
                yield
                until = time.monotonic() + _SCAN_SLICE_S
        self._end()
        self.complete = True
        self._seen_mtime_ns = mtime_ns
        took = time.monotonic() - started
        self._next_at = time.monotonic() + max(every_s, _SHARE * took)
        self._slices = None
