# SPDX-License-Identifier: MIT
"""
What producers are told of the room that is left: the file ``gate``.

spoold writes it, anybody may read it, and submit obeys it.  Lines of a word
and a value; words that are not known are passed over.  Imports little,
because every submit reads it.
"""

from __future__ import annotations

import os

from spooler import fsops

GATE = "gate"
_GATE_MAX_BYTES = 4096
_NUMBERS = ("min_free", "min_free_inodes", "max_pending")


class Gate:
    """
    Attributes:
        closed: why nothing may be submitted now; "" if it may.
        min_free: bytes of disk to leave free.
        min_free_inodes: inodes to leave free.
        max_pending: jobs that may wait, for who can count them; 0: any.
        instance: of the spoold that wrote it.
    """

    def __init__(self) -> None:
        self.closed = ""
        self.min_free = 0
        self.min_free_inodes = 0
        self.max_pending = 0
        self.instance = ""

    def encode(self) -> bytes:
        """The file's text."""
        lines = [f"{word} {getattr(self, word)}" for word in _NUMBERS]
        lines.append(f"instance {self.instance}")
        if self.closed:
            lines.append(f"closed {self.closed}")
        return ("\n".join(lines) + "\n").encode("utf-8", "replace")

    def shut_by(self, free: os.statvfs_result) -> str:
        """Why the disk has no room for a job; "" if it has."""
        left = free.f_bavail * free.f_frsize
        if left < self.min_free:
            return (
                f"{left} bytes are free on its disk, min_free is"
                f" {self.min_free}"
            )
        # Some file systems make inodes as they are needed, and count none.
        if free.f_files and free.f_favail < self.min_free_inodes:
            return (
                f"{free.f_favail} inodes are free on its disk,"
                f" min_free_inodes is {self.min_free_inodes}"
            )
        return ""


def decode(data: bytes) -> Gate:
    """Read the file's text; a value that is none is passed over."""
    gate = Gate()
    for line in data.decode("utf-8", "replace").splitlines():
        word, _, value = line.partition(" ")
        if word in _NUMBERS and value.isascii() and value.isdigit():
            setattr(gate, word, int(value))
        elif word in ("closed", "instance"):
            setattr(gate, word, value)
    return gate


def read(dir_fd: int) -> Gate | None:
    """The gate of the spool at *dir_fd*; None: it has none."""
    data = fsops.read_file(dir_fd, GATE, _GATE_MAX_BYTES)
    return None if data is None else decode(data)


def write(dir_fd: int, gate: Gate) -> None:
    """Publish *gate*; OSError if the spool's directory cannot be written."""
    fsops.replace_file(dir_fd, GATE, gate.encode(), False, 0o644)


def shut_by_count(dir_fd: int, told: Gate) -> str:
    """
    Why too many jobs wait; "" if they do not.

    A spoold that lives has counted them.  With none, who may list the spool
    counts; others go by what the last one told.
    """
    if not told.max_pending or _is_served(dir_fd, told.instance):
        return told.closed
    try:
        incoming_fd = fsops.open_dir("incoming", dir_fd)
    except PermissionError:
        return told.closed
    try:
        count = 0
        with os.scandir(incoming_fd) as entries:
            for _ in entries:
                count += 1
                if count >= told.max_pending:
                    return (
                        f"{count} jobs wait, max_pending is"
                        f" {told.max_pending}; and spoold is not running"
                    )
    finally:
        os.close(incoming_fd)
    return ""


def _is_served(dir_fd: int, instance: str) -> bool:
    """Whether the spoold that wrote the gate lives, or that is not ours."""
    import fcntl  # what most submissions are spared

    try:
        fd = os.open(
            f"run/locks/{instance}.lock", fsops.NOFOLLOW_READ, dir_fd=dir_fd
        )
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
