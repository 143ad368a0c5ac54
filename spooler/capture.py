# SPDX-License-Identifier: MIT
"""What a command writes: two files beside its job, written by descriptor."""

import os

from spooler import fsops
from spooler.text import inert_bytes

_LAST_LINE_BYTES = 4096
_KINDS = ("out", "err")
_FLAGS = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Capture:
    """
    Standard output and error of one command, while and after it runs.

    Attributes:
        fds: of both files, for the command to inherit.
    """

    def __init__(
        self, dir_fd: int, stem: str, limit: int, fresh: bool = True
    ) -> None:
        """
        Open ``STEM.out`` and ``STEM.err`` in *dir_fd*.

        Args:
            limit: bytes kept of each.
            fresh: whether to begin anew; else what is there is kept.

        Raises:
            OSError: no room or no descriptors; nothing is left open.
        """
        self._dir_fd = dir_fd
        self._stem = stem
        self._limit = limit
        self.fds: list[int] = []
        flags = _FLAGS | os.O_TRUNC if fresh else _FLAGS
        try:
            for kind in _KINDS:
                self.fds.append(os.open(
                    f"{stem}.{kind}", flags, 0o640, dir_fd=dir_fd
                ))
        except OSError:
            self.drop()
            raise

    def cap(self) -> None:
        """Cut what is over the limit; the beginning is kept."""
        for fd in self.fds:
            try:
                if os.fstat(fd).st_size > self._limit:
                    os.ftruncate(fd, self._limit)
            except OSError:
                pass  # the disk is in trouble; the sizes are told as found

    def close(self) -> tuple[int, int]:
        """
        Close both; a file nothing was written to is removed.

        Returns:
            Their sizes in bytes.
        """
        self.cap()
        sizes = [os.fstat(fd).st_size for fd in self.fds]
        self._close()
        for kind, size in zip(_KINDS, sizes):
            if not size:
                self._remove(kind)
        return sizes[0], sizes[1]

    def drop(self) -> None:
        """Close and remove both."""
        self._close()
        for kind in _KINDS:
            self._remove(kind)

    def last_error(self, size: int) -> str:
        """The last line on standard error, inert; *size* as told by close."""
        if not size:
            return ""
        try:
            fd = os.open(
                f"{self._stem}.err", fsops.NOFOLLOW_READ, dir_fd=self._dir_fd
            )
        except OSError:
            return ""
        try:
            data = os.pread(
                fd, _LAST_LINE_BYTES, max(0, size - _LAST_LINE_BYTES)
            )
        except OSError:
            data = b""
        finally:
            os.close(fd)
        lines = data.strip().splitlines()
        return inert_bytes(lines[-1], 300) if lines else ""

    def _close(self) -> None:
        while self.fds:
            os.close(self.fds.pop())

    def _remove(self, kind: str) -> None:
        try:
            fsops.unlink(self._dir_fd, f"{self._stem}.{kind}")
        except OSError:
            pass  # an empty file more; recovery tidies
