# SPDX-License-Identifier: MIT
"""The work directories of commands: fresh for each run, used again."""

import os
import time
from typing import Any

from spooler import command, fsops


class WorkDirs:
    """Those of one command runner, below ``run/work/``."""

    def __init__(self, private_fd: int, owner: str) -> None:
        self._fd = fsops.open_dir("work", private_fd)
        self._owner = owner
        self._free: list[str] = []
        self._made = 0
        #: A time that no other directory has: every entry that is made or
        #: removed changes it, however little later.
        self._epoch_ns = time.time_ns() // 3
        self._new: dict[str, os.stat_result] = {}  #: as we made them
        self._touched: set[str] = set()

    def take(self) -> str:
        """The name of an empty directory; OSError if none can be made."""
        if self._free:
            return self._free.pop()
        self._made += 1
        name = f"{self._owner}-{self._made}"
        self._make(name)
        return name

    def _make(self, name: str) -> None:
        os.mkdir(name, 0o700, dir_fd=self._fd)
        times = self._epoch_ns, self._epoch_ns
        os.utime(name, ns=times, dir_fd=self._fd, follow_symlinks=False)
        self._new[name] = fsops.status(self._fd, name)

    def put_back(self, name: str) -> None:
        """It was not used."""
        self._free.append(name)

    def enter(self, name: str) -> None:
        """
        Make it the directory of this process.

        posix_spawn cannot set one for the command; we are single threaded,
        so our own serves.
        """
        fd = fsops.open_dir(name, self._fd)
        try:
            os.fchdir(fd)
        finally:
            os.close(fd)

    def result(self, name: str) -> Any:
        """What the command left; OSError if that cannot be told now."""
        if self._is_as_new(name):
            return None
        self._touched.add(name)
        try:
            fd = fsops.open_dir(name, self._fd)
        except OSError as error:
            if fsops.is_temporary(error) or command.is_readable(
                self._fd, name
            ):
                raise
            return None  # the command removed it, or our rights to it
        try:
            return command.result(fd)
        finally:
            os.close(fd)

    def _is_as_new(self, name: str) -> bool:
        """Whether nothing was done to it or in it."""
        new = self._new.get(name)
        if new is None:
            return False
        try:
            now = fsops.status(self._fd, name)
        except OSError:
            return False
        return (
            now.st_mtime_ns == self._epoch_ns
            and now.st_ctime_ns == new.st_ctime_ns
            and now.st_mode == new.st_mode
            and now.st_nlink == new.st_nlink
            and os.path.samestat(now, new)
        )

    def clean(self, name: str, alone: bool) -> None:
        """
        Make it empty again for the next run, once result was asked.

        Args:
            alone: nobody is left that could be in it.
        """
        touched = name in self._touched
        self._touched.discard(name)
        if alone and not touched and name in self._new:
            self._free.append(name)
            return
        self._new.pop(name, None)
        try:
            fsops.remove_dir(self._fd, name)
            if not name.startswith(self._owner):
                return  # a dead runner made it
            self._make(name)
        except OSError:
            try:
                fsops.remove_tree(self._fd, name)
            except OSError:
                pass  # not ours to remove; a later start tries again
            return  # the next run makes one anew
        self._free.append(name)

    def close(self) -> None:
        """Remove those that nobody uses."""
        for name in self._free:
            try:
                fsops.remove_dir(self._fd, name)
            except OSError:
                pass  # recovery tidies
