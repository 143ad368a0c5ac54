# SPDX-License-Identifier: MIT
"""Files that are not the spool's: they tell whether anybody touched them."""

import os
import pathlib
import secrets

from hostile.kinds import note, write


class Sentinel:
    """
    A directory of spoold's user, which nobody has any business in.

    Attributes:
        secret: bytes that must never be seen anywhere else.
    """

    def __init__(self, directory: pathlib.Path, uid: int) -> None:
        """Fill *directory* with what invites to be read, run or removed."""
        self._directory = directory
        self.secret = f"secret-{secrets.token_hex(16)}".encode()
        mark = self.secret.decode()
        inside = directory / "inside"
        inside.mkdir()
        (directory / "empty").mkdir()
        for path, data, mode in (
            (directory / "secret", self.secret, 0o600),
            (directory / "secret.job", note(mark), 0o640),
            (directory / "world.job", note(mark), 0o644),
            (directory / "program", b"#!/bin/sh\ntouch RAN\n", 0o755),
            (inside / "secret.job", note(mark), 0o640),
        ):
            write(str(path), data, mode)
        for path in directory.rglob("*"):
            os.chown(path, uid, uid)
            # A read would move the time of access behind this.
            os.utime(path, (10 ** 9, 10 ** 9 + 1))
        self._before = self._look()

    def _look(self) -> dict[str, tuple[int, ...]]:
        found = {}
        for path in (self._directory, *self._directory.rglob("*")):
            status = os.lstat(path)
            times = (
                (status.st_atime_ns,) if not path.is_dir() else ()
            )
            found[str(path)] = (
                status.st_mode, status.st_uid, status.st_gid, status.st_size,
                status.st_ino, status.st_nlink, status.st_mtime_ns,
                status.st_ctime_ns, *times,
            )
        return found

    def assert_untouched(self) -> None:
        """Nothing was read, written, made, removed or given away."""
        assert self._look() == self._before

    def assert_unseen(self, *texts: bytes) -> None:
        """The secret got into none of *texts*."""
        for text in texts:
            assert self.secret not in text
