# SPDX-License-Identifier: MIT
"""What a Python handler is given of the job it runs."""

import io
from collections.abc import Callable
from typing import Any

from spooler import progress
from spooler.jobload import Job
from spooler.names import Name


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
    """

    def __init__(
        self, name: Name, handler: str, max_attempts: int, file: str,
        job: Job, tell: Callable[[bytes], None] = lambda _: None,
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
        self._tell = tell

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
