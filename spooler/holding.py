# SPDX-License-Identifier: MIT
"""
Submit a job unless one of its key is there: what a producer does.

Whole in ``tmp/`` and flushed; then it holds the key, which submits it; then
it moves into ``incoming/``.  A producer that dies before the last step has
submitted: spoold, or the next producer of that key, makes the move.
"""

from __future__ import annotations

import os
import time

from spooler import fsops, names
from spooler.errors import (
    EX_CANTCREAT,
    EX_NOPERM,
    SpoolClosed,
    SpoolError,
)
from spooler.keys import DONE, UNTIL, WAITING, Holder, Keys
from spooler.names import Name
from spooler.publish import Publisher, refused

#: How long a job stands for those of its key: until its first run begins;
#: until it is done or failed; until its first run begins or a later one
#: replaces it.  Or a number: so many seconds from its submission.
LATEST = "latest"
WORDS = (WAITING, DONE, LATEST)
Unique = float | str

#: The clock that says whether the time of a key is over.
now_ns = time.time_ns

_TRIES = 1000


def why_not(unique: Unique) -> str | None:
    """Say why *unique* is no such time; None if it is."""
    if isinstance(unique, str):
        if unique not in WORDS:
            return f"unique is {', '.join(WORDS)} or a time, not {unique!r}"
    elif not 0 < unique < 100 * 365 * 86400:
        return f"{unique:g} seconds are no time to be unique in"
    return None


def submit(
    publisher: Publisher, name: Name, data: bytes, unique: Unique
) -> tuple[str, bool]:
    """
    Submit the document *data* as *name*, unless its key is held.

    Args:
        name: with its key; its id is fresh, or of an unconfirmed try.

    Returns:
        The id of the job that stands for it, and whether that is another.

    Raises:
        SpoolError: nothing was submitted.
        SubmitUnknown: it was, and is not confirmed to be on disk.
    """
    keys = publisher.open_keys()
    mine = _holder(name, unique)
    if unique == LATEST:
        _insist_on_owner(keys)
    old = _standing(publisher, keys, name.key)
    if old is not None and not _gives_way(old, unique):
        return old.name.id, old.name.id != name.id
    fd = publisher.create(name)
    try:
        publisher.write(fd, name, data)
        try:
            publisher.flush(fd)
            held, other = _hold(publisher, keys, mine, old, unique)
        except OSError as error:
            publisher.discard(name)
            raise refused(error) from None
        except BaseException:
            publisher.discard(name)
            raise
        if not held:
            assert other is not None
            publisher.discard(name)
            return other.name.id, other.name.id != name.id
        publisher.publish_held(fd, name)
    finally:
        os.close(fd)
    if other is not None:
        # Last of all: killed before, both run.
        _withdraw(publisher.path, other.name)
    return name.id, False


def _holder(name: Name, unique: Unique) -> Holder:
    if isinstance(unique, str):
        return Holder(name, DONE if unique == DONE else WAITING)
    since_ns = names.submitted_ns(name.id)
    return Holder(name, UNTIL, since_ns + round(unique * 1e9))


def _gives_way(old: Holder, unique: Unique) -> bool:
    return unique == LATEST and old.kind == WAITING


def _hold(
    publisher: Publisher, keys: Keys, mine: Holder, old: Holder | None,
    unique: Unique,
) -> tuple[bool, Holder | None]:
    """
    Let the written file hold its key, in place of *old* if that is given.

    Returns:
        Whether it does; and whom it replaced, or who holds it instead.
    """
    for _ in range(_TRIES):
        if old is None:
            held = keys.hold(mine)
        else:
            held = keys.replace(old, mine)
        if held:
            return True, old
        # RACE: another producer was first, or a job has left the key.
        old = _standing(publisher, keys, mine.name.key)
        if old is not None and not _gives_way(old, unique):
            return False, old
    raise SpoolError(
        f"keys/{mine.name.key}: is in the way, and is no key; 'spoolctl"
        " check' tells more; nothing was submitted", EX_CANTCREAT,
    )


def _standing(
    publisher: Publisher, keys: Keys, key: str
) -> Holder | None:
    """Who holds *key*; if that is over, or there is no such job, nobody."""
    holder = keys.holder(key)
    if holder is None:
        return None
    if not holder.is_over(now_ns()):
        if publisher.is_at_hand(str(holder.name)) or not _is_gone(
            publisher.path, holder
        ):
            return holder
    try:
        keys.release(key, holder.name.id)
    except PermissionError:
        raise SpoolClosed(
            f"{publisher.path}: the key is held by {holder.name.id}, whose"
            " time is over; spoold removes it, if it runs; nothing was"
            " submitted, try again later"
        ) from None
    return None


def _is_gone(path: str, holder: Holder) -> bool:
    """Whether its job is nowhere, as far as this user may look."""
    # Few producers come here, and it takes all of the spool along.
    from spooler import tenure
    from spooler.spool import Spool

    try:
        with Spool(path) as spool:
            return bool(tenure.without_job(spool, [holder]))
    except PermissionError:
        return False  # spoold sees to it


def _insist_on_owner(keys: Keys) -> None:
    try:
        os.close(fsops.open_dir(".", keys.fd))
    except PermissionError:
        raise SpoolError(
            "only the spool's owner may replace a waiting job; nothing was"
            f" submitted; another may let it be unique while {WAITING}",
            EX_NOPERM,
        ) from None


def _withdraw(path: str, name: Name) -> None:
    """Remove a waiting job, wherever it waits."""
    from spooler.spool import Spool
    from spooler.states import State

    due, now = str(name), str(name.waiting(0))
    with Spool(path) as spool:
        for state, entry in (
            (State.INCOMING, due), (State.DEFERRED, due),
            (State.INCOMING, now),
        ):
            if spool.remove(state, entry):
                return
        for state in (State.DEFERRED, State.INCOMING):  # rescheduled
            for found in spool.scan(state):
                if found.name[2:names.STEM_CHARS] == name.id:
                    spool.remove(state, found.name)
