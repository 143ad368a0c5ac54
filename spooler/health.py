# SPDX-License-Identifier: MIT
"""What is wrong with the spool, who said so, and how long it holds."""

import errno
import logging
import time

from spooler import fsops
from spooler.text import inert

log = logging.getLogger(__name__)

TROUBLE_WAIT_S = 1.0  #: from a refused call to the next
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Health:
    """
    Trouble with the spool pauses claims, and nothing else.

    The daemon sees some of it itself; that holds until its own work goes
    through again.  Workers tell of the rest; that holds while they go on
    telling.

    Attributes:
        full: whether room is what lacks, since this was last cleared.
    """

    def __init__(self) -> None:
        self.full = False
        self._own: str | None = None
        self._own_until = 0.0
        self._own_since = 0.0
        self._told: str | None = None
        self._told_until = 0.0

    @property
    def trouble(self) -> str | None:
        """What is wrong, in one line; None: nothing."""
        if self._own is not None:
            return self._own
        if time.monotonic() > self._told_until + TROUBLE_WAIT_S:
            return None
        return self._told

    @property
    def hurt(self) -> bool:
        """Whether the daemon's own work does not go through."""
        return self._own is not None

    def fails(self, error: OSError) -> None:
        """The daemon's own work met *error*."""
        text = fsops.why(error)
        if self._own is None:
            self._own_since = time.monotonic()
        if text != self._own:
            log.error("spool in trouble: %s; claims pause", text)
        self._own = text
        self._own_until = time.monotonic() + TROUBLE_WAIT_S
        self.full |= error.errno in _FULL

    def works(self) -> None:
        """The daemon's own work went through."""
        if self._own is not None:
            log.info("spool is well again: claims go on")
            self._own = None

    def told(self, text: str, number: int) -> None:
        """A worker met an error of *number*."""
        if text != self._told:
            log.error("spool in trouble: %s; claims pause", inert(text))
        self._told = text
        self._told_until = time.monotonic() + TROUBLE_WAIT_S
        self.full |= number in _FULL

    def took(self) -> None:
        """The disk took a worker's verdict."""
        self._told = None

    def hurt_s(self) -> float:
        """For how many seconds that has been so."""
        if self._own is None:
            return 0.0
        return time.monotonic() - self._own_since

    def may_work(self) -> bool:
        """Whether the daemon may try its own work now."""
        return time.monotonic() >= self._own_until

    def may_claim(self) -> bool:
        """Whether jobs may be handed to workers now."""
        return time.monotonic() >= self._told_until

    def wait_s(self) -> float | None:
        """Seconds until something may be tried again; None: no wait."""
        wait = max(self._own_until, self._told_until) - time.monotonic()
        return wait if wait > 0 else None
