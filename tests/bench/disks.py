# SPDX-License-Identifier: MIT
"""File systems to measure on: memory, and images over loop devices."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator

from crash import machine

KINDS = ("ext4", "xfs", "btrfs", "tmpfs")
_IMAGE_BYTES = 4 << 30  #: sparse


@contextlib.contextmanager
def made(kind: str) -> Iterator[str]:
    """
    Lend a directory on an empty file system of this kind.

    Raises:
        OSError: it cannot be made here; the text says why.
    """
    with tempfile.TemporaryDirectory(prefix="spool-bench-") as scratch:
        where = os.path.join(scratch, kind)
        os.mkdir(where)
        with _mounted(kind, scratch, where):
            yield where


@contextlib.contextmanager
def _mounted(kind: str, scratch: str, where: str) -> Iterator[None]:
    if kind == "tmpfs":
        if os.geteuid() != 0:
            raise OSError("mounting needs root; use --dir /dev/shm")
        machine.mount("none", where, "tmpfs", "")
        try:
            yield
        finally:
            machine.unmount(where)
        return
    why = machine.why_not(kind)
    if why is not None:
        raise OSError(why)
    image = os.path.join(scratch, "image")
    with open(image, "wb") as file:
        file.truncate(_IMAGE_BYTES)
    subprocess.run([*machine.MKFS[kind], image], check=True,
                   capture_output=True)
    with machine.loop_device(image) as device:
        with machine.mounted(device, where, kind):
            yield
