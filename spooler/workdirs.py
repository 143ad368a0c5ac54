# SPDX-License-Identifier: MIT
"""The work directories of commands: fresh for each run, used again."""

import os
from typing import Any

from spooler import command, fsops


class WorkDirs:
    """Those of one command runner, below ``run/work/``."""

    def __init__(self, private_fd: int, owner: str) -> None:
        self._fd = fsops.open_dir("work", private_fd)
        self._owner = owner
        self._free: list[str] = []
        self._made = 0

    def take(self) -> str:
        """The name of an empty directory; OSError if none can be made."""
        if self._free:
            return self._free.pop()
        self._made += 1
        name = f"{self._owner}-{self._made}"
        os.mkdir(name, 0o700, dir_fd=self._fd)
        return name

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
        try:
            fd = fsops.open_dir(name, self._fd)
        except OSError as error:
            if fsops.is_temporary(error):
                raise
            return None  # the command removed it
        try:
            return command.result(fd)
        finally:
            os.close(fd)

    def clean(self, name: str) -> None:
        """Make it empty again for the next run."""
        try:
            fsops.remove_dir(self._fd, name)
            if not name.startswith(self._owner):
                return  # a dead runner made it
            os.mkdir(name, 0o700, dir_fd=self._fd)
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
