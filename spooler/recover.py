# SPDX-License-Identifier: MIT
"""
Put right what a dead daemon or worker left behind.

Idempotent, and may itself be killed at any point: every step is one move.
"""

import difflib
import itertools
import logging
import operator
import os
import random
import time
from collections.abc import Callable, Iterator

from spooler import fsops, jobload, names, settle, sidecar
from spooler.config import Config
from spooler.errors import BadJob
from spooler.labels import about
from spooler.names import Name
from spooler.route import Router
from spooler.settle import Outcome, Settled
from spooler.spool import Spool
from spooler.states import FLOW, PRECEDENCE, State
from spooler.text import inert

log = logging.getLogger(__name__)


def orphans(
    spool: Spool, is_dead: Callable[[str], bool]
) -> list[tuple[str, Name]]:
    """The jobs in ``active/`` whose owner is dead, by *is_dead*(owner)."""
    known: dict[str, bool] = {}
    out = []
    for entry in spool.scan(State.ACTIVE):
        name = names.parse(entry.name)
        if name is None:
            continue
        owner = name.owner
        if owner not in known:
            known[owner] = is_dead(owner)
        if known[owner]:
            out.append((entry.name, name))
    return out


def recover(
    spool: Spool, config: Config, active: str, name: Name
) -> tuple[State, str | None]:
    """
    Send an orphan back to ``incoming/``, or to ``failed/`` if it is out of
    attempts: it may be what killed its owner.

    The run it was in counts, in the name, since its claim.

    Returns:
        Its new state and name; the name is None if it was gone.
    """
    handler = Router(config).configured(name)
    limit = _attempts(spool, active, name) or (
        handler.attempts if handler else 1
    )
    # Runs that did not count are in the record, which only a job of several
    # runs can have.
    uncounted = 0
    if name.runs > 1:
        record = sidecar.read_record(spool, State.DEFERRED, name.stem)
        if record is not None:
            uncounted = sum(not run.counted for run in record.runs)
    if name.runs - uncounted < limit:
        return State.INCOMING, spool.recover(active)
    settled = settle.settle(
        spool, active,
        Outcome(
            settle.FAIL, "lost", time.time_ns(), 0,
            text="interrupted: its worker or spoold died during the run",
        ),
        handler, limit, config.durability != "relaxed", time.time_ns(), 0.0,
    )
    return settled.state, settled.name


def recover_all(
    spool: Spool, config: Config, is_dead: Callable[[str], bool]
) -> Iterator[tuple[State, str]]:
    """
    Recover every orphan, and tidy up behind dead owners.

    Yields:
        Where each job went and its name there.
    """
    merge(spool)
    for active, name in orphans(spool, is_dead):
        state, moved = recover(spool, config, active, name)
        log.warning(
            "%s: interrupted in run %d; now %s", name.id, name.runs,
            state.word if moved else "gone",
            extra=about(active, state if moved else State.GONE),
        )
        if moved is not None:
            yield state, moved
    tidy(spool, is_dead)


def merge(spool: Spool) -> int:
    """
    Give a job that a crash left under two names back its one name.

    Some file systems show a renamed file in both directories after a power
    cut, and a move by link and unlink can be killed in between.  Both names
    are then one inode; two jobs that merely share an id are left alone.

    Returns:
        How many names were removed.
    """
    # Sorted, for a set of a million takes three times the memory.
    inodes = sorted(
        entry.inode() for state in FLOW for entry in spool.scan(state)
    )
    if not any(map(operator.eq, inodes, itertools.islice(inodes, 1, None))):
        return 0  # nothing has two names, as nearly always
    del inodes
    hashes = sorted(
        hash(entry.name[2:names.STEM_CHARS])
        for state in FLOW for entry in spool.scan(state)
        if "," in entry.name
    )
    twice = {a for a, b in zip(hashes, hashes[1:]) if a == b}
    if not twice:
        return 0
    places: dict[tuple[str, int], list[tuple[State, str]]] = {}
    for state in PRECEDENCE:
        if state is State.TMP:
            continue
        for entry in spool.scan(state):
            job_id = entry.name[2:names.STEM_CHARS]
            if "," not in entry.name or hash(job_id) not in twice:
                continue
            # Names that their producer chose say nothing, whatever they are
            # alike in: he may submit one file twice.
            if names.parse(entry.name) is not None:
                key = job_id, entry.inode()
                places.setdefault(key, []).append((state, entry.name))
    removed = 0
    for (job_id, _), found in places.items():
        for state, name in found[1:]:
            log.warning(
                "%s: also in %s, merged", job_id, state.value,
                extra=about(name, found[0][0]),
            )
            removed += fsops.unlink(spool.fds[state], name)
    return removed


def lost(
    spool: Spool, config: Config, active: str, name: Name, outcome: Outcome
) -> Settled:
    """File the run of a job whose worker died under a living daemon."""
    handler = Router(config).configured(name)
    return settle.settle(
        spool, active, outcome, handler, _attempts(spool, active, name),
        config.durability != "relaxed", time.time_ns(), random.random(),
    )


def _attempts(spool: Spool, active: str, name: Name) -> int | None:
    """The job's own wish, as its document tells."""
    if not name.is_document:
        return None
    try:
        return jobload.peek(spool.fds[State.ACTIVE], active).attempts
    except (BadJob, FileNotFoundError):
        return None


def tidy(spool: Spool, is_dead: Callable[[str], bool]) -> None:
    """Remove capture files and work directories of dead owners."""
    active_fd = spool.fds[State.ACTIVE]
    sidecars, captures = [], []
    for entry in spool.scan(State.ACTIVE):
        split = names.stem_of(entry.name)
        if split is not None:
            sidecars.append((split[0], entry.name))
        elif is_capture(entry.name):
            captures.append(entry.name)
    # RACE: a scan may see the output of a job claimed meanwhile and not the
    # job; one begun afterwards sees the job.
    jobs = {
        name.stem for entry in spool.scan(State.ACTIVE)
        if (name := names.parse(entry.name)) is not None
    }
    for stem, output in sidecars:
        if stem not in jobs:
            fsops.unlink(active_fd, output)
    for capture in captures:
        if is_dead(capture[:names.OWNER_CHARS]):
            fsops.unlink(active_fd, capture)
    _tidy_deferred(spool)
    tidy_work(spool, lambda work: is_dead(work.partition("-")[0]))


def tidy_captures(spool: Spool, owner: str) -> None:
    """Remove the output files that a dead command runner kept for later."""
    for entry in spool.scan(State.ACTIVE):
        if entry.name.startswith(f"{owner}-") and is_capture(entry.name):
            fsops.unlink(spool.fds[State.ACTIVE], entry.name)


def tidy_work(spool: Spool, is_left: Callable[[str], bool]) -> None:
    """Remove the work directories that nobody works in, by *is_left*."""
    work_fd = fsops.open_dir("work", spool.private_fd)
    try:
        for work in fsops.listed(work_fd):
            if is_left(work):
                try:
                    fsops.remove_tree(work_fd, work)
                except OSError:
                    pass  # a handler made it unremovable; check says so
    finally:
        os.close(work_fd)


def _tidy_deferred(spool: Spool) -> None:
    """Remove records of earlier runs that a verdict did not get to."""
    beside: dict[str, list[str]] = {}
    for entry in spool.scan(State.DEFERRED):
        split = names.stem_of(entry.name.removesuffix(".new"))
        if split is not None:
            beside.setdefault(split[0], []).append(entry.name)
    # RACE: a job may move meanwhile, not only on; so some are seen twice.
    for state in (State.HELD, State.INCOMING, State.ACTIVE, State.DEFERRED,
                  State.HELD, State.INCOMING):
        if not beside:
            return
        for entry in spool.scan(state):
            name = names.parse(entry.name)
            if name is not None:
                beside.pop(name.stem, None)
    for left in beside.values():
        for file in left:
            fsops.unlink(spool.fds[State.DEFERRED], file)


def is_capture(entry: str) -> bool:
    """Whether it is an output file of a worker between jobs."""
    stem, _, kind = entry.partition(".")
    # A command runner has several, with a number each.
    owner, dash, number = stem.partition("-")
    if dash and not (number.isascii() and number.isdigit()):
        return False
    return (
        len(owner) == names.OWNER_CHARS
        and not owner.strip(names.DIGITS)
        and kind in ("out", "err")
    )


def judge_unroutable(spool: Spool, config: Config, active: str) -> Outcome:
    """Say why no handler can run the claimed job *active*."""
    name = names.parse(active)
    assert name is not None
    handler = Router(config).handler_of(name)
    kind, text = "unknown-handler", f"unknown handler '{inert(handler or '')}'"
    if name.told_handler is None:
        kind = "no-handler"
        text = "no handler: no pattern matches its name and no default is set"
        if handler is not None:
            text = f"no handler '{handler}' is configured"
    elif handler is None:
        # A dropped document nothing could be read from: judge it again.
        kind, text = "bad", "cannot be read"
        try:
            document = jobload.peek(spool.fds[State.ACTIVE], active)
            text = f"was rewritten to ask for {document.handler!r}"
        except BadJob as error:
            text = str(error)
        except FileNotFoundError:
            pass
    else:
        close = difflib.get_close_matches(handler, list(config.handlers), 1)
        if close:
            text += f", did you mean '{close[0]}'?"
        text += "; add it to spool.toml, reload, requeue"
    return Outcome(settle.FAIL, kind, time.time_ns(), 0, text=text)
