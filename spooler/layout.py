# SPDX-License-Identifier: MIT
"""Make the directories of a spool, and say how they should be."""

import errno
import grp
import os
import stat

from spooler import config, keys, template
from spooler.errors import EX_CANTCREAT, EX_USAGE, SpoolError
from spooler.spool import DIRECTORIES, PRIVATE, PRIVATE_DIRECTORIES
from spooler.text import inert

#: Where producers write, and submission happens.
OPEN_DIRECTORIES = ("tmp", "incoming", keys.DIRECTORY)

#: Modes of those: nobody but the owner; a group; everybody.  Sticky, so
#: that producers cannot touch each other's files; set-gid, so that files
#: have the spool's group; not readable, so that nobody can list them.
MODE_OWNER = 0o700
MODE_GROUP = 0o3730
MODE_ANYONE = 0o3733
MODE_PRIVATE = 0o700


def create(
    path: str, group: str | None = None, anyone: bool = False
) -> list[str]:
    """
    Make a spool at *path*, or complete one.

    Args:
        group: whose members may submit.
        anyone: whether every user of the machine may submit.

    Returns:
        The names of what was made; empty if all was there.

    Raises:
        SpoolError: *path* holds something else, or cannot be made.
    """
    gid = _gid(group)
    made: list[str] = []
    try:
        _root(path)
        mode = _open_mode(group, anyone)
        if mode == MODE_OWNER:
            mode, gid = _as_there(path)
        for name in DIRECTORIES:
            private = name not in OPEN_DIRECTORIES
            if _directory(path, name, MODE_PRIVATE if private else mode, gid):
                made.append(name)
        for name in PRIVATE_DIRECTORIES:
            _directory(os.path.join(path, PRIVATE), name, MODE_PRIVATE, -1)
        if _config(path):
            made.append(config.CONFIG_NAME)
    except OSError as error:
        where = error.filename or path
        raise SpoolError(
            f"{inert(str(where))}: {error.strerror}", EX_CANTCREAT
        ) from None
    return made


def _gid(group: str | None) -> int:
    if group is None:
        return -1
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise SpoolError(
            f"no group {inert(group)!r}; 'groupadd {inert(group)}' makes it",
            EX_USAGE,
        ) from None


def _open_mode(group: str | None, anyone: bool) -> int:
    if anyone:
        return MODE_ANYONE
    return MODE_OWNER if group is None else MODE_GROUP


def _as_there(path: str) -> tuple[int, int]:
    """Mode and group of an open directory that is there, for the missing."""
    for name in OPEN_DIRECTORIES:
        try:
            status = os.lstat(os.path.join(path, name))
        except FileNotFoundError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode) and mode in (MODE_GROUP, MODE_ANYONE):
            return mode, status.st_gid
    return MODE_OWNER, -1


def _root(path: str) -> None:
    made = not os.path.isdir(path)
    os.makedirs(path, mode=0o755, exist_ok=True)
    if made:
        os.chmod(path, 0o755)  # whatever the umask: producers pass through
    entries = set(os.listdir(path))
    known = {*DIRECTORIES, config.CONFIG_NAME, "handlers.d", "lost+found"}
    foreign = entries - known
    if foreign and not entries >= {"tmp", "incoming"}:
        shown = ", ".join(sorted(map(inert, foreign))[:3])
        raise SpoolError(
            f"{inert(path)}: not empty and not a spool (holds {shown});"
            " choose a new directory",
            EX_CANTCREAT,
        )


def _directory(path: str, name: str, mode: int, gid: int) -> bool:
    full = os.path.join(path, name)
    try:
        os.mkdir(full, 0o700)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(full).st_mode):
            raise NotADirectoryError(
                errno.ENOTDIR, "is not a directory", full
            ) from None
        return False
    if gid != -1 and name in OPEN_DIRECTORIES:
        os.chown(full, -1, gid)
    os.chmod(full, mode)
    return True


def _config(path: str) -> bool:
    full = os.path.join(path, config.CONFIG_NAME)
    try:
        fd = os.open(full, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        stream.write(template.TEMPLATE)
    return True
