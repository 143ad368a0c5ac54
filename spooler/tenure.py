# SPDX-License-Identifier: MIT
"""
Which jobs still hold their keys.

A job leaves its key before it begins, or ends; what is left behind is of a
job that a person removed, that a power cut took, or whose producer died
before it was in ``incoming/``.
"""

import os
from collections.abc import Iterator

from spooler import fsops, names
from spooler.finding import Finding
from spooler.keys import DIRECTORY, UNTIL, Holder
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert

#: In flow order, or a job that moves on is missed; and twice, or one that is
#: put off, put aside or tried again meanwhile is.
_PLACES = 2 * (State.HELD, State.INCOMING, State.DEFERRED, State.ACTIVE)


def complete(spool: Spool, entry: str) -> bool:
    """
    Move a job that holds its key into ``incoming/``: its producer may have
    died before it did.

    Returns:
        Whether it was there to be moved.
    """
    try:
        return fsops.rename(
            spool.fds[State.TMP], entry, spool.fds[State.INCOMING], entry
        )
    except OSError as error:
        if fsops.is_temporary(error) or fsops.is_misplaced(error):
            raise
        return False  # this one cannot be moved; check names it


def is_submitted(spool: Spool, entry: str) -> bool:
    """Whether a file in ``tmp/`` is a job already: it holds its key."""
    name = names.parse(entry)
    if name is None or not name.key:
        return False
    holder = spool.keys.holder(name.key)
    return holder is not None and str(holder.name) == entry


def is_at_hand(spool: Spool, holder: Holder) -> bool:
    """Whether the job lies where most do, by names that are known."""
    entry = str(holder.name)
    return any(
        fsops.exists(spool.fds[state], entry)
        for state in (State.TMP, State.INCOMING, State.DEFERRED)
    )


def without_job(spool: Spool, holders: list[Holder]) -> list[Holder]:
    """Those whose jobs are nowhere, or hold their key no more."""
    wanted = {
        holder.name.id: holder for holder in holders if holder.kind != UNTIL
    }
    for state in _PLACES:
        if not wanted:
            break
        for entry in spool.scan(state):
            job_id = entry.name[2:names.STEM_CHARS]
            if job_id in wanted and "," in entry.name:
                name = names.parse(entry.name)
                if name is not None and name.key == wanted[job_id].name.key:
                    del wanted[job_id]
    return list(wanted.values())


def listed(spool: Spool) -> Iterator[tuple[str, Holder | None]]:
    """Every entry of ``keys/``; None for what is no key of ours."""
    fd = fsops.open_dir(".", spool.keys.fd)
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                holder = spool.keys.holder(entry.name)
                # RACE: if it is there no more, its job has left it.
                if holder is not None or fsops.exists(fd, entry.name):
                    yield entry.name, holder
    finally:
        os.close(fd)


def held(spool: Spool) -> Iterator[Finding]:
    """I10: every key is held by a job that may hold it."""
    suspects = []
    for entry, holder in listed(spool):
        if holder is None:
            yield Finding(
                10, f"{DIRECTORY}/{inert(entry)}", "is no key",
                "move it out of the spool",
            )
        elif holder.kind != UNTIL and not is_at_hand(spool, holder):
            suspects.append(holder)
    for holder in without_job(spool, suspects):
        now = spool.keys.holder(holder.name.key)
        if now is not None and now.name.id == holder.name.id:
            yield Finding(
                10, f"{DIRECTORY}/{holder.name.key}",
                f"is held by {holder.name.id}, which holds it no more",
                "start spoold, which removes it",
            )


def release(spool: Spool) -> Iterator[str]:
    """Take keys from jobs that are gone; yields what was done."""
    suspects = []
    for _, holder in listed(spool):
        if holder is None:
            continue
        if complete(spool, str(holder.name)):
            yield f"incoming/{holder.name}: its producer did not finish"
        elif not is_at_hand(spool, holder):
            suspects.append(holder)
    for holder in without_job(spool, suspects):
        if spool.keys.release(holder.name.key, holder.name.id):
            yield (
                f"{DIRECTORY}/{holder.name.key}: removed,"
                f" {holder.name.id} holds it no more"
            )
