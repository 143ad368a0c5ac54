# SPDX-License-Identifier: MIT
"""
The door of the spool: shut while too much waits or the disk is full.

What is here is the daemon's part; producers read what it publishes.
"""

import logging
import os
import time

from spooler import fsops, gate
from spooler.arrivals import Arrivals
from spooler.config import Config
from spooler.spool import Spool
from spooler.units import format_size

log = logging.getLogger(__name__)

#: The door opens again below this share of the limit that shut it, so that
#: it does not swing with every job.
_OPEN_BELOW = 0.9
_EVERY_S = 0.1
_FREE_EVERY_S = 1.0


class Room:
    """Watches the limits and publishes the gate."""

    def __init__(
        self, spool: Spool, config: Config, instance: str, arrivals: Arrivals
    ) -> None:
        self._spool = spool
        self._config = config
        self._arrivals = arrivals
        self._instance = instance
        self._shut_by = ""  #: the limit, not the figures of the moment
        self._next_at = 0.0
        self._free_at = 0.0
        self._no_room = ""
        self._unwritten = True
        self._complained = False
        self.closed = ""

    def use(self, config: Config) -> None:
        """Keep the limits of *config* from now on."""
        self._config = config
        self._unwritten = True
        self._next_at = 0.0

    def wait_s(self) -> float | None:
        """Seconds until it must look again by itself; None: events tell."""
        return _FREE_EVERY_S if self.closed or self._unwritten else None

    def look(self) -> None:
        """Shut the door or open it."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _EVERY_S
        if now >= self._free_at:
            self._free_at = now + _FREE_EVERY_S
            self._no_room = self._gate("").shut_by(
                os.fstatvfs(self._spool.root_fd)
            )
        limit, why = self._over()
        if self._no_room:
            limit, why = "room", self._no_room
        if limit != self._shut_by:
            self._shut_by, self.closed = limit, why
            self._unwritten = True
            if limit:
                log.warning("closed: %s; submissions are refused", why)
            else:
                log.info("open again: submissions are taken")
        if self._unwritten:
            self._publish()

    def _over(self) -> tuple[str, str]:
        """The limit that is over, and in words; empty: none."""
        config = self._config
        pending, weight = self._arrivals.pending, self._arrivals.pending_bytes
        for limit, now, most, shown, most_shown in (
            ("max_pending", pending, config.max_pending,
             f"{pending} jobs wait", str(config.max_pending)),
            ("max_bytes", weight, config.max_bytes,
             f"{format_size(weight)} wait", format_size(config.max_bytes)),
        ):
            if not most:
                continue
            if self._shut_by == limit:
                shut = now >= max(1, int(most * _OPEN_BELOW))
            else:
                shut = now >= most
            if shut:
                return limit, f"{shown}, {limit} is {most_shown}"
        return "", ""

    def _gate(self, closed: str) -> gate.Gate:
        made = gate.Gate()
        made.closed = closed
        made.min_free = self._config.min_free
        made.min_free_inodes = self._config.min_free_inodes
        made.max_pending = self._config.max_pending
        made.instance = self._instance
        return made

    def _publish(self) -> None:
        # What the disk has left every producer sees for itself.
        closed = "" if self._shut_by == "room" else self.closed
        try:
            gate.write(self._spool.root_fd, self._gate(closed))
        except OSError as error:
            if not self._complained:
                log.warning(
                    "producers cannot be told of limits: %s", fsops.why(error)
                )
            self._complained = True
            return
        self._unwritten = self._complained = False
