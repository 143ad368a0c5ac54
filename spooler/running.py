# SPDX-License-Identifier: MIT
"""What runs now, as the daemon knows it."""

import os
import stat
import time
from collections.abc import Iterator
from typing import Any

from spooler import fsops, progress
from spooler.foster import Child, Foster
from spooler.labels import id_of
from spooler.pool import Pool

_WORK = "work"


def count(pool: Pool, foster: Foster) -> int:
    """How many jobs run."""
    number = len(foster.children)
    for worker in pool.workers.values():
        if worker.kind == "python":
            number += worker.board.read() is not None
        number += len(worker.started)
    return number


def listed(
    pool: Pool, foster: Foster, private_fd: int
) -> list[dict[str, Any]]:
    """Id, process, handler, start and progress of every running job."""
    out = []
    for worker in pool.workers.values():
        doing = worker.board.read() if worker.kind == "python" else None
        if doing is not None:
            out.append(_fields(
                doing[0], worker.outstanding.get(doing[0]),
                worker.process.pid, doing[1], worker.board.told(),
            ))
    for child in _children(pool, foster):
        out.append(_fields(
            child.hint, child.handler, child.pid, child.clock_ns,
            told_in(private_fd, child.work),
        ))
    return out


def _children(pool: Pool, foster: Foster) -> Iterator[Child]:
    for worker in pool.workers.values():
        yield from worker.started.values()
    yield from foster.children


def _fields(
    hint: str, handler: str | None, pid: int, clock_ns: int, told: bytes
) -> dict[str, Any]:
    age_ns = time.monotonic_ns() - clock_ns
    return {
        "id": id_of(hint), "pid": pid, "handler": handler,
        "started_ns": time.time_ns() - age_ns,
        "progress": progress.read(told),
    }


def told_in(private_fd: int, work: str) -> bytes:
    """The end of what a command wrote about how far it is."""
    fd = -1
    try:
        # The command may have put anything there, links and fifos too.
        work_fd = fsops.open_dir(_WORK, private_fd)
        try:
            dir_fd = fsops.open_dir(work, work_fd)
        finally:
            os.close(work_fd)
        try:
            fd = os.open(progress.FILE, fsops.NOFOLLOW_READ, dir_fd=dir_fd)
        finally:
            os.close(dir_fd)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return b""
        start = max(0, status.st_size - progress.LINE_MAX_BYTES)
        return os.pread(fd, progress.LINE_MAX_BYTES, start)
    except OSError:
        return b""
    finally:
        if fd >= 0:
            os.close(fd)
