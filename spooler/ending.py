# SPDX-License-Identifier: MIT
"""How a job ended, as who waits for it wants to know."""

import dataclasses
import time
from typing import Any

from spooler import fsops, names, record, verdicts
from spooler.errors import JobFailed, JobLost, RemoteError
from spooler.record import Record
from spooler.spool import Spool
from spooler.states import FLOW, State

FINAL = (State.DONE, State.FAILED)
LOOKS = 3  #: without a job, until it is taken for lost
LOOK_S = 0.1  #: between them: one that moves backwards can be missed


@dataclasses.dataclass(frozen=True)
class Ending:
    """
    A job's end.

    Attributes:
        job_id: of the job.
        state: DONE or FAILED; None: the job is no more.
        verdict: the word in its name.
        record: of its runs; None if there is none.
        torn: there is a record, and it is not whole.
        trouble: the spool could not be watched to the end.
    """

    job_id: str
    state: State | None
    verdict: str = ""
    record: Record | None = None
    torn: bool = False
    trouble: OSError | None = None

    def value(self) -> Any:
        """
        What the handler returned.

        Raises:
            JobFailed: it did not succeed.
            JobLost: there is no telling.
            OSError: the spool is in trouble.
        """
        if self.trouble is not None:
            raise self.trouble
        if self.state is None:
            raise JobLost(
                f"{self.job_id}: no such job; it was removed or purged"
            )
        if self.torn:
            raise JobLost(f"{self.job_id}: its record is torn")
        if self.state is State.DONE:
            return self.record.value if self.record is not None else None
        raise self._failure()

    def _failure(self) -> JobFailed:
        kind, status = verdicts.reason_of(self.verdict)
        text, trace, runs = "", None, 0
        if self.record is not None:
            trace = self.record.traceback
            runs = len(self.record.runs)
            if runs:
                text = self.record.runs[-1].text
        reason = verdicts.describe(kind, status, text)
        error = JobFailed(self.job_id, reason, kind, status, runs)
        if trace is not None:
            error.__cause__ = RemoteError(trace)
        return error


def lost(job_id: str) -> Ending:
    """The end of a job that nobody can find."""
    return Ending(job_id, None)


def read(spool: Spool, state: State, entry: str) -> Ending | None:
    """
    Read the end of the job *entry* in ``done/`` or ``failed/``.

    Returns:
        None if it is there no more: sent back, or purged.
    """
    name = names.parse(entry)
    assert name is not None
    data = fsops.read_file(
        spool.fds[state], f"{name.stem}.result", record.RECORD_MAX_BYTES
    )
    if data is None:
        if not fsops.exists(spool.fds[state], entry):
            return None
        return Ending(name.id, state, name.verdict)
    told = record.decode(data)
    return Ending(name.id, state, name.verdict, told, told is None)


def find(spool: Spool, job_id: str) -> tuple[State, str] | None:
    """Where a job lies, by looks at everything; None if nowhere."""
    for number in range(LOOKS):
        if number:
            time.sleep(LOOK_S)  # nothing tells of what is not there
        found = None
        for state in FLOW:
            for entry in spool.scan(state):
                if is_job(entry.name, job_id):
                    found = state, entry.name
        if found is not None:
            return found
    return None


def is_job(entry: str, job_id: str) -> bool:
    """Whether a directory entry is the job of that id."""
    return entry[2:names.STEM_CHARS] == job_id and "," in entry
