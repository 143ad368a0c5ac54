# SPDX-License-Identifier: MIT
"""
The invariants of a spool, numbered as in spool(5), one function each.

Read-only, and true at every instant of a spool at work: what moves while it
is looked at is looked at again before it is called wrong.  The invariants
of what lies beside jobs are in ``beside``, that of keys is in ``tenure``.
"""

import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator

from spooler import beside, config, fsops, layout, names, tenure
from spooler.configfile import HANDLERS_DIR
from spooler.errors import ConfigError
from spooler.finding import Finding, exists, path_of
from spooler.recover import is_capture
from spooler.spool import DIRECTORIES, Spool
from spooler.states import FLOW, State
from spooler.text import inert
from spooler.units import format_duration

#: What lies in tmp/ longer than this was left by a producer that died; no
#: writer takes so long.  Source: qmail's OSSIFIED.
STALE_S = 36 * 3600
#: Whether the owner of a claim lives no more.
IsDead = Callable[[str], bool]
#: What decides what runs.
DECIDING = (config.CONFIG_NAME, HANDLERS_DIR)
_KEEPING = (State.DEFERRED, State.HELD, State.ACTIVE, State.DONE,
            State.FAILED)


def check(
    spool: Spool, is_dead: IsDead
) -> Iterator[Finding]:
    """
    Yield every violation.

    Args:
        is_dead: whether an owner of a claim lives no more.
    """
    yield from modes(spool)
    yield from grammar(spool)
    yield from forms(spool)
    yield from one_place(spool)
    yield from owned(spool, is_dead)
    yield from beside.sidecars(spool)
    yield from beside.records(spool)
    yield from legal(spool)
    yield from stale(spool)
    yield from tenure.held(spool)


def modes(spool: Spool) -> Iterator[Finding]:
    """I1: producers write to tmp/, incoming/ and keys/ alone, list none."""
    root = os.fstat(spool.root_fd)
    for name in (".", *DIRECTORIES):
        status = fsops.status(spool.root_fd, name)
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != root.st_uid:
            yield Finding(
                1, name, f"belongs to uid {status.st_uid}, the spool to uid"
                f" {root.st_uid}", f"chown {root.st_uid} {name}",
            )
        if mode & 0o044 and name != ".":
            yield Finding(
                1, name, f"mode {mode:04o}: others can list it",
                f"chmod go-r {name}",
            )
        if name in layout.OPEN_DIRECTORIES:
            if mode & 0o022 and not mode & stat.S_ISVTX:
                yield Finding(
                    1, name, f"mode {mode:04o}: producers can remove each"
                    " other's files", f"chmod +t {name}",
                )
        elif mode & 0o022:
            yield Finding(
                1, name, f"mode {mode:04o}: others than its owner can write",
                f"chmod go-w {name}",
            )
    for name in deciding(spool):
        try:
            status = fsops.status(spool.root_fd, name)
            if stat.S_ISLNK(status.st_mode) and name not in DECIDING:
                status = os.stat(name, dir_fd=spool.root_fd)  # what runs
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(status.st_mode):
            yield Finding(
                1, name, "is a link; who can change what it points to is"
                " not known", "put there what it points to",
            )
        elif status.st_mode & 0o022 or status.st_uid not in (0, root.st_uid):
            yield Finding(
                1, name, "others than its owner can change what runs",
                f"chown {root.st_uid} {name}; chmod go-w {name}",
            )


def deciding(spool: Spool) -> list[str]:
    """What decides what runs, by paths below the spool."""
    try:
        fd = fsops.open_dir(HANDLERS_DIR, spool.root_fd)
    except OSError:
        return list(DECIDING)  # there is none, or it is none
    try:
        found = sorted(filter(names.is_handler, os.listdir(fd)))
    finally:
        os.close(fd)
    return [*DECIDING, *(f"{HANDLERS_DIR}/{name}" for name in found)]


def insist_on_modes(spool: Spool) -> None:
    """Raise ConfigError unless I1 holds: somebody else could run code."""
    for finding in modes(spool):
        raise ConfigError(
            f"{inert(spool.path)}: {finding.path} {finding.what};"
            f" {finding.todo}"
        )


def grammar(spool: Spool) -> Iterator[Finding]:
    """I2: every entry of a private state directory is a job or beside one."""
    for state in _KEEPING:
        for entry in spool.scan(state):
            if not entry.is_dir(follow_symlinks=False) and _belongs(
                state, entry.name
            ):
                continue
            yield Finding(
                2, path_of(state, entry.name), "is no job and belongs to none",
                "move it out of the spool",
            )


def _belongs(state: State, entry: str) -> bool:
    if names.parse(entry) or names.stem_of(entry):
        return True
    if state is State.ACTIVE and is_capture(entry):
        return True
    part = entry.removesuffix(".new")  # a record being written
    return part != entry and names.stem_of(part) is not None


def forms(spool: Spool) -> Iterator[Finding]:
    """I3: a name carries what its state calls for, and nothing else."""
    for state in _KEEPING:
        for entry in spool.scan(state):
            name = names.parse(entry.name)
            if name is None or entry.is_dir(follow_symlinks=False):
                continue
            wrong = wrong_form(state, name)
            if wrong:
                yield Finding(
                    3, path_of(state, entry.name), wrong,
                    "mv it to incoming/ to run it anew",
                )


def wrong_form(state: State, name: names.Name) -> str | None:
    """What is wrong about *name* in *state*; None: nothing."""
    if state is State.ACTIVE:
        if not name.claim or not name.runs:
            return "is active, but its name carries no claim"
        if name.due_ns is not None:
            return "is active, but its name carries a due time"
        if name.verdict or name.micros is not None:
            return "is active, but its name carries a verdict"
        return None
    if name.claim:
        return "is not active, but its name carries a claim"
    if state is State.DEFERRED and name.due_ns is None:
        return "is deferred, but its name carries no due time"
    if state is State.DEFERRED and name.verdict == "ok":
        return "is deferred, but has the verdict ok"
    if state in (State.DONE, State.FAILED):
        if not name.verdict or not name.runs:
            return "is final, but its name carries no verdict"
        if name.due_ns is not None:
            return "is final, but its name carries a due time"
        if (name.verdict == "ok") != (state is State.DONE):
            return f"has the verdict {name.verdict}"
    return None


def one_place(spool: Spool) -> Iterator[Finding]:
    """I4: an id lies in one directory, once."""
    seen: dict[str, tuple[State, str]] = {}
    for state in FLOW:
        for entry in spool.scan(state):
            name = names.parse(entry.name)
            if name is None:
                continue
            key = name.id + name.twin
            first = seen.get(key)
            seen[key] = state, entry.name
            if first is not None and all(
                exists(spool, *place) for place in (first, seen[key])
            ):
                yield Finding(
                    4, path_of(*first), f"is also {path_of(*seen[key])}",
                    "show tells them apart; rm the one not wanted",
                )


def owned(
    spool: Spool, is_dead: IsDead
) -> Iterator[Finding]:
    """I5: whoever claimed an active job lives."""
    dead: dict[str, bool] = {}
    for entry in spool.scan(State.ACTIVE):
        name = names.parse(entry.name)
        if name is None or not name.claim:
            continue
        if name.owner not in dead:
            dead[name.owner] = is_dead(name.owner)
        if dead[name.owner] and exists(spool, State.ACTIVE, entry.name):
            yield Finding(
                5, path_of(State.ACTIVE, entry.name),
                "was interrupted: its spoold is dead",
                "start spoold, which recovers it",
            )


def legal(spool: Spool) -> Iterator[Finding]:
    """I8: what lies in incoming/ can become a job."""
    for entry in spool.scan(State.INCOMING):
        path = path_of(State.INCOMING, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield Finding(8, path, "is a directory; it is left alone",
                          "move it away")
            continue
        why = names.why_illegal(entry.name)
        if why is not None:
            yield Finding(8, path, f"{why}; it is left alone",
                          "rename it, or move it away")
            continue
        try:
            status = fsops.status(spool.fds[State.INCOMING], entry.name)
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode):
            yield Finding(8, path, "is not a regular file",
                          "move it away; it would fail")
            continue
        missing = _right_missing(spool, status)
        if missing:
            shown = shlex.quote(path) if path.endswith(entry.name) else "it"
            yield Finding(
                8, path, "is not readable by spoold (mode"
                f" {stat.S_IMODE(status.st_mode):04o}, owner uid"
                f" {status.st_uid})", f"chmod {missing} {shown}",
            )


def _right_missing(spool: Spool, status: os.stat_result) -> str:
    """What the spool's owner, and so spoold, needs to read such a file."""
    owner = os.fstat(spool.root_fd)
    if owner.st_uid == 0:
        return ""
    # A producer's file has the group of incoming/, which spoold is in.
    groups = owner.st_gid, os.fstat(spool.fds[State.INCOMING]).st_gid
    if status.st_uid == owner.st_uid:
        right, text = stat.S_IRUSR, "u+r"
    elif status.st_gid in groups:
        right, text = stat.S_IRGRP, "g+r"
    else:
        right, text = stat.S_IROTH, "o+r"
    return "" if status.st_mode & right else text


def stale(spool: Spool) -> Iterator[Finding]:
    """I9: nothing lies in tmp/ for longer than a writer can take."""
    now = time.time()
    for entry in spool.scan(State.TMP):
        try:
            status = fsops.status(spool.fds[State.TMP], entry.name)
        except FileNotFoundError:
            continue
        age = now - status.st_ctime
        if age > STALE_S:
            todo = "rm it: it was never submitted"
            if stat.S_ISDIR(status.st_mode):
                todo = todo.replace("rm", "rm -r")
            elif tenure.is_submitted(spool, entry.name):
                todo = "start spoold, which moves it: it is submitted"
            yield Finding(
                9, path_of(State.TMP, entry.name),
                f"was left unfinished {format_duration(age)} ago", todo,
            )
