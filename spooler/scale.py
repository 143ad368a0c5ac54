# SPDX-License-Identifier: MIT
"""Weigh a directory: what its files take on disk."""

from spooler import fsops

_BLOCK_BYTES = 512  #: the unit of st_blocks, whatever the file system's


class Scale:
    """
    The weight of one directory, by its last scan and what came since.

    What left since is still counted: the next scan mends it.
    """

    def __init__(self, dir_fd: int) -> None:
        self._dir_fd = dir_fd
        self._last = 0
        self._since = 0
        self._weighing = False

    @property
    def total(self) -> int:
        """Bytes on disk."""
        if self._weighing:
            return max(self._last, self._since)
        return self._last + self._since

    def begin(self) -> None:
        """Every file is going to be weighed."""
        self._last, self._since = self.total, 0
        self._weighing = True

    def weigh(self, entry: str) -> None:
        """Add one file; one that is gone or cannot be seen weighs nothing."""
        try:
            status = fsops.status(self._dir_fd, entry)
        except OSError:
            return
        self._since += status.st_blocks * _BLOCK_BYTES

    def end(self) -> None:
        """Every file has been weighed."""
        self._last, self._since = self._since, 0
        self._weighing = False
