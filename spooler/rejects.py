# SPDX-License-Identifier: MIT
"""File jobs that no handler can run, with the reason."""

import collections
import time

from spooler import recover, settle
from spooler.arrivals import Arrivals
from spooler.config import Config
from spooler.ledger import Ledger
from spooler.spool import Spool


class Rejects:
    """Claims such jobs for the daemon itself and fails them."""

    def __init__(
        self, spool: Spool, arrivals: Arrivals, ledger: Ledger, owner: str
    ) -> None:
        self._spool = spool
        self._arrivals = arrivals
        self._ledger = ledger
        self._owner = owner
        self._claimed: collections.deque[tuple[str, str]] = (
            collections.deque()
        )

    def file(self, config: Config) -> None:
        """
        File some of them.

        Raises:
            OSError: the spool is in trouble; the next call goes on.
        """
        for hint in self._arrivals.take_rejects():
            active = self._spool.claim(hint, self._owner)
            if active is not None:
                self._claimed.append((hint, active))
        while self._claimed:
            hint, active = self._claimed[0]
            outcome = recover.judge_unroutable(self._spool, config, active)
            settled = settle.settle(
                self._spool, active, outcome, None, None,
                config.durability != "relaxed", time.time_ns(), 0.0,
            )
            self._ledger.book(
                settled.state, hint, settled.name, 0, outcome.text
            )
            self._claimed.popleft()
