# SPDX-License-Identifier: MIT
"""
The invariants of a spool, numbered as in spool(5), one function each.

Read-only, and true at every instant of a spool at work: what moves while it
is looked at is looked at again before it is called wrong.
"""

import dataclasses
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator

from spooler import config, fsops, layout, names, record
from spooler.configfile import HANDLERS_DIR
from spooler.errors import ConfigError
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


@dataclasses.dataclass(frozen=True)
class Finding:
    """
    One thing that is wrong.

    Attributes:
        number: of the invariant.
        path: below the spool, inert.
        what: is wrong.
        todo: what a person may type or do.
    """

    number: int
    path: str
    what: str
    todo: str


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
    yield from sidecars(spool)
    yield from records(spool)
    yield from legal(spool)
    yield from stale(spool)


def modes(spool: Spool) -> Iterator[Finding]:
    """I1: producers can write to tmp/ and incoming/ alone, and list none."""
    root = os.fstat(spool.root_fd)
    for name in (".", *DIRECTORIES):
        status = fsops.status(spool.root_fd, name)
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != root.st_uid:
            yield Finding(
                1, name, f"belongs to uid {status.st_uid}, the spool to uid"
                f" {root.st_uid}", f"chown {root.st_uid} {name}",
            )
        if name in layout.OPEN_DIRECTORIES:
            if mode & 0o044:
                yield Finding(
                    1, name, f"mode {mode:04o}: others can list it",
                    f"chmod go-r {name}",
                )
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
    for name in DECIDING:
        try:
            status = fsops.status(spool.root_fd, name)
        except FileNotFoundError:
            continue
        if status.st_mode & 0o022 or status.st_uid not in (0, root.st_uid):
            yield Finding(
                1, name, "others than its owner can change what runs",
                f"chown {root.st_uid} {name}; chmod go-w {name}",
            )


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
            if names.parse(entry.name) or names.stem_of(entry.name):
                continue
            if state is State.ACTIVE and is_capture(entry.name):
                continue
            part = entry.name.removesuffix(".new")
            if part != entry.name and names.stem_of(part) is not None:
                continue  # a record being written
            yield Finding(
                2, _path(state, entry.name), "is no job and belongs to none",
                "move it out of the spool",
            )


def forms(spool: Spool) -> Iterator[Finding]:
    """I3: a name carries what its state calls for, and nothing else."""
    for state in _KEEPING:
        for entry in spool.scan(state):
            name = names.parse(entry.name)
            if name is None:
                continue
            wrong = wrong_form(state, name)
            if wrong:
                yield Finding(
                    3, _path(state, entry.name), wrong,
                    "mv it to incoming/ to run it anew",
                )


def wrong_form(state: State, name: names.Name) -> str | None:
    """What is wrong about *name* in *state*; None: nothing."""
    if state is State.ACTIVE:
        if not name.claim or not name.runs:
            return "is active, but its name carries no claim"
        return None
    if name.claim:
        return "is not active, but its name carries a claim"
    if state is State.DEFERRED and name.due_ns is None:
        return "is deferred, but its name carries no due time"
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
                _exists(spool, *place) for place in (first, seen[key])
            ):
                yield Finding(
                    4, _path(*first), f"is also {_path(*seen[key])}",
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
        if dead[name.owner] and _exists(spool, State.ACTIVE, entry.name):
            yield Finding(
                5, _path(State.ACTIVE, entry.name),
                "was interrupted: its spoold is dead",
                "start spoold, which recovers it",
            )


def sidecars(spool: Spool) -> Iterator[Finding]:
    """I6: every record and output lies beside its job, or waits for it."""
    for state in (State.DONE, State.FAILED, State.DEFERRED, State.HELD):
        jobs, beside = set(), []
        for entry in spool.scan(state):
            split = names.stem_of(entry.name)
            if split is not None:
                beside.append((split[0], entry.name))
                continue
            name = names.parse(entry.name)
            if name is not None:
                jobs.add(name.stem)
        missing = [item for item in beside if item[0] not in jobs]
        if not missing:
            continue
        # Written before the verdict: the job may be on its way, or its next
        # run overwrites them.
        elsewhere = _stems_elsewhere(spool, state)
        for stem, entry_name in missing:
            if stem in elsewhere or not _exists(spool, state, entry_name):
                continue
            yield Finding(
                6, _path(state, entry_name), "belongs to no job",
                "rm it, or keep it: nothing reads it",
            )


def _stems_elsewhere(spool: Spool, state: State) -> set[str]:
    return {
        name.stem
        for other in FLOW
        for entry in spool.scan(other)
        if (name := names.parse(entry.name)) is not None
    }


def records(spool: Spool) -> Iterator[Finding]:
    """I7: every record is whole, its job's, and its output as it says."""
    for state in (State.DONE, State.FAILED, State.DEFERRED):
        for entry in spool.scan(state):
            split = names.stem_of(entry.name)
            if split is None or split[1] != "result":
                continue
            data = fsops.read_file(
                spool.fds[state], entry.name, record.RECORD_MAX_BYTES
            )
            if data is None:
                continue  # gone meanwhile
            read = record.decode(data)
            path = _path(state, entry.name)
            if read is None:
                yield Finding(
                    7, path, "is torn or altered",
                    "requeue the job to run it again",
                )
            elif read.id != split[0][2:names.STEM_CHARS]:
                yield Finding(7, path, "is another job's", "rm it")
            else:
                yield from _output(spool, state, split[0], read)


def _output(
    spool: Spool, state: State, stem: str, read: record.Record
) -> Iterator[Finding]:
    for kind, size in (("out", read.out_bytes), ("err", read.err_bytes)):
        if not size:
            continue
        sidecar = f"{stem}.{kind}"
        try:
            found = fsops.status(spool.fds[state], sidecar).st_size
        except FileNotFoundError:
            if not _exists(spool, state, f"{stem}.result"):
                continue
            found = 0
        if found != size:
            yield Finding(
                7, _path(state, sidecar), f"has {found} bytes where its"
                f" record says {size}", "requeue the job to run it again",
            )


def legal(spool: Spool) -> Iterator[Finding]:
    """I8: what lies in incoming/ can become a job."""
    for entry in spool.scan(State.INCOMING):
        path = _path(State.INCOMING, entry.name)
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
        elif not _readable(spool, status):
            yield Finding(
                8, path, "is not readable by spoold (mode"
                f" {stat.S_IMODE(status.st_mode):04o}, owner uid"
                f" {status.st_uid})", f"chmod g+r {shlex.quote(path)}",
            )


def _readable(spool: Spool, status: os.stat_result) -> bool:
    """Whether the spool's owner, and so spoold, can read such a file."""
    owner = os.fstat(spool.root_fd)
    if owner.st_uid == 0:
        return True
    if status.st_uid == owner.st_uid:
        return bool(status.st_mode & stat.S_IRUSR)
    # A producer's file has the group of incoming/, which spoold is in.
    groups = owner.st_gid, os.fstat(spool.fds[State.INCOMING]).st_gid
    if status.st_gid in groups:
        return bool(status.st_mode & stat.S_IRGRP)
    return bool(status.st_mode & stat.S_IROTH)


def stale(spool: Spool) -> Iterator[Finding]:
    """I9: nothing lies in tmp/ for longer than a writer can take."""
    now = time.time()
    for entry in spool.scan(State.TMP):
        try:
            age = now - fsops.status(
                spool.fds[State.TMP], entry.name
            ).st_ctime
        except FileNotFoundError:
            continue
        if age > STALE_S:
            yield Finding(
                9, _path(State.TMP, entry.name),
                f"was left unfinished {format_duration(age)} ago",
                "rm it: it was never submitted",
            )


def _exists(spool: Spool, state: State, entry: str) -> bool:
    return fsops.exists(spool.fds[state], entry)


def _path(state: State, entry: str) -> str:
    return f"{state.value}/{inert(entry)}"
