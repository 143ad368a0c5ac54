# SPDX-License-Identifier: MIT
"""A spool that one user serves and another fills."""

import contextlib
import fcntl
import grp
import json
import os
import pathlib
import shutil
import stat
import struct
import subprocess

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from hostile import users
from hostile.handlers import LOG
from hostile.users import Child
from support import Spoold, SpoolDir

from spooler import layout

IMMUTABLE, APPEND_ONLY = 0x10, 0x20  #: of set_attribute
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
SHM = "/dev/shm"


class Stage(SpoolDir):
    """
    A spool of one user that others may write to.

    Attributes:
        directory: holds the spool and what is not the spool's.
        outside: a directory of spoold's user, beside the spool.
        runs: where the handlers log what they ran.
        is_for_group: whether only a group may submit.
    """

    def __init__(
        self, directory: pathlib.Path, config: str, group: str | None = None
    ) -> None:
        """Make it in *directory*; *group* instead of anyone may submit."""
        self.directory = directory
        self.users = users.pick()
        self.is_for_group = group is not None
        self._groups = (self.users.hostile,) if group else ()
        os.chmod(directory, 0o755)
        os.chown(directory, self.users.server, self.users.server)
        path = directory / "spool"
        Child(self.users.server, lambda: layout.create(
            str(path), group=group, anyone=group is None
        ), self._groups).result()
        super().__init__(path)
        self.configure(config)
        self.outside = directory / "outside"
        self.outside.mkdir()
        self.runs = directory / "runs"
        self.runs.touch()
        for found in (self.outside, self.runs):
            os.chown(found, self.users.server, self.users.server)

    def hostile(self, work: Callable[[], Any], stay: bool = False) -> Child:
        """Begin *work* as the hostile user."""
        return Child(self.users.hostile, work, stay=stay)

    def put(self, name: str | bytes, data: bytes = b"") -> None:
        """Drop a file, as whoever calls."""
        new = self.path / "tmp" / f"put-{os.getpid()}"
        fd = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        os.write(fd, data)
        os.close(fd)
        os.rename(new, self.path / "incoming" / os.fsdecode(name))

    def _command(self, program: str) -> tuple[str, ...]:
        kit = self.users.path.split(os.pathsep)[0]
        return (
            *users.as_user(self.users.server, self._groups),
            self.users.python, os.path.join(kit, "bin", program),
        )

    def serve(self, *options: str) -> Spoold:
        """Start spoold as its user."""
        number = len(list(self.directory.glob("log.*")))
        return Spoold(
            self, self.directory / f"log.{number}", *options,
            command=self._command("spoold"),
            env={"PYTHONPATH": self.users.path, LOG: str(self.runs)},
        )

    def ctl(self, *args: str | bytes) -> "subprocess.CompletedProcess[bytes]":
        """Run spoolctl as spoold's user."""
        return subprocess.run(
            [*self._command("spoolctl"), "-C", str(self.path), *args],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
            env=self.users.environment(),
        )

    def ran(self) -> list[dict[str, Any]]:
        """What the handlers logged, in order."""
        return list(map(json.loads, self.runs.read_bytes().splitlines()))


def set_attribute(path: str | pathlib.Path, flag: int, on: bool) -> None:
    """Do what chattr(1) does."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        answer = fcntl.ioctl(fd, _GET_FLAGS, struct.pack("l", 0))
        (flags,) = struct.unpack("l", answer)
        flags = flags | flag if on else flags & ~flag
        fcntl.ioctl(fd, _SET_FLAGS, struct.pack("l", flags))
    finally:
        os.close(fd)


def _insist(remove: Callable[[str], None], path: str, _: object) -> None:
    """Remove what resists."""
    os.chmod(os.path.dirname(path), 0o700)
    if stat.S_ISREG(os.lstat(path).st_mode):
        set_attribute(path, IMMUTABLE | APPEND_ONLY, False)
        os.unlink(path)
    else:
        os.rmdir(path)


def _group() -> str | None:
    """The name of a group that the hostile user is in."""
    gid = users.pick().hostile if users.pick().apart else os.getegid()
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        print(f"hostile: anyone may submit, for gid {gid} has no name")
        return None


@contextlib.contextmanager
def stage(
    config: str, group: bool = False, memory: bool = False
) -> Iterator[Stage]:
    """
    Make a stage; remove it at the end.

    Args:
        group: whether a group may submit, instead of anyone.
        memory: where there is a choice, on a file system in memory.
    """
    where = SHM if memory and os.access(SHM, os.W_OK) else None
    made = tempfile.mkdtemp(prefix="spool-hostile-", dir=where)
    directory = pathlib.Path(made)
    try:
        yield Stage(directory, config, _group() if group else None)
    finally:
        shutil.rmtree(directory, onerror=_insist)


@contextlib.contextmanager
def serving(on: Stage, *options: str) -> Iterator[Spoold]:
    """Run spoold on *on*; it must end and leave nothing."""
    daemon = on.serve(*options)
    try:
        daemon.wait_ready()
        yield daemon
    finally:
        daemon.close()
