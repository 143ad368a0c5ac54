# SPDX-License-Identifier: MIT
"""
What a worker is doing, in memory it shares with the daemon.

A worker that is busy in a handler cannot answer, and a message per job would
cost more than a short job; a few stores in shared memory cost nothing.
"""

import mmap
import os
import struct

BOARD_BYTES = 4096
_HEAD = struct.Struct("=QQQH")  # sequence, start and limit in ns, name length
_STOP = BOARD_BYTES - 1
_TOLD_AT = 1024
_TOLD = struct.Struct("=QH")  # sequence, length of what the job tells
TOLD_MAX_BYTES = 512


class Board:
    """One page: the job a worker runs and since when."""

    def __init__(self, fd: int) -> None:
        """Map the page behind *fd*, which may be closed afterwards."""
        self._page = mmap.mmap(fd, BOARD_BYTES)
        self._sequence = 0
        self._told = 0

    @staticmethod
    def create() -> int:
        """Make the memory; returns its descriptor."""
        fd = os.memfd_create("spool-board", os.MFD_CLOEXEC)
        os.ftruncate(fd, BOARD_BYTES)
        return fd

    def begin(self, hint: str, started_ns: int, limit_ns: int = 0) -> None:
        """
        Say which job was taken up, before its claim.

        Args:
            started_ns: monotonic clock.
            limit_ns: after so long the worker may be killed; 0: never.
        """
        if self._told:
            self.tell(b"")
            self._told = 0
        self._write(started_ns, limit_ns, os.fsencode(hint))

    def end(self) -> None:
        """Say that no job is running."""
        self._write(0, 0, b"")

    def _write(self, started_ns: int, limit_ns: int, data: bytes) -> None:
        # Odd while it changes, so that a reader takes no half of each.
        self._sequence += 2
        head = (started_ns, limit_ns, len(data))
        _HEAD.pack_into(self._page, 0, self._sequence - 1, *head)
        self._page[_HEAD.size:_HEAD.size + len(data)] = data
        _HEAD.pack_into(self._page, 0, self._sequence, *head)

    def tell(self, data: bytes) -> None:
        """Say how far the job is; see progress.py."""
        data = data[:TOLD_MAX_BYTES]
        self._told += 2
        page, at = self._page, _TOLD_AT + _TOLD.size
        _TOLD.pack_into(page, _TOLD_AT, self._told - 1, len(data))
        page[at:at + len(data)] = data
        _TOLD.pack_into(page, _TOLD_AT, self._told, len(data))

    def told(self) -> bytes:
        """What the job says of how far it is."""
        at = _TOLD_AT + _TOLD.size
        for _ in range(100):
            before, size = _TOLD.unpack_from(self._page, _TOLD_AT)
            data = bytes(self._page[at:at + min(size, TOLD_MAX_BYTES)])
            if _TOLD.unpack_from(self._page, _TOLD_AT)[0] == before:
                if not before & 1:
                    return data
        return b""

    def read(self) -> tuple[str, int, int] | None:
        """The job, its start and its limit; None if idle."""
        for _ in range(100):
            before, since, limit, size = _HEAD.unpack_from(self._page, 0)
            data = bytes(self._page[_HEAD.size:_HEAD.size + size])
            after = _HEAD.unpack_from(self._page, 0)[0]
            if before == after and not before & 1:
                return (os.fsdecode(data), since, limit) if data else None
        return None

    def stop(self) -> None:
        """Ask the worker to take up no further job."""
        self._page[_STOP] = 1

    def stopping(self) -> bool:
        """Whether stop was called, on either side."""
        return self._page[_STOP] != 0

    def close(self) -> None:
        """Unmap the page."""
        self._page.close()
