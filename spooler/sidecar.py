# SPDX-License-Identifier: MIT
"""
What lies beside a job: the record of its runs and what they wrote.

Prepared before the verdict, in the directory that the job will move to;
without its job there it counts for nothing.
"""

import dataclasses
import os

from spooler import fsops, names, record
from spooler.record import Record
from spooler.spool import Spool
from spooler.states import State


def is_beside(spool: Spool, state: State, stem: str) -> bool:
    """Whether anything lies beside a job of that stem in *state*."""
    return any(
        fsops.exists(spool.fds[state], f"{stem}.{kind}")
        for kind in names.SIDECARS
    )


def has_job(spool: Spool, state: State, stem: str) -> bool:
    """Whether a job of that stem lies in *state*; reads the directory."""
    for entry in spool.scan(state):
        if entry.name.startswith(stem):
            name = names.parse(entry.name)
            if name is not None and name.stem == stem:
                return True
    return False


def rename_output(spool: Spool, stem: str, active: str) -> None:
    """Let what a run wrote follow its job to the new name *active*."""
    twin = names.parse(active)
    assert twin is not None
    fd = spool.fds[State.ACTIVE]
    for kind in ("out", "err"):
        fsops.rename(fd, f"{stem}.{kind}", fd, f"{twin.stem}.{kind}")


def put(
    spool: Spool, stem: str, state: State, full: Record, durable: bool,
    beside: bool = True,
) -> None:
    """
    Put beside where the job will lie what is to be told of it.

    Args:
        beside: whether something may lie there already.
    """
    active_fd, fd = spool.fds[State.ACTIVE], spool.fds[state]
    for kind, size in (("out", full.out_bytes), ("err", full.err_bytes)):
        sidecar = f"{stem}.{kind}"
        if not size:
            if beside:  # of an earlier verdict of the job, sent back since
                fsops.unlink(fd, sidecar)
            continue
        fsops.rename(active_fd, sidecar, fd, sidecar)
        if durable:
            # Under its final name: btrfs may else keep the record and forget
            # the rename of what it tells of.
            _sync_output(fd, sidecar)
    try:
        data = record.encode(full)
    except (ValueError, TypeError):
        # The worker checks values; a record without one beats none at all.
        data = record.encode(dataclasses.replace(full, value=None))
    # Under its own name at once if that is free: without its job it counts
    # for nothing, and if we are killed the next verdict replaces it.  What
    # is told of a retry is read before that, so it must be whole.
    result = f"{stem}.result"
    if state is State.DEFERRED or beside or (
        not fsops.write_new(fd, result, data, durable)
    ):
        fsops.replace_file(fd, result, data, durable)


def _sync_output(dir_fd: int, sidecar: str) -> None:
    try:
        fd = os.open(sidecar, fsops.NOFOLLOW_READ, dir_fd=dir_fd)
    except OSError as error:
        if fsops.is_temporary(error):
            raise
        return  # the job itself removed its output, or put a link there
    try:
        fsops.sync(fd)
    finally:
        os.close(fd)


def read_record(spool: Spool, state: State, stem: str) -> Record | None:
    """The whole record beside a job in *state*; None if absent or torn."""
    data = fsops.read_file(
        spool.fds[state], f"{stem}.result", record.RECORD_MAX_BYTES
    )
    return None if data is None else record.decode(data)


def drop(spool: Spool, state: State, stem: str) -> None:
    """Delete what lies beside a job of *stem* in *state*."""
    for kind in (*names.SIDECARS, "result.new"):
        fsops.unlink(spool.fds[state], f"{stem}.{kind}")
