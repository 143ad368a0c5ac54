# SPDX-License-Identifier: MIT
"""Remove what producers that died left in ``tmp/``."""

import logging
import time

from spooler import check, fsops
from spooler.clock import steady_ns
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert
from spooler.units import NS

log = logging.getLogger(__name__)

_EVERY_S = 1800.0
_UNCHANGED_S = 3600.0
_KNOWN_MAX = 10_000


class StaleFiles:
    """
    Watches old files of ``tmp/`` and removes those nobody writes any more.

    A file must be old by its own stamp, and unchanged for an hour of a
    clock that nobody sets: one wrong clock alone removes nothing.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._next_at = 0.0
        #: name -> (inode, change time in ns), and since when we know it
        self._seen: dict[str, tuple[tuple[int, int], int]] = {}

    def wait_s(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next_at - time.monotonic())

    def look(self) -> None:
        """Look at all files if that is due; raises OSError as a scan does."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _EVERY_S
        seen: dict[str, tuple[tuple[int, int], int]] = {}
        old_ns = time.time_ns() - round(check.STALE_S * NS)
        for entry in self._spool.scan(State.TMP):
            if entry.is_dir(follow_symlinks=False):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_ctime_ns > old_ns:
                continue
            stamp = status.st_ino, status.st_ctime_ns
            known = self._seen.get(entry.name)
            if known is None or known[0] != stamp:
                if len(seen) < _KNOWN_MAX:
                    seen[entry.name] = stamp, steady_ns()
            elif steady_ns() - known[1] < _UNCHANGED_S * NS:
                seen[entry.name] = known
            else:
                self._remove(entry.name)
        self._seen = seen

    def _remove(self, name: str) -> None:
        try:
            fsops.unlink(self._spool.fds[State.TMP], name)
        except OSError as error:
            if fsops.is_temporary(error):
                raise
            return  # not ours to remove; check names it
        log.info("tmp/%s: removed, nobody finished it", inert(name))
