# SPDX-License-Identifier: MIT
"""
What a worker is doing, in memory it shares with the daemon.

A worker that is busy in a handler cannot answer, and a message per job would
cost more than a short job; a few stores in shared memory cost nothing.
"""

import mmap
import os
import struct
import sys

BOARD_BYTES = 4096
#: Words of 8 bytes, each stored at once: a sequence, start and limit in ns,
#: length of the name that follows.
_SEQUENCE, _SINCE, _LIMIT, _LENGTH = range(4)
_NAME_AT = 32
_STOP = BOARD_BYTES - 1
_TOLD_AT = 1024
_TOLD = struct.Struct("=QH")  # sequence, length of what the job tells
TOLD_MAX_BYTES = 512
_ENCODING = sys.getfilesystemencoding()
_ERRORS = sys.getfilesystemencodeerrors()


class Board:
    """One page: the job a worker runs and since when."""

    def __init__(self, fd: int) -> None:
        """Map the page behind *fd*, which may be closed afterwards."""
        self._page = mmap.mmap(fd, BOARD_BYTES)
        self._words = memoryview(self._page).cast("Q")
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
        # As os.fsencode does, in half the time.
        data = hint.encode(_ENCODING, _ERRORS)
        words, sequence = self._words, self._sequence + 2
        self._sequence = sequence
        # Odd while it changes, so that a reader takes no half of each.
        words[_SEQUENCE] = sequence - 1
        size = words[_LENGTH] = len(data)
        self._page[_NAME_AT:_NAME_AT + size] = data
        words[_SINCE], words[_LIMIT] = started_ns, limit_ns
        words[_SEQUENCE] = sequence

    def end(self) -> None:
        """Say that no job is running."""
        self.begin("", 0)

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
        words = self._words
        for _ in range(100):
            before, size = words[_SEQUENCE], words[_LENGTH]
            since, limit = words[_SINCE], words[_LIMIT]
            data = bytes(self._page[_NAME_AT:_NAME_AT + size])
            if words[_SEQUENCE] == before and not before & 1:
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
        self._words.release()
        self._page.close()
