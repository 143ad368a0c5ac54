# SPDX-License-Identifier: MIT
"""
What is told of one job: by its name, and by what lies beside it.

What a name does not tell (reason, value, times) is read for one job at a
time, when it is shown.
"""

from __future__ import annotations

import os

from spooler import fsops, names, units, verdicts
from spooler.errors import BadJob
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert

TYPE_CHECKING = False
if TYPE_CHECKING:  # a listing without reasons is spared the rest
    from typing import Any

    from spooler.record import Record


class JobView:
    """
    One job as its name tells it.

    Attributes:
        id: its id; of a file spoold has not admitted yet, its name, inert.
        state: where it lies.
        entry: its file's name there.
        name: the name taken apart; None before admission.
    """

    __slots__ = ("id", "state", "entry", "name")

    def __init__(
        self, id: str, state: State, entry: str, name: names.Name | None
    ) -> None:
        self.id = id
        self.state = state
        self.entry = entry
        self.name = name

    @property
    def dropped_name(self) -> str | None:
        """The name its producer chose, or None."""
        return self.entry if self.name is None else self.name.dropped_name

    @property
    def submitted_ns(self) -> int | None:
        """Wall clock of its submission, as its id tells."""
        return None if self.name is None else names.submitted_ns(self.name.id)

    @property
    def stem(self) -> str:
        """What its sidecars' names begin with."""
        return self.entry if self.name is None else self.name.stem


def view(state: State, entry: str) -> JobView | None:
    """The job behind a directory entry; None if it is none."""
    name = names.parse(entry)
    if name is not None:
        return JobView(name.id, state, entry, name)
    if state is State.INCOMING and names.why_illegal(entry) is None:
        return JobView(inert(entry), state, entry, None)
    return None


class Details:
    """
    What is told of one job beyond its name.

    Attributes:
        record: of its runs; None if there is none or it is torn.
        torn: there is a record, and it is not whole.
        finished_ns: wall clock of the last move of a final job.
    """

    __slots__ = ("record", "torn", "finished_ns")

    def __init__(
        self, record: Record | None = None, torn: bool = False,
        finished_ns: int | None = None,
    ) -> None:
        self.record = record
        self.torn = torn
        self.finished_ns = finished_ns


_RECORDED = (State.DONE, State.FAILED, State.DEFERRED)


def details(spool: Spool, job: JobView) -> Details:
    """Read what lies beside a job.  Never fails for a job that moved on."""
    if job.name is None:
        return Details()
    from spooler import record  # see above

    states = [job.state] if job.state in _RECORDED else [State.DEFERRED]
    found, torn = None, False
    for state in states:
        data = fsops.read_file(
            spool.fds[state], f"{job.stem}.result", record.RECORD_MAX_BYTES
        )
        if data is not None:
            found = record.decode(data)
            torn = found is None
    finished = None
    if job.state in (State.DONE, State.FAILED):
        try:
            # A rename sets it, so it is the moment of the verdict.
            status = fsops.status(spool.fds[job.state], job.entry)
            finished = status.st_ctime_ns
        except FileNotFoundError:
            pass
    return Details(found, torn, finished)


def tags(spool: Spool, job: JobView) -> tuple[str, ...]:
    """What a job is tagged with; opens its record, or else its document."""
    told = details(spool, job).record
    if told is not None:
        return told.tags
    if job.name is not None and not job.name.is_document:
        return ()
    from spooler import jobload  # what listings without tags are spared

    try:
        return tuple(jobload.peek(spool.fds[job.state], job.entry).tags)
    except (BadJob, OSError):
        return ()


def reason(job: JobView, more: Details) -> dict[str, Any] | None:
    """Why it waits or failed: kind, status and text; None: no reason."""
    name = job.name
    if name is None or not name.verdict:
        if job.state is State.DEFERRED:
            return {"kind": "delayed", "status": None, "text": "not yet due"}
        return None
    kind, status = verdicts.reason_of(name.verdict)
    if kind == "ok":
        return None
    text = ""
    if more.record is not None and more.record.runs:
        text = more.record.runs[-1].text
    if more.torn:
        text = "its record is torn; nothing in it can be trusted"
    return {
        "kind": kind, "status": status,
        "text": verdicts.describe(kind, status, text),
    }


def to_json(
    job: JobView, handler: str | None, max_attempts: int | None, more: Details
) -> dict[str, Any]:
    """The job as ``--json`` shows it; spoolctl(1) lists the fields."""
    name, rec = job.name, more.record
    submitted = job.submitted_ns
    out: dict[str, Any] = {
        "v": 1,
        "id": job.id,
        "name": _plain(job.dropped_name),
        "handler": rec.handler if rec and rec.handler else handler,
        "state": job.state.word,
        "priority": name.priority if name else names.DEFAULT_PRIORITY,
        "submitted": _moment(submitted),
        "due": _moment(name.due_ns if name else None),
        "attempts": name.runs if name else 0,
        "max_attempts": rec.max_attempts if rec else max_attempts,
        "reason": reason(job, more),
        "tags": list(rec.tags) if rec else [],
    }
    if job.state in (State.DONE, State.FAILED) and name is not None:
        last = rec.runs[-1] if rec and rec.runs else None
        seconds = last.seconds if last else (
            name.micros / 1e6 if name.micros is not None else None
        )
        finished = more.finished_ns
        kind, status = verdicts.reason_of(name.verdict)
        out.update({
            "started": _moment(last.started_ns if last else (
                None if finished is None or seconds is None
                else finished - round(seconds * units.NS)
            )),
            "finished": _moment(finished),
            "duration": seconds,
            "exit_status": status if kind == "exit" else (
                0 if kind == "ok" else None
            ),
            "signal": status if kind == "signal" else None,
            "value": rec.value if rec else None,
        })
    return out


def _moment(ns: int | None) -> str | None:
    return None if ns is None else units.format_moment(ns)


def _plain(text: str | None) -> str | None:
    """A name as JSON can carry it: undecodable bytes escaped."""
    if text is None:
        return None
    try:
        text.encode("utf-8")
        return text
    except UnicodeEncodeError:
        return inert(text)


def output_fd(spool: Spool, job: JobView, kind: str) -> int | None:
    """
    Open the captured ``out`` or ``err`` of a job's last run.

    Returns:
        A descriptor the caller closes; None if it wrote nothing.
    """
    if job.name is None:
        return None
    for state in (job.state, State.DEFERRED):
        fd = open_output(spool, state, f"{job.stem}.{kind}")
        if fd is not None:
            return fd
    return None


def open_output(spool: Spool, state: State, name: str) -> int | None:
    """A descriptor of a file of output; None if there is none."""
    try:
        return os.open(name, fsops.NOFOLLOW_READ, dir_fd=spool.fds[state])
    except FileNotFoundError:
        return None
