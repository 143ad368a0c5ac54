# SPDX-License-Identifier: MIT
"""
File systems to measure on: memory, and images over loop devices.

And how fast one is at the moment, without which no figure of a disk can be
read.  An ext4 without a journal looks at every inode that was freed in the
last five minutes before it makes a file: after a run that left 10,000 files
behind, each new one takes half a millisecond, in C as well.
"""

import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator

from bench.figures import Report
from crash import machine

KINDS = ("ext4", "xfs", "btrfs", "tmpfs")
_IMAGE_BYTES = 4 << 30  #: sparse
_FILES = 32


def pulse(report: Report, where: str | None) -> None:
    """Add how long a file takes in the directory *where*, and a flush."""
    made, flushed = [], []
    with tempfile.TemporaryDirectory(dir=where) as path:
        for number in range(_FILES):
            start = time.perf_counter()
            fd = os.open(f"{path}/{number}", os.O_CREAT | os.O_WRONLY)
            os.write(fd, b"x" * 200)
            written = time.perf_counter()
            os.fsync(fd)
            flushed.append(time.perf_counter() - written)
            made.append(written - start)
            os.close(fd)
    report.tell(f"the disk, median of {_FILES}", {
        "a new file": (statistics.median(made) * 1000, "ms"),
        "its flush": (statistics.median(flushed) * 1000, "ms"),
    })


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
