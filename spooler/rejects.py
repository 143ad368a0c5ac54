# SPDX-License-Identifier: MIT
"""File jobs that no handler can run, with the reason."""

import collections
import time

from spooler import fsops, recover, settle
from spooler.arrivals import Arrivals
from spooler.config import Config
from spooler.ledger import Ledger
from spooler.spool import Spool
from spooler.sweep import SLICE_S


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
        until = time.monotonic() + SLICE_S
        self._settle(config)
        for hint in self._arrivals.take_rejects():
            active = self._claim(hint)
            if active is not None:
                self._claimed.append((hint, active))
                self._settle(config)
            if time.monotonic() > until:
                return

    def _claim(self, hint: str) -> str | None:
        try:
            return self._spool.claim(hint, self._owner)
        except OSError as error:
            if fsops.is_temporary(error) or fsops.is_misplaced(error):
                raise
            # This one cannot be moved; it must not stop the others.
            self._arrivals.intake.refuse(hint, fsops.why(error))
            return None

    def _settle(self, config: Config) -> None:
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
