# SPDX-License-Identifier: MIT
"""
The keys that spoold looks after.

Jobs that hold their key and whose producer died are moved on; keys are taken
from jobs that are gone, and from those whose time is over.
"""

import logging
import time
from collections.abc import Iterator

from spooler import fsops, names, tenure
from spooler.keys import UNTIL, Holder
from spooler.labels import about
from spooler.spool import Spool
from spooler.states import State
from spooler.sweep import SLICE_S

log = logging.getLogger(__name__)

_SHARE = 20  #: of the time that all this may take
_ALL_EVERY_S = 60.0  #: if nothing changed: who removed a job told nobody
_SUSPECTS_MAX = 10_000  #: at once; the others are looked at the next time


class KeyRing:
    """Looks through ``tmp/`` and ``keys/``, in slices."""

    def __init__(self, spool: Spool, every_s: float) -> None:
        """
        Args:
            every_s: between looks.
        """
        self._spool = spool
        self._every_s = every_s
        self._pass: Iterator[None] | None = None
        self._next_at = 0.0
        self._all_at = 0.0
        self._seen_ns = -1
        self._over_ns = 0  #: when the time of the next key is over

    def use(self, every_s: float) -> None:
        """Look every so many seconds from now on."""
        self._every_s = every_s

    def wait_s(self) -> float:
        """Seconds until there is something to do."""
        if self._pass is not None:
            return 0.0
        return max(0.0, self._next_at - time.monotonic())

    def step(self) -> None:
        """Do a slice of what is due; raises OSError as a scan does."""
        if self._pass is None:
            if time.monotonic() < self._next_at:
                return
            self._pass = self._look()
        try:
            next(self._pass, None)
        except BaseException:
            self._pass = None
            self._next_at = time.monotonic() + self._every_s
            raise

    def _look(self) -> Iterator[None]:
        started = time.monotonic()
        self._complete()
        changed_ns = fsops.status(self._spool.keys.fd, ".").st_mtime_ns
        if (
            changed_ns != self._seen_ns or time.time_ns() >= self._over_ns
            or started >= self._all_at
        ):
            yield from self._walk()
            self._seen_ns = changed_ns
            self._all_at = started + _ALL_EVERY_S
        now = time.monotonic()
        due_s = max(0.0, (self._over_ns - time.time_ns()) / 1e9)
        self._next_at = now + max(
            min(self._every_s, due_s), _SHARE * (now - started)
        )
        self._pass = None

    def _complete(self) -> None:
        """Finish what producers began that died."""
        for entry in self._spool.scan(State.TMP):
            if ".k" not in entry.name:
                continue
            # RACE: its producer may live, and move it first.
            if tenure.is_submitted(
                self._spool, entry.name
            ) and tenure.complete(self._spool, entry.name):
                log.info(
                    "%s: submitted, its producer died",
                    entry.name[2:names.STEM_CHARS],
                    extra=about(entry.name, State.INCOMING),
                )

    def _walk(self) -> Iterator[None]:
        suspects: list[Holder] = []
        self._over_ns = time.time_ns() + 3600 * 10**9
        until = time.monotonic() + SLICE_S
        for entry, holder in tenure.listed(self._spool):
            if holder is None:
                continue  # check names it
            if holder.kind == UNTIL:
                self._judge(holder)
            elif len(suspects) < _SUSPECTS_MAX and not tenure.is_at_hand(
                self._spool, holder
            ):
                suspects.append(holder)
            if time.monotonic() > until:
                yield
                until = time.monotonic() + SLICE_S
        for holder in tenure.without_job(self._spool, suspects):
            if self._spool.keys.release(holder.name.key, holder.name.id):
                log.info("%s: gone, its key is free", holder.name.id)

    def _judge(self, holder: Holder) -> None:
        if holder.is_over(time.time_ns()):
            self._spool.keys.release(holder.name.key, holder.name.id)
        else:
            self._over_ns = min(self._over_ns, holder.until_ns)
