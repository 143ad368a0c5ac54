# SPDX-License-Identifier: MIT
"""What the daemon does beside running jobs: doors, room, and old files."""

import logging
import time

from spooler import pause
from spooler.arrivals import Arrivals
from spooler.config import Config
from spooler.retention import Retention
from spooler.states import State
from spooler.health import Health
from spooler.keyring import KeyRing
from spooler.reserve import Reserve
from spooler.room import Room
from spooler.spool import Spool
from spooler.stale import StaleFiles

log = logging.getLogger(__name__)


class Upkeep:
    """
    Periodic care of the spool.

    Attributes:
        room: whether submissions are taken.
        paused: handlers that a person told to pause, as marks(pause.py).
    """

    def __init__(
        self, spool: Spool, config: Config, instance: str,
        arrivals: Arrivals, health: Health,
    ) -> None:
        self._spool = spool
        self._health = health
        self._arrivals = arrivals
        self.room = Room(spool, config, instance, arrivals)
        self._reserve = Reserve(spool.private_fd)
        self._stale = StaleFiles(spool)
        self._keys = KeyRing(spool, config.rescan_s)
        self._retentions = (
            Retention(spool, State.DONE, config.keep_done),
            Retention(spool, State.FAILED, config.keep_failed),
        )
        self.paused: frozenset[str] = frozenset()
        self._every_s = config.rescan_s
        self._next_at = 0.0

    def use(self, config: Config) -> None:
        """Go by *config* from now on."""
        self._every_s = config.rescan_s
        self.room.use(config)
        self._keys.use(config.rescan_s)
        for retention, keep in zip(
            self._retentions, (config.keep_done, config.keep_failed)
        ):
            retention.use(keep)

    def begin(self) -> None:
        """
        See that the spool is where it was: before all other work.

        Raises:
            Displaced: it is not.
            OSError: it cannot be told.
        """
        now = time.monotonic()
        if now < self._next_at and not self._health.hurt:
            return
        self._spool.all_in_place()
        self.look_at_marks()
        self._next_at = now + self._every_s
        if not self._arrivals.watching:
            self._arrivals.open_watch()  # a limit may have been lifted
        if not self._health.trouble:
            self._reserve.keep()

    def look_at_marks(self) -> None:
        """See which handlers a person has told to pause."""
        marks = pause.marks(self._spool)
        if marks != self.paused:
            log.info(
                "paused by an operator: %s", ", ".join(sorted(marks)) or "-"
            )
        self.paused = marks

    def work(self) -> None:
        """Do what is due; raises OSError when the spool is in trouble."""
        self.room.look()
        self._keys.step()
        self._stale.look()
        for retention in self._retentions:
            retention.step()

    def relieve(self) -> None:
        """Make room on a full disk, once."""
        if self._health.full:
            self._health.full = False
            self._reserve.give_up()

    def wait_s(self) -> float:
        """Seconds until there is something to do."""
        wait = max(0.0, self._next_at - time.monotonic())
        look = self.room.wait_s()
        if look is not None:
            wait = min(wait, look)
        for retention in self._retentions:
            due = retention.wait_s()
            if due is not None:
                wait = min(wait, due)
        return min(wait, self._stale.wait_s(), self._keys.wait_s())
