# SPDX-License-Identifier: MIT
"""
Who lives: kernel locks in the daemon's private directory, the home of
filelock.

A lock dies with its last holder, whatever killed it: no pids, no ages, no
heartbeats.  Only native locks, and only where no producer can write.
"""

import os
import secrets

from filelock import FileLock, Timeout

from spooler import fsops, names

DAEMON_LOCK = "daemon.lock"
LOCKS = "locks"


def _lock(path: str, kept: list[int]) -> FileLock:
    return FileLock(
        path, timeout=0, mode=0o600, thread_local=False,
        fallback_to_soft=False, preserve_lock_file=True,
        on_acquired=kept.append,
    )


class Lock:
    """
    A held lock.

    Attributes:
        fd: its descriptor; a process that inherits it shares the lock.
    """

    def __init__(self, path: str) -> None:
        """
        Take the lock at *path* or raise BlockingIOError if it is held.

        Raises:
            OSError: the lock file cannot be made.
        """
        kept: list[int] = []
        self._lock = _lock(path, kept)
        try:
            self._lock.acquire()
        except Timeout:
            raise BlockingIOError(f"{path} is held") from None
        self.fd = kept[0]

    def release(self) -> None:
        """Let it go."""
        self._lock.release()


class Instances:
    """
    The locks of daemon instances, live and dead.

    Every run of spoold has an instance name and holds its lock together
    with its workers; claims carry the name.  A claim whose instance's lock
    can be taken belongs to nobody any more.
    """

    def __init__(self, private_path: str, private_fd: int) -> None:
        self._path = os.path.join(private_path, LOCKS)
        self._fd = fsops.open_dir(LOCKS, private_fd)

    def new(self) -> tuple[str, Lock]:
        """Make up an instance name and take its lock."""
        while True:
            name = names.b32(
                secrets.randbits(5 * names.INSTANCE_CHARS),
                names.INSTANCE_CHARS,
            )
            if self._exists(name):
                continue
            try:
                return name, Lock(self._file(name))
            except BlockingIOError:
                continue  # RACE: another daemon drew the same name

    def is_dead(self, name: str) -> bool:
        """Whether no process of that instance lives."""
        if not self._exists(name):
            return True
        try:
            lock = Lock(self._file(name))
        except BlockingIOError:
            return False
        lock.release()
        return True

    def forget(self, name: str) -> None:
        """Remove the lock file of a dead instance."""
        fsops.unlink(self._fd, f"{name}.lock")

    def listed(self) -> list[str]:
        """The names of all instances with a lock file."""
        with os.scandir(self._fd) as entries:
            return [
                entry.name.removesuffix(".lock") for entry in entries
                if entry.name.endswith(".lock")
            ]

    def close(self) -> None:
        """Close the directory."""
        os.close(self._fd)

    def _exists(self, name: str) -> bool:
        try:
            os.stat(f"{name}.lock", dir_fd=self._fd)
        except FileNotFoundError:
            return False
        return True

    def _file(self, name: str) -> str:
        return os.path.join(self._path, f"{name}.lock")
