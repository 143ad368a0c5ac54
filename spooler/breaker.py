# SPDX-License-Identifier: MIT
"""
The crash-loop breaker: a handler whose runs die over and over pauses.

Pure; the clock is an argument.  Died is a run that ended by a signal, with
its worker, or before it began; a run that failed by its own word did not.
"""

import dataclasses

_DEATHS = frozenset(("signal", "lost", "start"))
#: These say nothing of the handler: it was not run, or a person ended it.
_NEUTRAL = frozenset((
    "bad", "expired", "killed", "no-handler", "unknown-handler",
))
_PAUSE_S = 5.0
_PAUSE_MAX_S = 600.0


@dataclasses.dataclass
class Breaker:
    """
    Counts one handler's deaths in a row.

    Attributes:
        limit: deaths in a row that open it; 0: it never opens.
        deaths: in a row, up to now.
        until: monotonic moment up to which nothing is started.
        last: how the last one died, for a person.
    """

    limit: int
    deaths: int = 0
    until: float = 0.0
    last: str = ""
    _pause_s: float = _PAUSE_S

    def saw(self, kind: str, text: str, now: float) -> bool:
        """
        Take note of a verdict of *kind*.

        Returns:
            Whether the handler pauses because of it.
        """
        if kind in _NEUTRAL:
            return False
        if kind not in _DEATHS:
            self.deaths, self.until, self._pause_s = 0, 0.0, _PAUSE_S
            return False
        self.deaths += 1
        self.last = text
        if not self.limit or self.deaths < self.limit or now < self.until:
            return False
        self.until = now + self._pause_s
        self._pause_s = min(_PAUSE_MAX_S, self._pause_s * 2)
        return True

    @property
    def tripped(self) -> bool:
        """Whether it dies over and over; then one run at a time is tried."""
        return bool(self.limit) and self.deaths >= self.limit

    def wait_s(self, now: float) -> float:
        """Seconds until a run may be tried; 0: now."""
        return max(0.0, self.until - now) if self.tripped else 0.0
