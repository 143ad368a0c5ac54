# SPDX-License-Identifier: MIT
"""The log of a Python handler: lines on its standard error."""

import logging
import sys
from typing import Any

_LOGGER = "spooler.job"


class _Stderr(logging.Handler):
    """Writes to what standard error is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, which goes where the job's output goes."""
        try:
            print(self.format(record), file=sys.stderr)
        except Exception:  # as the handlers of the standard library do
            self.handleError(record)


def logger(
    job_id: str, handler: str, attempt: int
) -> "logging.LoggerAdapter[logging.Logger]":
    """
    A logger whose records carry ``job_id``, ``handler`` and ``attempt``.

    Unless the program set up logging, INFO and above are written to standard
    error, without time and name: they lie in the output of this very run.
    """
    found = logging.getLogger(_LOGGER)
    if not found.hasHandlers():
        stderr = _Stderr()
        stderr.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        found.addHandler(stderr)
        found.propagate = False
        if found.level == logging.NOTSET:
            found.setLevel(logging.INFO)
    extra: dict[str, Any] = {
        "job_id": job_id, "handler": handler, "attempt": attempt,
    }
    return logging.LoggerAdapter(found, extra)
