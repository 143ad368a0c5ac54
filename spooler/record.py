# SPDX-License-Identifier: MIT
"""
The record of a job's runs: one JSON object beside the job.

Pure.  The last member of the object is a checksum over all before it, so a
torn or altered record is recognised, and ``jq`` still reads a whole one.
"""

import dataclasses
import json
from typing import Any

from spooler.digest import sha256_hex

VERSION = 1
CHECK_CHARS = 16
RECORD_MAX_BYTES = 16 << 20
REASON_MAX_CHARS = 1000
_MARK = b',"check":"'
_END = b'"}\n'
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


@dataclasses.dataclass(frozen=True)
class Run:
    """
    One run of a job.

    Attributes:
        run: 1 for the first.
        started_ns: wall clock.
        seconds: how long it took.
        kind: ``ok exit signal timeout error defer bad lost killed
            no-handler unknown-handler`` and the like.
        status: exit status or signal number, else None.
        text: one line for a person.
        counted: whether it counts as an attempt.
        rusage: ``utime`` and ``stime`` in seconds, ``maxrss`` in bytes.
    """

    run: int
    started_ns: int
    seconds: float
    kind: str
    status: int | None = None
    text: str = ""
    counted: bool = True
    rusage: dict[str, float] | None = None


@dataclasses.dataclass(frozen=True)
class Record:
    """
    All runs of one job, oldest first, and what the last one produced.

    Attributes:
        id: of the job.
        handler: that ran it, if it came so far.
        max_attempts: that were in force.
        runs: one entry a run.
        value: JSON value the handler returned.
        traceback: of the last run, of a Python handler that raised.
        out_bytes: size of the ``.out`` sidecar; a shorter file is torn.
        err_bytes: the same for ``.err``.
        tags: of the document.
        checkpoint: that a run left for the next one.
    """

    id: str
    handler: str | None = None
    max_attempts: int | None = None
    runs: tuple[Run, ...] = ()
    value: Any = None
    traceback: str | None = None
    out_bytes: int = 0
    err_bytes: int = 0
    tags: tuple[str, ...] = ()
    checkpoint: Any = None


def encode(record: Record) -> bytes:
    """
    Write *record* as one line.

    Raises:
        ValueError, TypeError: the value is not JSON (NaN, a set, too deep).
    """
    # Not asdict: it copies all there is, however deep.
    fields = {"v": VERSION, **vars(record)}
    fields["runs"] = [vars(run) for run in record.runs]
    try:
        text = _encode(fields)
    except RecursionError:
        raise ValueError("nested too deep for JSON") from None
    covered = text.encode("ascii")[:-1]
    return covered + _MARK + _checksum(covered) + _END


def decode(data: bytes) -> Record | None:
    """
    Read what encode wrote.

    Returns:
        The record; None if it is torn, altered or of an unknown version:
        the run's result is then unknown, and never guessed.
    """
    tail = len(_MARK) + CHECK_CHARS + len(_END)
    covered, mark = data[:-tail], data[-tail:]
    if mark != _MARK + _checksum(covered) + _END:
        return None
    try:
        fields = json.loads(covered + b"}")
        if fields.pop("v") != VERSION:
            return None
        fields["runs"] = tuple(Run(**run) for run in fields["runs"])
        fields["tags"] = tuple(fields["tags"])
        return Record(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _checksum(data: bytes) -> bytes:
    return sha256_hex(data)[:CHECK_CHARS].encode("ascii")
