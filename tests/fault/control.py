# SPDX-License-Identifier: MIT
"""The rule that the shim obeys, in a file that all processes share."""

import mmap
import os
import struct

CHANGE, OPEN, READ = 1, 2, 4
COUNT, KILL_BEFORE, KILL_AFTER, ERROR, SHORT = range(5)
CALLER, DAEMON, ALL = range(3)

_FIELDS = ("count", "fired", "at", "action", "number", "sticky", "target",
           "daemon", "mask", "npids")
_PIDS = 128
_ROOT_AT = 8 * (len(_FIELDS) + _PIDS)
_WHAT_AT = _ROOT_AT + 512
_SIZE = _WHAT_AT + 1024


class Control:
    """The shared rule; the fields are those of ``shim.c``."""

    def __init__(self, path: str) -> None:
        """Open the file at *path*; make it if need be."""
        self.path = path
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < _SIZE:
                os.ftruncate(fd, _SIZE)
            self._map = mmap.mmap(fd, _SIZE)
        finally:
            os.close(fd)

    def get(self, field: str) -> int:
        """Read one number."""
        at = 8 * _FIELDS.index(field)
        return int(struct.unpack_from("q", self._map, at)[0])

    def set(self, field: str, value: int) -> None:
        """Write one number."""
        struct.pack_into("q", self._map, 8 * _FIELDS.index(field), value)

    def arm(self, root: str, **rule: int) -> None:
        """Begin to count anew, below *root*, with *rule* in force."""
        self._map[:] = bytes(_SIZE)
        self._map[_ROOT_AT:_ROOT_AT + len(root)] = root.encode()
        self.set("mask", CHANGE)
        at = rule.pop("at", 0)
        for field, value in rule.items():
            self.set(field, value)
        self.set("at", at)

    def lift(self) -> None:
        """No more faults; the counting goes on."""
        self.set("at", 0)

    @property
    def pids(self) -> list[int]:
        """The processes that made a call that counts."""
        number = min(self.get("npids"), _PIDS)
        at = 8 * len(_FIELDS)
        return list(struct.unpack_from(f"{number}q", self._map, at))

    @property
    def what(self) -> str:
        """The call that was struck first."""
        data = self._map[_WHAT_AT:].partition(b"\0")[0]
        return data.decode(errors="backslashreplace")
