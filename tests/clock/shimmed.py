# SPDX-License-Identifier: MIT
"""A wall clock that the test moves, for the processes it is loaded into."""

import bisect
import math
import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NS = 1_000_000_000
YEAR_S = 365.25 * 86400

#: Moments at which somebody's seconds overflow.
Y1970, Y2038, Y2106 = 20.0, 2.0**31, 2.0**32
#: The last second that Linux lets anybody set the clock to.
LAST = 2.0**63 / NS - 30 * 365 * 86400 - 1


def build(directory: pathlib.Path) -> pathlib.Path | None:
    """Compile the shim; None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    shim = directory / "clock.so"
    subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o",
         str(shim), str(HERE / "shim.c"), "-ldl"],
        check=True, timeout=60,
    )
    return shim


class Clock:
    """
    The clocks of every process that was started with ``env``.

    Moments are monotonic and in seconds, as time.monotonic() tells them;
    the wall clock is in seconds since 1970.
    """

    def __init__(self, shim: pathlib.Path, path: pathlib.Path) -> None:
        """Make the clocks, which tell the truth until told otherwise."""
        self._shim, self._path = shim, path
        path.write_bytes(bytes(16))
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(fd, 16)
        finally:
            os.close(fd)
        #: When the clock was moved, and the difference from then on.
        self._moved = [time.monotonic()]
        self._offsets = [0.0]
        self._real = time.time() - time.monotonic()

    @property
    def env(self) -> dict[str, str]:
        """What a process must be started with."""
        return {
            "LD_PRELOAD": str(self._shim), "CLOCK_CONTROL": str(self._path),
        }

    @property
    def jumps(self) -> int:
        """How often the clock was moved."""
        return len(self._moved) - 1

    def wall(self, moment: float | None = None) -> float:
        """The wall clock at a moment, or now."""
        at = time.monotonic() if moment is None else moment
        offset = self._offsets[bisect.bisect_right(self._moved, at) - 1]
        return self._real + at + offset

    def jump(self, seconds: float, highest: float = LAST) -> None:
        """Move the wall clock; it never goes before 1970, as on Linux."""
        self.set(min(self.wall() + seconds, highest))

    def set(self, moment: float) -> None:
        """Set the wall clock, in seconds since 1970."""
        moment = min(max(moment, Y1970), LAST)
        self._store(moment - self._real - time.monotonic())

    def right(self) -> None:
        """Let the wall clock tell the truth again."""
        self._store(0.0)

    def _store(self, offset: float) -> None:
        offset_ns = round(offset * NS)
        struct.pack_into("q", self._map, 0, offset_ns)
        self._moved.append(time.monotonic())
        self._offsets.append(offset_ns / NS)

    def pass_time(self, seconds: float) -> None:
        """Make both clocks go on, as if the processes had been that slow."""
        (mono_ns,) = struct.unpack_from("q", self._map, 8)
        struct.pack_into("q", self._map, 8, mono_ns + round(seconds * NS))
        self.jump(seconds)

    def since_last_jump(self) -> float:
        """Seconds since the clock was moved."""
        return time.monotonic() - self._moved[-1]

    def reached(self, wall: float, after: float, before: float) -> bool:
        """Whether the clock showed *wall* or more between two moments."""
        return any(
            self._last(start, end) >= wall - 1e-3
            for start, end in self._spans(before) if end >= after
        )

    def since(self, wall: float, moment: float) -> float:
        """From when on the clock showed *wall* or more, up to *moment*."""
        found = math.inf
        for start, end in reversed(self._spans(moment)):
            if self._last(start, end) < wall:
                break
            found = start + max(0.0, wall - self.wall(start))
            if self.wall(start) < wall:
                break
        return found

    def _last(self, start: float, end: float) -> float:
        """The wall clock just before the end of a time without a jump."""
        return self.wall(max(start, end - 1e-6))

    def _spans(self, end: float) -> list[tuple[float, float]]:
        """The times without a jump, up to the moment *end*."""
        starts = [moment for moment in self._moved if moment <= end]
        return list(zip(starts, [*starts[1:], end]))
