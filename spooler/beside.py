# SPDX-License-Identifier: MIT
"""
The invariants of what lies beside jobs: records and output.

They are written before the verdict, one after the other, while the job is
elsewhere; so what seems wrong is judged with its job in sight.
"""

import errno
from collections.abc import Iterator

from spooler import fsops, names, record, sidecar
from spooler.finding import Finding, exists, path_of
from spooler.spool import Spool
from spooler.states import State

#: The way of a job from one verdict to the next, which writes its record
#: anew: who looks in this order meets it.
_ROUND = (State.ACTIVE, State.DEFERRED, State.HELD, State.INCOMING,
          State.DEFERRED, State.INCOMING, State.ACTIVE, State.DONE,
          State.FAILED)


def sidecars(spool: Spool) -> Iterator[Finding]:
    """I6: every record and output lies beside its job, or waits for it."""
    for state in (State.DONE, State.FAILED, State.DEFERRED, State.HELD):
        jobs, beside = set(), []
        for entry in spool.scan(state):
            split = names.stem_of(entry.name)
            if split is not None:
                if not entry.is_dir(follow_symlinks=False):
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
        before = [_stamp(spool, state, item[1]) for item in missing]
        elsewhere = _stems(spool)
        for (stem, entry_name), stamp in zip(missing, before):
            if stem in elsewhere:
                continue
            if stamp is None or _stamp(spool, state, entry_name) != stamp:
                continue  # written anew, or gone: its job was here
            yield Finding(
                6, path_of(state, entry_name), "belongs to no job",
                "rm it, or keep it: nothing reads it",
            )


def _stems(spool: Spool) -> set[str]:
    """What the names of all jobs begin with, whatever moves meanwhile."""
    stems = set()
    for state in _ROUND:
        for entry in spool.scan(state):
            name = names.parse(entry.name)
            if name is not None:
                stems.add(name.stem)
            elif state is State.ACTIVE:
                # A handler may have moved the file away; it has output.
                split = names.stem_of(entry.name)
                if split is not None:
                    stems.add(split[0])
    return stems


def _stamp(
    spool: Spool, state: State, entry: str
) -> tuple[int, int] | None:
    try:
        status = fsops.status(spool.fds[state], entry)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns


def records(spool: Spool) -> Iterator[Finding]:
    """I7: every record is whole, its job's, and its output as it says."""
    for state in (State.DONE, State.FAILED, State.DEFERRED, State.HELD):
        for entry in spool.scan(state):
            split = names.stem_of(entry.name)
            if split is None or split[1] != "result":
                continue
            if entry.is_dir(follow_symlinks=False):
                continue  # I2 tells of it
            data = _read(spool, state, entry.name)
            if data is None:
                continue  # gone meanwhile
            read = record.decode(data)
            path = path_of(state, entry.name)
            if read is None:
                if _is_torn(spool, state, *split):
                    yield Finding(7, path, "is torn or altered", _todo(state))
            elif read.id != split[0][2:names.STEM_CHARS]:
                yield Finding(7, path, "is another job's", "rm it")
            elif any(_misfits(spool, state, split[0], read)):
                yield from _output(spool, state, split[0])


def _is_torn(spool: Spool, state: State, stem: str, kind: str) -> bool:
    """Whether a record that seemed torn is one."""
    final = state in (State.DONE, State.FAILED)
    if final and not sidecar.has_job(spool, state, stem):
        return False  # being written: without its job it counts for nothing
    # RACE: it was whole when its job came, which may have been just now.
    data = _read(spool, state, f"{stem}.{kind}")
    return data is not None and record.decode(data) is None


def _read(spool: Spool, state: State, entry: str) -> bytes | None:
    try:
        return fsops.read_file(
            spool.fds[state], entry, record.RECORD_MAX_BYTES
        )
    except OSError as error:
        if error.errno == errno.ELOOP:
            return b""  # a link is no record
        raise


def _todo(state: State) -> str:
    if state in (State.DONE, State.FAILED):
        return "requeue the job to run it again"
    return "rm the job's record and output there: it runs again anyway"


def _misfits(
    spool: Spool, state: State, stem: str, read: record.Record
) -> Iterator[tuple[str, int, int]]:
    """Output of another size than told: its kind, its size, the one told."""
    for kind, told in (("out", read.out_bytes), ("err", read.err_bytes)):
        try:
            found = fsops.status(spool.fds[state], f"{stem}.{kind}").st_size
        except FileNotFoundError:
            found = 0
        if found != told:
            yield kind, found, told


def _output(spool: Spool, state: State, stem: str) -> Iterator[Finding]:
    # The next verdict writes output, then record, then moves the job: they
    # fit for as long as the job lies beside them, which no job does twice
    # under one name.
    job = next((
        entry.name for entry in spool.scan(state)
        if (name := names.parse(entry.name)) and name.stem == stem
    ), None)
    read = sidecar.read_record(spool, state, stem)
    if job is None or read is None:
        return
    misfits = list(_misfits(spool, state, stem, read))
    if not exists(spool, state, job):
        return
    for kind, found, told in misfits:
        yield Finding(
            7, path_of(state, f"{stem}.{kind}"), f"has {found} bytes where"
            f" its record says {told}", _todo(state),
        )
