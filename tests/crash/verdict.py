# SPDX-License-Identifier: MIT
"""What must hold of a spool after the power came back, and the counts."""

import collections
import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Collection, Iterable

from support import SPOOLD, SpoolDir, environment

from spooler import (
    check, configfile, fsops, jobload, names, record, recover,
)
from spooler.errors import BadJob
from spooler.names import Name
from spooler.spool import Spool
from spooler.states import FLOW, State

from . import machine
from .producer import is_whole_payload

CONFIG = """
workers = 2
[handler.plain]
python = "sample_handlers:noop"
[handler.value]
python = "sample_handlers:echo"
[handler.flaky]
python = "sample_handlers:flaky"
attempts = 9
backoff = "10ms"
[handler.copy]
command = ["cat"]
match = ["*.bin"]
"""
#: These say something, so a job of theirs that is done has a record.
SPEAKING = ("value", "flaky")
DRAIN_S = 60.0


@dataclasses.dataclass
class Counts:
    """
    What a campaign saw.

    Attributes:
        cuts: of the power, or crash states looked at.
        reorders: those of the states that no prefix of the writes is.
        confirmed: promises held to, over all cuts.
        lost: confirmed jobs that were nowhere, or not finished by a drain.
        torn: jobs, records or output that were not whole.
        doubled: ids that were two jobs.
        two_names: jobs under two names of one inode, which recovery merges.
        leftover: records of jobs nobody was told of, which are nowhere.
        drained: how often a real spoold finished what was left.
        wrong: all other violations.
        examples: the first few of all, in words.
    """

    what: str
    cuts: int = 0
    reorders: int = 0
    confirmed: int = 0
    lost: int = 0
    torn: int = 0
    doubled: int = 0
    two_names: int = 0
    leftover: int = 0
    drained: int = 0
    wrong: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)

    def note(self, kind: str, text: str) -> None:
        """Count one violation of a *kind*, an attribute's name."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < 12:
            self.examples.append(f"{kind}, {self.cuts}: {text}")

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.torn or self.doubled or self.wrong)

    def __str__(self) -> str:
        return (
            f"{self.what}, {self.confirmed} confirmed, {self.lost} lost,"
            f" {self.torn} torn, {self.doubled} doubled, {self.wrong} wrong"
            f" otherwise; {self.two_names} under two names until recovery,"
            f" {self.leftover} records of jobs never confirmed,"
            f" {self.drained} drained by spoold"
        )

    def report(self) -> str:
        """The counts, and the examples below them."""
        return "\n    ".join([str(self), *self.examples])


def make_spool(path: str) -> SpoolDir:
    """Make a spool at *path* that is on disk, whatever comes."""
    spool = SpoolDir(pathlib.Path(path))
    spool.configure(CONFIG)
    machine.sync_tree(path)
    return spool


Places = dict[str, list[tuple[State, Name, str, int]]]


def places(spool: Spool) -> Places:
    """Where each id lies: state, name, entry and inode."""
    found: Places = collections.defaultdict(list)
    for state in FLOW:
        for entry in spool.scan(state):
            name = names.parse(entry.name)
            if name is not None:
                found[name.id].append(
                    (state, name, entry.name, entry.inode())
                )
    return found


def judge(
    path: str, confirmed: Collection[str], counts: Counts,
    recovering: bool = True, strict: bool = True,
) -> None:
    """
    Hold the spool at *path* to its promises, recover it, and once more.

    Args:
        confirmed: the ids that producers were told of.
        recovering: whether to recover it, as spoold does at its start;
            otherwise it is only looked at.
        strict: whether a job nobody was told of must be whole too, as it is
            if its producer was durable.
    """
    counts.confirmed += len(confirmed)
    with Spool(path) as spool:
        found = places(spool)
        for job_id in confirmed:
            if job_id not in found:
                counts.note("lost", f"{job_id}{_in_tmp(spool, job_id)}")
        _wholes(spool, found, counts, None if strict else set(confirmed))
        for job_id, where in found.items():
            if len({inode for *_, inode in where}) > 1:
                counts.note("doubled", f"{job_id}: {_show(where)}")
            elif len(where) > 1:
                counts.two_names += 1
        _records(spool, counts)
        if recovering:
            _recovered(spool, confirmed, counts)


def _recovered(
    spool: Spool, confirmed: Collection[str], counts: Counts
) -> None:
    """Recover it; nothing may be left to say."""
    config = configfile.load(spool.path)
    for _ in recover.recover_all(spool, config, lambda owner: True):
        pass
    found = places(spool)
    for job_id in confirmed:
        if len(found.get(job_id, ())) > 1:
            counts.note(
                "doubled", f"{job_id} recovered: {_show(found[job_id])}"
            )
    _checked(spool, confirmed, counts, "recovered")


def _checked(
    spool: Spool, confirmed: Collection[str], counts: Counts, when: str
) -> None:
    for finding in check.check(spool, lambda owner: True):
        split = names.stem_of(os.path.basename(finding.path))
        lies = ""
        if split is not None:
            job_id = split[0][2:names.STEM_CHARS]
            where = places(spool).get(job_id, ())
            if finding.number == 6 and not where and job_id not in confirmed:
                # It had run before its producer had flushed its name.
                counts.leftover += 1
                continue
            lies = f"; job: {_show(where)}"
        counts.note(
            "wrong", f"I{finding.number} {finding.path} {finding.what},"
            f" {when}{lies}",
        )


def _wholes(
    spool: Spool, found: Places, counts: Counts, only: Collection[str] | None
) -> None:
    for job_id, where in found.items():
        if only is not None and job_id not in only:
            continue
        for state, name, entry, _ in where:
            why = _why_torn(spool.fds[state], entry, name)
            if why is not None:
                counts.note("torn", f"{state.value}/{entry}: {why}")


def _why_torn(dir_fd: int, entry: str, name: Name) -> str | None:
    try:
        job = jobload.load(dir_fd, entry, name.is_document, 1 << 30)
    except BadJob as error:
        return str(error)
    try:
        document = job.document
        if document is None:
            return None if is_whole_payload(job.read()) else "is not whole"
        if document.digest is None or document.length is None:
            return "has no Digest or no Length"
        return None
    finally:
        job.close()


def _records(spool: Spool, counts: Counts) -> None:
    for state in (State.DONE, State.FAILED, State.DEFERRED):
        entries = [entry.name for entry in spool.scan(state)]
        jobs = {
            name.stem: name for entry in entries
            if (name := names.parse(entry)) is not None
        }
        whole = set()
        for entry in entries:
            split = names.stem_of(entry)
            if split is None or split[1] != "result":
                continue
            data = fsops.read_file(
                spool.fds[state], entry, record.RECORD_MAX_BYTES
            )
            read = None if data is None else record.decode(data)
            if read is not None:
                whole.add(split[0])
            if split[0] not in jobs:
                continue  # prepared, and the verdict never given
            if read is None:
                counts.note("torn", f"record {state.value}/{entry}")
                continue
            for kind, size in ("out", read.out_bytes), ("err", read.err_bytes):
                _output(spool, state, f"{split[0]}.{kind}", size, counts)
        if state is State.DONE:
            for stem, name in jobs.items():
                if name.told_handler in SPEAKING and stem not in whole:
                    counts.note("torn", f"no record beside done/{name}")


def _output(
    spool: Spool, state: State, entry: str, size: int, counts: Counts
) -> None:
    if not size:
        return
    try:
        found = fsops.status(spool.fds[state], entry).st_size
    except FileNotFoundError:
        found = -1
    if found != size:
        active = fsops.exists(spool.fds[State.ACTIVE], entry)
        counts.note(
            "torn", f"output {state.value}/{entry} of a job there:"
            f" {'absent' if found < 0 else found}, not {size} bytes"
            f"{'; it is in active/' if active else ''}",
        )


def _in_tmp(spool: Spool, job_id: str) -> str:
    for entry in spool.scan(State.TMP):
        if job_id in entry.name:
            return " is in tmp/"
    return ""


def _show(where: Iterable[tuple[State, Name, str, int]]) -> str:
    return ", ".join(
        f"{state.value}/{entry} inode {inode}"
        for state, _, entry, inode in where
    )


def drain(path: str, confirmed: Collection[str], counts: Counts) -> None:
    """A real ``spoold --drain`` must finish all that was confirmed."""
    counts.drained += 1
    try:
        done = subprocess.run(
            [sys.executable, SPOOLD, "--drain", path],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=environment(None), timeout=DRAIN_S,
        )
    except subprocess.TimeoutExpired:
        counts.note("wrong", f"spoold --drain hangs: {os.listdir(path)}")
        return
    if done.returncode:
        counts.note("wrong", f"spoold --drain: {done.stderr[-500:]}")
    with Spool(path) as spool:
        found = places(spool)
        for job_id in confirmed:
            where = found.get(job_id, [])
            final = [
                place for place in where
                if place[0] in (State.DONE, State.FAILED)
            ]
            if not final:
                counts.note("lost", f"{job_id} drained: {_show(where)}")
            elif len(where) > 1:
                counts.note("doubled", f"{job_id} drained: {_show(where)}")
        _records(spool, counts)
        _checked(spool, confirmed, counts, "drained")
