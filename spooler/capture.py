# SPDX-License-Identifier: MIT
"""
What commands write: two files beside the job of each, by descriptor.

Files that nothing was written to are used again, since making a file is the
dearest call of a short run: they are called OWNER-N until the next job.
"""

import fcntl
import os

from spooler import fsops
from spooler.text import inert_bytes

_LAST_LINE_BYTES = 4096
_KINDS = ("out", "err")
_FLAGS = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_IDLE_MAX = 16  #: pairs kept for later runs


class Captures:
    """The output files of one command runner."""

    def __init__(self, dir_fd: int, owner: str) -> None:
        self.dir_fd = dir_fd
        self._owner = owner
        self._made = 0
        self._idle: list[Capture] = []

    def begin(self, stem: str, limit: int) -> "Capture":
        """
        Two empty files ``STEM.out`` and ``STEM.err``.

        Args:
            limit: bytes kept of each.

        Raises:
            FileExistsError: there is one already.
            OSError: no room or no descriptors; nothing is left open.
        """
        while self._idle:
            capture = self._idle.pop()
            try:
                if capture.rename(stem):
                    capture.limit = limit
                    return capture
            except OSError:
                capture.drop()
                raise
            capture.drop()  # somebody removed it
        return Capture(self, stem, limit, os.O_EXCL)

    def anew(self, stem: str, limit: int) -> "Capture":
        """The same, in place of those that are there."""
        return Capture(self, stem, limit, os.O_TRUNC)

    def again(self, stem: str, limit: int) -> "Capture":
        """Those of a command that another runner started."""
        return Capture(self, stem, limit, 0)

    def keep(self, capture: "Capture") -> bool:
        """Take back two empty files; False if they cannot be used again."""
        if len(self._idle) >= _IDLE_MAX or not capture.is_as_new():
            return False
        self._made += 1
        try:
            if not capture.rename(f"{self._owner}-{self._made}"):
                return False
        except OSError:
            return False
        self._idle.append(capture)
        return True

    def close(self) -> None:
        """Remove those that nobody uses."""
        while self._idle:
            self._idle.pop().drop()


class Capture:
    """
    Standard output and error of one command, while and after it runs.

    Attributes:
        fds: of both files, for the command to inherit.
        limit: bytes kept of each.
    """

    def __init__(
        self, shelf: Captures, stem: str, limit: int, how: int
    ) -> None:
        self._shelf = shelf
        self._dir_fd = shelf.dir_fd
        self._stem = stem
        self.limit = limit
        self.fds: list[int] = []
        self._known: list[os.stat_result] = []
        try:
            for kind in _KINDS:
                self.fds.append(os.open(
                    f"{stem}.{kind}", _FLAGS | how, 0o640, dir_fd=self._dir_fd
                ))
                self._known.append(os.fstat(self.fds[-1]))
        except OSError:
            for kind in _KINDS[:len(self.fds)]:
                self._remove(kind)
            self._close()
            raise

    def rename(self, stem: str) -> bool:
        """
        Call both by another stem; False if one of them is gone.

        Raises:
            FileExistsError: one of that name is there; nothing was changed.
        """
        old, fd = self._stem, self._dir_fd
        if not fsops.rename_noreplace(fd, f"{old}.out", fd, f"{stem}.out"):
            return False
        try:
            both = fsops.rename_noreplace(
                fd, f"{old}.err", fd, f"{stem}.err"
            )
        except OSError:
            fsops.rename(fd, f"{stem}.out", fd, f"{old}.out")
            raise
        if both:
            self._stem = stem
        else:
            fsops.unlink(fd, f"{stem}.out")
        return both

    def is_as_new(self) -> bool:
        """Whether nobody can tell both files from new ones."""
        for kind, fd, known in zip(_KINDS, self.fds, self._known):
            try:
                found = fsops.status(self._dir_fd, f"{self._stem}.{kind}")
            except OSError:
                return False
            if found.st_size or found.st_nlink != 1 or (
                (found.st_ino, found.st_mode, found.st_uid, found.st_gid)
                != (known.st_ino, known.st_mode, known.st_uid, known.st_gid)
            ):
                return False
            # What a command sets of these stays with the open file.
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            if not flags & os.O_APPEND or flags & (
                os.O_NONBLOCK | os.O_DIRECT | os.O_ASYNC
            ):
                return False
        return True

    def cap(self) -> list[int]:
        """
        Cut what is over the limit; the beginning is kept.

        Returns:
            The sizes in bytes.
        """
        sizes = []
        for fd in self.fds:
            size = os.fstat(fd).st_size
            if size > self.limit:
                try:
                    os.ftruncate(fd, self.limit)
                    size = self.limit
                except OSError:
                    pass  # the disk is in trouble; told as found
            sizes.append(size)
        return sizes

    def close(self, alone: bool) -> tuple[int, int]:
        """
        Let go of both; a file nothing was written to is removed.

        Args:
            alone: nobody else can have them open.

        Returns:
            Their sizes in bytes.
        """
        if alone and self._shelf.keep(self):
            return 0, 0
        sizes = self.cap()
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
