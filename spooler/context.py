# SPDX-License-Identifier: MIT
"""What a Python handler is given of the job it runs."""

import functools
import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spooler import names, progress
from spooler.checkpoint import Checkpoint, Loose
from spooler.jobload import Job
from spooler.names import Name

if TYPE_CHECKING:
    import logging


class JobContext:
    """
    The job, as a handler whose first parameter is named ``job`` gets it.

    Attributes:
        id: never used twice; an idempotency key.
        name: the dropped file's name, or None.
        handler: that runs it.
        attempt: 1 for the first run.
        max_attempts: failed runs before the job is given up.
        priority: 0..9.
        args, kwargs, tags, extra, traceparent: of the job document.
        file: path of the job file; do not write to it.
        allow: of the handler in spool.toml.
        deadline: when its time is up, as time.monotonic tells; None: never.
    """

    def __init__(
        self, name: Name, handler: str, max_attempts: int, file: str,
        job: Job, tell: Callable[[bytes], None] = lambda _: None,
        checkpoint: Checkpoint | None = None, deadline: float | None = None,
        allow: tuple[str, ...] = (),
    ) -> None:
        document = job.document
        self.id = name.id
        self.name = name.dropped_name
        self.handler = handler
        self.attempt = name.runs
        self.max_attempts = max_attempts
        self.priority = name.priority
        self.args: list[Any] = document.args if document else []
        self.kwargs: dict[str, Any] = document.kwargs if document else {}
        self.tags: list[str] = document.tags if document else []
        self.extra: dict[str, str] = document.extra if document else {}
        self.traceparent = document.traceparent if document else None
        self.file = file
        self._job = job
        self.deadline = deadline
        self.allow = allow
        self._tell = tell
        self._checkpoint = checkpoint or Loose()

    @classmethod
    def detached(cls, handler: str) -> "JobContext":
        """What a task gets that is called as a plain function."""
        name = Name(
            names.DEFAULT_PRIORITY, names.mint_id(time.time_ns(), 0),
            handler + names.DOCUMENT_SUFFIX, runs=1,
        )
        return cls(name, handler, 1, "", Job(None, 0, b"", None))

    @functools.cached_property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger; what it is told is in the job's standard error."""
        from spooler import joblog  # most handlers never ask

        return joblog.logger(self.id, self.handler, self.attempt)

    @property
    def remaining_s(self) -> float | None:
        """Seconds until its time is up, 0 at least; None: no limit."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - time.monotonic())

    @property
    def last_checkpoint(self) -> Any:
        """What this run, or an earlier one, kept last; None: nothing."""
        return self._checkpoint.read()

    def checkpoint(self, value: Any) -> None:
        """
        Keep how far the work is, for the next run should this one not end
        well; it is on disk when this returns.

        Args:
            value: JSON of 65536 bytes at most; None forgets.

        Raises:
            TypeError, ValueError: it is not JSON, or too large.
            OSError: the disk refused; what was kept before still is.
        """
        self._checkpoint.keep(value)

    def progress(
        self, done: float, total: float | None = None, text: str = ""
    ) -> None:
        """
        Tell how far the run is; ``ls``, ``show``, ``top`` and ``wait`` say so.

        Args:
            done: of *total*; without it, a fraction 0..1.
            text: a few words on what is being done.

        Raises:
            ValueError: that is no fraction.
        """
        if total is not None:
            text = f"{done:g}/{total:g} {text}"
            done = done / total if total > 0 else 0.0
        self._tell(progress.line(done, text))

    def open(self) -> io.BufferedReader | io.BytesIO:
        """The payload, or the document's body, as a binary file."""
        return self._job.open()

    @property
    def body(self) -> bytes:
        """The whole payload or body."""
        return self._job.read()
