# SPDX-License-Identifier: MIT
"""What the daemon does beside running jobs: doors, room, and old files."""

import time

from spooler.arrivals import Arrivals
from spooler.config import Config
from spooler.health import Health
from spooler.reserve import Reserve
from spooler.room import Room
from spooler.spool import Spool
from spooler.stale import StaleFiles


class Upkeep:
    """
    Periodic care of the spool.

    Attributes:
        room: whether submissions are taken.
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
        self._every_s = config.rescan_s
        self._next_at = 0.0

    def use(self, config: Config) -> None:
        """Go by *config* from now on."""
        self._every_s = config.rescan_s
        self.room.use(config)

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
        self._next_at = now + self._every_s
        if not self._arrivals.watching:
            self._arrivals.open_watch()  # a limit may have been lifted
        if not self._health.trouble:
            self._reserve.keep()

    def work(self) -> None:
        """Do what is due; raises OSError when the spool is in trouble."""
        self.room.look()
        self._stale.look()

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
        return min(wait, self._stale.wait_s())
