# SPDX-License-Identifier: MIT
"""
The jobs in ``deferred/``: when each is due, and their way back.

Due times are wall clock, which may be set while they wait.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable

from spooler import backoff, fsops, names, units
from spooler.clock import JumpMeter, steady_ns
from spooler.config import Config
from spooler.index import Timetable
from spooler.names import Name
from spooler.route import Router
from spooler.scale import Scale
from spooler.spool import Spool
from spooler.states import State
from spooler.sweep import Sweep
from spooler.text import inert

log = logging.getLogger(__name__)

_DUE_SLICE = 500
_LOOK_S = 1.0


class Deferred:
    """
    What the daemon knows of deferred jobs.

    Those of handlers that wait for a retry keep their delay when the clock
    is set; those whose moment somebody named keep that.
    """

    def __init__(
        self, spool: Spool, config: Config,
        queue: Callable[[str, Name], None],
    ) -> None:
        """
        Args:
            queue: takes a job that is back in ``incoming/``.
        """
        self._spool = spool
        self._queue = queue
        self._shifted: deque[tuple[str, int]] = deque()
        self._meter = JumpMeter(time.time_ns(), steady_ns())
        self._timetable = Timetable()
        self._scale = Scale(spool.fds[State.DEFERRED])
        self._sweep = Sweep(
            spool, State.DEFERRED, self._begin, self._found, self._end
        )
        self.use(config)

    def use(self, config: Config) -> None:
        """Go by *config* from now on."""
        self._weigh = config.max_bytes > 0
        self._router = Router(config)

    @property
    def complete(self) -> bool:
        """Whether all of them have been seen once."""
        return self._sweep.complete

    @property
    def total(self) -> int:
        """About how many there are."""
        return self._timetable.total

    @property
    def bytes(self) -> int:
        """About what they take on disk; 0 unless there is a limit to it."""
        return self._scale.total

    def add(self, text: str, due_ns: int) -> None:
        """A job was put off by its producer."""
        self._timetable.add(text, due_ns)

    def work(self, every_s: float) -> None:
        """
        Scan a slice, send back what is due.

        Args:
            every_s: between scans.

        Raises:
            OSError: the spool is in trouble; the next call goes on.
        """
        if self._timetable.wants_scan() and not self._sweep.running:
            self._sweep.request()
        self._look_at_clock()
        if self._reschedule():
            self._sweep.step(every_s)
        self._retry_due()

    def wait_s(self) -> float:
        """Seconds until there is work."""
        if self._shifted:
            return 0.0
        wait = self._sweep.wait_s()
        due_ns = self._timetable.next_due_ns()
        if due_ns is not None:
            # Due times are wall clock, which may jump: look once a second,
            # however far away the next one is.
            until = (due_ns - time.time_ns()) / 1e9
            wait = min(wait, _LOOK_S, max(0.0, until))
        return wait

    def _begin(self) -> None:
        self._scale.begin()
        self._timetable.begin_scan()

    def _end(self) -> None:
        self._scale.end()
        self._timetable.end_scan()

    def _found(self, chunk: list["os.DirEntry[str]"]) -> None:
        for entry in chunk:
            if self._weigh:
                self._scale.weigh(entry.name)
            name = names.parse(entry.name)
            if name is not None and not entry.is_dir(follow_symlinks=False):
                self._plan(entry.name, name)

    def _plan(self, entry: str, name: Name) -> None:
        due_ns = name.due_ns or 0
        handler = self._router.configured(name)
        nearer_ns = None
        # Else its producer or its handler said when.
        if handler is not None and name.verdict not in ("", "defer"):
            nearer_ns = backoff.nearer_ns(
                due_ns, time.time_ns(), handler.backoff_s,
                handler.max_backoff_s,
            )
        if nearer_ns is not None:
            self._shifted.append((entry, nearer_ns))
        else:
            self._timetable.add(entry, due_ns)

    def put_off(self, text: str, due_ns: int, base: int) -> None:
        """
        A job went to ``deferred/`` after a run.

        Args:
            base: base_ns() as whoever filed it saw it: the clock may have
                been set since, or we may not have seen yet that it was.
        """
        off_ns = self._meter.off_ns(base)
        if off_ns:
            self._shifted.append((text, max(0, due_ns + off_ns)))
        else:
            self._timetable.add(text, due_ns)

    def _look_at_clock(self) -> None:
        jump_ns = self._meter.jump_ns(time.time_ns(), steady_ns())
        if not jump_ns:
            return
        log.warning(
            "the clock was set %s by %s; retries wait as long as before",
            "forward" if jump_ns > 0 else "back",
            units.format_duration(abs(jump_ns) / units.NS),
        )
        self._shifted = deque(
            (text, max(0, due_ns + jump_ns)) for text, due_ns in self._shifted
        )
        for text, due_ns in self._timetable.take_all():
            name = names.parse(text)
            if name is not None and name.verdict:
                self._shifted.append((text, max(0, due_ns + jump_ns)))
            else:
                self._timetable.add(text, due_ns)
        # Not at once: a scan cannot tell what was filed before the jump, and
        # workers may not have told yet.
        self._sweep.restart(_LOOK_S / 2)

    def _reschedule(self) -> bool:
        """Give due times anew; True once all have theirs."""
        for _ in range(min(_DUE_SLICE, len(self._shifted))):
            text, due_ns = self._shifted[0]
            moved = self._spool.reschedule(text, due_ns)
            self._shifted.popleft()
            if moved is not None:
                self._timetable.add(moved, due_ns)
        return not self._shifted

    def _retry_due(self) -> None:
        for _ in range(_DUE_SLICE):
            due_ns = self._timetable.next_due_ns()
            # A jump since we looked at the clock makes nothing due.
            now_ns = self._meter.now_ns(time.time_ns(), steady_ns())
            if due_ns is None or due_ns > now_ns:
                return
            text = self._retry(self._timetable.peek())
            self._timetable.pop()
            name = names.parse(text) if text is not None else None
            if text is not None and name is not None:
                self._queue(text, name)

    def _retry(self, deferred: str) -> str | None:
        try:
            return self._spool.retry(deferred)
        except OSError as error:
            if fsops.is_temporary(error):
                raise
            # This one file cannot be moved; it must not stop the others.
            log.error("%s: left alone: %s", inert(deferred), fsops.why(error))
            return None
