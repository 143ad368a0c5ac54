# SPDX-License-Identifier: MIT
"""
Mend what ``check`` finds, as far as that can lose nothing.

Never removes a job file, but one of two names of one and the same inode.
What needs a person's judgement is left as it is.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator

from spooler import (
    check, fsops, layout, names, recover, sidecar, tenure,
)
from spooler.config import Config
from spooler.route import Router
from spooler.spool import DIRECTORIES, Spool, mint_twin
from spooler.states import FLOW, State
from spooler.text import inert

#: A file beside no job may be part of a move under way for no longer.
_SETTLED_S = 60.0
_FINAL = (State.DONE, State.FAILED)


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
        yield f"{merged} second name{'s' * (merged > 1)} of jobs removed"
    # Before recovery, which tidies deferred/ without a word.
    yield from sidecars(spool)
    yield from orphans(spool, config, is_dead)
    yield from forms(spool)
    yield from tenure.release(spool)
    yield from stale(spool)


def modes(spool: Spool) -> Iterator[str]:
    """I1: take away what others may do beyond submitting."""
    for name in (".", *DIRECTORIES, *check.deciding(spool)):
        changed = _restrict(spool.root_fd, name)
        if changed:
            yield f"{name}: mode %04o is now %04o" % changed


def _restrict(dir_fd: int, name: str) -> tuple[int, int] | None:
    """Take away rights; returns the mode before and after, if they differ."""
    # What is judged is what is changed, through no link: where others can
    # write, it may be replaced at any time.
    try:
        fd = os.open(name, fsops.NOFOLLOW_READ, dir_fd=dir_fd)
    except OSError as error:
        if fsops.is_temporary(error):
            raise
        return None  # there is none, or it is a person's to mend
    try:
        status = os.fstat(fd)
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
            return None  # has another name, maybe outside of the spool
        mode = right = stat.S_IMODE(status.st_mode)
        if name in DIRECTORIES:
            right &= ~0o044
        if name in layout.OPEN_DIRECTORIES:
            if right & 0o022:
                right |= stat.S_ISVTX
        else:
            right &= ~0o022
        if right == mode:
            return None
        os.fchmod(fd, right)
        return mode, right
    except PermissionError:
        return None  # belongs to somebody else, as check tells
    finally:
        os.close(fd)


def orphans(
    spool: Spool, config: Config, is_dead: check.IsDead
) -> Iterator[str]:
    """I3, I5: jobs in ``active/`` that nobody runs."""
    router = Router(config)
    for active, name in recover.orphans(spool, is_dead):
        if name.runs and router.configured(name) is None:
            # How often it may run is not known here: spoold may be told of
            # another configuration.  It recovers the job when it starts.
            continue
        state, moved = recover.recover(spool, config, active, name)
        if moved is not None:
            yield f"{state.value}/{inert(moved)}: recovered"
    recover.tidy(spool, is_dead)


def forms(spool: Spool) -> Iterator[str]:
    """I3: jobs in a private directory under a name of another state."""
    for state in (State.DEFERRED, State.HELD, State.DONE, State.FAILED):
        for entry in list(spool.scan(state)):
            name = names.parse(entry.name)
            if name is None or check.wrong_form(state, name) is None:
                continue
            if _is_directory(spool, state, entry.name):
                continue
            target, right = _fitting(state, name)
            if target in _FINAL and target is not state:
                if sidecar.has_job(spool, target, name.stem):
                    target, right = State.HELD, name.waiting(name.runs)
                else:
                    _take_along(spool, name.stem, state, target)
            moved = _rename(spool, state, entry.name, target, right)
            if moved is None:
                continue
            yield (
                f"{state.value}/{inert(entry.name)}: is now"
                f" {target.value}/{inert(moved)}"
            ) + ("; mv it to incoming/, or rm it" * (target is State.HELD))


def _fitting(state: State, name: names.Name) -> tuple[State, names.Name]:
    """
    Where a job belongs, and its name there, with all that may stay in it.

    Where neither name nor directory tells what it waits for, a person does:
    then it is hold/.
    """
    right = name.waiting(name.runs)
    ok = name.verdict == "ok"
    if state in _FINAL and name.verdict and name.runs:
        if ok or name.due_ns is None:
            right.verdict, right.micros = name.verdict, name.micros
            return State.DONE if ok else State.FAILED, right
    right.due_ns = name.due_ns
    if right.due_ns is not None and not ok:
        right.verdict = name.verdict  # a retry, as it is put aside
    if state is State.DEFERRED and right.due_ns is not None:
        return state, right
    return State.HELD, right


def _is_directory(spool: Spool, state: State, entry: str) -> bool:
    try:
        mode = fsops.status(spool.fds[state], entry).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(mode)


def _take_along(
    spool: Spool, stem: str, state: State, target: State
) -> None:
    """Move what lies beside a job; before it, so that none is ever alone."""
    for kind in names.SIDECARS:
        sidecar = f"{stem}.{kind}"
        try:
            fsops.rename_noreplace(
                spool.fds[state], sidecar, spool.fds[target], sidecar
            )
        except FileExistsError:
            pass  # of the same job's, written later


def _rename(
    spool: Spool, state: State, entry: str, target: State, name: names.Name
) -> str | None:
    while True:
        try:
            moved = fsops.rename_noreplace(
                spool.fds[state], entry, spool.fds[target], str(name)
            )
            return str(name) if moved else None
        except FileExistsError:
            name.twin = mint_twin()  # another job of that id


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
            if _age_s(spool, state, entry.name) < _SETTLED_S:
                continue
            if fsops.unlink(spool.fds[state], entry.name):
                yield f"{state.value}/{inert(entry.name)}: removed"


def stale(spool: Spool) -> Iterator[str]:
    """I9: files in tmp/ that nobody finished."""
    for entry in list(spool.scan(State.TMP)):
        if _age_s(spool, State.TMP, entry.name) > check.STALE_S:
            # The clock may be wrong, and here is no time to watch the file.
            if _is_being_written(spool.fds[State.TMP], entry.name):
                continue
            if fsops.unlink(spool.fds[State.TMP], entry.name):
                yield (
                    f"tmp/{inert(entry.name)}: removed, it was never"
                    " submitted"
                )


def _age_s(spool: Spool, state: State, entry: str) -> float:
    """
    For how long a file has not changed.

    0 for what is not to be touched: one that is gone or from the future,
    and a directory.
    """
    # Not entry.stat(): the scan it came from has closed its directory.
    try:
        status = fsops.status(spool.fds[state], entry)
    except FileNotFoundError:
        return 0.0
    if stat.S_ISDIR(status.st_mode):
        return 0.0
    return max(0.0, time.time() - status.st_ctime)


def _is_being_written(dir_fd: int, name: str) -> bool:
    """Whether anybody has a file open for writing; True if not to tell."""
    try:
        if not stat.S_ISREG(fsops.status(dir_fd, name).st_mode):
            return False
        fd = os.open(name, fsops.NOFOLLOW_READ, dir_fd=dir_fd)
    except OSError:
        return True
    try:
        # A read lease is granted on what nobody has open for writing.
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
