# SPDX-License-Identifier: MIT
"""
Mend what ``check`` finds, as far as that can lose nothing.

Never removes a job file, but one of two names of one and the same inode.
What needs a person's judgement is left as it is.
"""

import os
import stat
import time
from collections.abc import Iterator

from spooler import check, fsops, layout, names, recover
from spooler.config import Config
from spooler.spool import DIRECTORIES, Spool
from spooler.states import FLOW, State
from spooler.text import inert

#: A file beside no job may be part of a move under way for no longer.
_SETTLED_S = 60.0


def repair(
    spool: Spool, config: Config, is_dead: check.IsDead
) -> Iterator[str]:
    """
    Mend the spool while no spoold runs; the caller holds its lock.

    Yields:
        What was done, a line each, after it was done.

    Raises:
        OSError: something cannot be mended: not permitted, or trouble.
    """
    yield from modes(spool)
    merged = recover.merge(spool)
    if merged:
        yield f"{merged} second names of jobs removed"
    for state, moved in recover.recover_all(spool, config, is_dead):
        yield f"{state.value}/{inert(moved)}: recovered"
    yield from forms(spool)
    yield from sidecars(spool)
    yield from stale(spool)


def modes(spool: Spool) -> Iterator[str]:
    """I1: take away what others may do beyond submitting."""
    for name in (".", *DIRECTORIES):
        status = fsops.status(spool.root_fd, name)
        mode = right = stat.S_IMODE(status.st_mode)
        if name in layout.OPEN_DIRECTORIES:
            right &= ~0o044
            if right & 0o022:
                right |= stat.S_ISVTX
        else:
            right &= ~0o022
        if right != mode:
            _chmod(spool.root_fd, name, right)
            yield f"{name}: mode {mode:04o} is now {right:04o}"
    for name in check.DECIDING:
        try:
            status = fsops.status(spool.root_fd, name)
        except FileNotFoundError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o022 and not stat.S_ISLNK(status.st_mode):
            _chmod(spool.root_fd, name, mode & ~0o022)
            yield f"{name}: mode {mode:04o} is now {mode & ~0o022:04o}"


def _chmod(dir_fd: int, name: str, mode: int) -> None:
    # By descriptor: never through a link put there meanwhile.
    fd = os.open(name, fsops.NOFOLLOW_READ, dir_fd=dir_fd)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def forms(spool: Spool) -> Iterator[str]:
    """I3: jobs in a private directory under a name of another state."""
    for state in (State.DEFERRED, State.HELD, State.DONE, State.FAILED):
        for entry in list(spool.scan(state)):
            name = names.parse(entry.name)
            if name is None or check.wrong_form(state, name) is None:
                continue
            # Somebody moved it there; a job that waits for a person's word
            # is in hold/, and nothing of it is lost.
            target = str(name.waiting(name.runs))
            if fsops.rename_noreplace(
                spool.fds[state], entry.name, spool.fds[State.HELD], target
            ):
                yield (
                    f"{state.value}/{inert(entry.name)}: put into hold/;"
                    " release or rm it"
                )


def sidecars(spool: Spool) -> Iterator[str]:
    """I2, I6: records and output, whole or in part, that no job owns."""
    owned = {
        name.stem for state in FLOW for entry in spool.scan(state)
        if (name := names.parse(entry.name)) is not None
    }
    for state in (State.DEFERRED, State.HELD, State.DONE, State.FAILED):
        for entry in list(spool.scan(state)):
            part = entry.name.removesuffix(".new")
            split = names.stem_of(part)
            if split is None or (split[0] in owned and part == entry.name):
                continue
            status = entry.stat(follow_symlinks=False)
            if not 0 <= time.time() - status.st_ctime < _SETTLED_S:
                if fsops.unlink(spool.fds[state], entry.name):
                    yield f"{state.value}/{inert(entry.name)}: removed"


def stale(spool: Spool) -> Iterator[str]:
    """I9: files in tmp/ that nobody finished."""
    for entry in list(spool.scan(State.TMP)):
        if entry.is_dir(follow_symlinks=False):
            continue
        try:
            age_s = time.time() - entry.stat(follow_symlinks=False).st_ctime
        except FileNotFoundError:
            continue
        if age_s > check.STALE_S and fsops.unlink(
            spool.fds[State.TMP], entry.name
        ):
            yield f"tmp/{inert(entry.name)}: removed, it was never submitted"
