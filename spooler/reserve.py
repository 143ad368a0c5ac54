# SPDX-License-Identifier: MIT
"""
Room kept for running jobs: a file that is given up when the disk is full.

On a full disk even a rename can fail, and with it every verdict.
"""

import errno
import logging
import os

from spooler import fsops

log = logging.getLogger(__name__)

RESERVE = "reserve"
RESERVE_BYTES = 1 << 20
_AGAIN_BYTES = 8 * RESERVE_BYTES  #: free before it is made anew


class Reserve:
    """The reserve file in the daemon's private directory."""

    def __init__(self, dir_fd: int) -> None:
        self._dir_fd = dir_fd
        self._held = fsops.exists(dir_fd, RESERVE)

    def keep(self) -> None:
        """Make the file if it is missing and there is room for it."""
        if self._held:
            return
        free = os.fstatvfs(self._dir_fd)
        if free.f_bavail * free.f_frsize < _AGAIN_BYTES:
            return
        try:
            fd = fsops.create(self._dir_fd, RESERVE, 0o600)
        except FileExistsError:
            self._held = True
            return
        except OSError:
            return  # tried again
        try:
            _allocate(fd)
            self._held = True
        except OSError:
            fsops.unlink(self._dir_fd, RESERVE)
        finally:
            os.close(fd)

    def give_up(self) -> bool:
        """Free its room; False if it is free already."""
        if not self._held:
            return False
        self._held = False
        given = fsops.unlink(self._dir_fd, RESERVE)
        if given:
            log.warning(
                "the disk is full: the reserve is given up, so that running"
                " jobs can be filed"
            )
        return given


def _allocate(fd: int) -> None:
    try:
        os.posix_fallocate(fd, 0, RESERVE_BYTES)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        fsops.write_all(fd, os.urandom(RESERVE_BYTES))
