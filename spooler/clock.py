# SPDX-License-Identifier: MIT
"""
Notice that somebody set the wall clock.

Waits are lengths of time, but due times in names must outlive a restart and
are therefore wall clock; a jump of it must be made good.
"""

import time

#: Less is not worth a rename; adjustments that keep a clock right slew it.
_JUMP_NS = 200_000_000
#: How long a clock must have gone ahead before age is told by it.
_BELIEVE_NS = 3600 * 10**9


def steady_ns() -> int:
    """A clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def base_ns() -> int:
    """The wall clock's lead over that one; it changes by jumps alone."""
    return time.time_ns() - steady_ns()


class JumpMeter:
    """Compares the wall clock with one that nobody sets."""

    def __init__(self, wall_ns: int, steady: int) -> None:
        """Begin with both clocks as they are now, in ns."""
        self._offset = wall_ns - steady

    def jump_ns(self, wall_ns: int, steady: int) -> int:
        """How far the wall clock was set since the last call; else 0."""
        jump = wall_ns - steady - self._offset
        if abs(jump) < _JUMP_NS:
            return 0
        self._offset += jump
        return jump

    def now_ns(self, wall_ns: int, steady: int) -> int:
        """The wall clock; of a jump not yet seen, what is earlier."""
        return min(wall_ns, steady + self._offset)

    def off_ns(self, base: int) -> int:
        """What to add to a moment told when base_ns() was *base*; or 0."""
        off = self._offset - base
        return 0 if abs(off) < _JUMP_NS else off


class PatientClock:
    """The wall clock, of which a leap ahead is believed after an hour."""

    def __init__(self, wall_ns: int, steady: int) -> None:
        """Begin with both clocks as they are now, in ns."""
        self._offset = wall_ns - steady
        self._ahead_since: int | None = None

    def now_ns(self, wall_ns: int, steady: int) -> int:
        """The wall clock, without a leap that is not believed yet."""
        ahead = wall_ns - steady - self._offset
        if ahead < _JUMP_NS:
            self._offset += ahead
            self._ahead_since = None
        elif self._ahead_since is None:
            self._ahead_since = steady
        elif steady - self._ahead_since >= _BELIEVE_NS:
            self._offset += ahead
            self._ahead_since = None
        return steady + self._offset
