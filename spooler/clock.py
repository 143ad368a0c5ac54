# SPDX-License-Identifier: MIT
"""
Notice that somebody set the wall clock.

Waits are lengths of time, but due times in names must outlive a restart and
are therefore wall clock; a jump of it must be made good.
"""

import time

#: Less is not worth a rename; adjustments that keep a clock right slew it.
_JUMP_NS = 200_000_000


def steady_ns() -> int:
    """A clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


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
