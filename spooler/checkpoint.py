# SPDX-License-Identifier: MIT
"""
What a run leaves for the next one, should there be a next one.

It lies in the record that waits for the job in ``deferred/``, where a
verdict carries it on and the last verdict drops it.
"""

import dataclasses
import errno
import json
import os
from typing import Any, Protocol

from spooler import fsops, sidecar
from spooler.jsonable import why_not_json
from spooler.names import Name
from spooler.record import Record, encode
from spooler.spool import Spool
from spooler.states import State

CHECKPOINT_MAX_BYTES = 64 << 10


def judge(value: object) -> None:
    """Raise TypeError or ValueError for what cannot be a checkpoint."""
    why = why_not_json(value, "the checkpoint")
    if why is not None:
        raise TypeError(why)
    size = len(json.dumps(value))
    if size > CHECKPOINT_MAX_BYTES:
        raise ValueError(
            f"the checkpoint has {size} bytes, {CHECKPOINT_MAX_BYTES} is the"
            " limit; write it to a file and keep its name"
        )


class Checkpoint(Protocol):
    """Where a run keeps its checkpoint."""

    def read(self) -> Any:
        """What was kept last; None if nothing was."""

    def keep(self, value: Any) -> None:
        """Keep another one instead."""


class Loose:
    """The same of a run outside a spool: it ends with the run."""

    def __init__(self) -> None:
        self._value: Any = None

    def read(self) -> Any:
        """What was kept last."""
        return self._value

    def keep(self, value: Any) -> None:
        """Keep it in memory."""
        judge(value)
        self._value = value


class Kept:
    """The checkpoint of an active job."""

    def __init__(
        self, spool: Spool, name: Name, handler: str, durable: bool
    ) -> None:
        self._spool = spool
        self._name = name
        self._handler = handler
        self._durable = durable

    def _record(self) -> Record | None:
        return sidecar.read_record(
            self._spool, State.DEFERRED, self._name.stem
        )

    def _is_ours(self, record: Record) -> bool:
        # A producer who copies an id gets nothing of the other job's past.
        return record.id == self._name.id and record.handler in (
            None, self._handler
        )

    def exists(self) -> bool:
        """Whether there is a record of earlier runs, or a checkpoint."""
        return fsops.exists(
            self._spool.fds[State.DEFERRED], f"{self._name.stem}.result"
        )

    def read(self) -> Any:
        """What this run, or one before it, kept last."""
        record = self._record()
        if record is None or not self._is_ours(record):
            return None
        return record.checkpoint

    def keep(self, value: Any) -> None:
        """
        Keep it on disk.

        Raises:
            TypeError, ValueError: it is not JSON, or too large.
            OSError: the disk refused; what was kept before still is.
        """
        judge(value)
        record = self._record()
        if record is None:
            record = Record(self._name.id, self._handler)
        elif not self._is_ours(record):
            raise OSError(
                errno.EEXIST, os.strerror(errno.EEXIST), self._name.id
            )
        fsops.replace_file(
            self._spool.fds[State.DEFERRED], f"{self._name.stem}.result",
            encode(dataclasses.replace(record, checkpoint=value)),
            self._durable,
        )
