# SPDX-License-Identifier: MIT
"""The Python handlers of ``spoolctl demo``: an example of their forms."""

import os
import signal

from spooler.errors import Defer
from spooler.context import JobContext


def words(path: str) -> int:
    """A payload's handler gets the file's path; its value is the result."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return sum(len(line.split()) for line in file)


def square(number: str) -> int:
    """A document's handler gets its arguments."""
    return int(number) ** 2


def patient(job: JobContext, address: str) -> str:
    """Asks to be run later, once."""
    if job.attempt == 1:
        raise Defer("the mail server is busy", delay_s=1.0)
    return f"delivered to {address} on the second try"


def crasher(job: JobContext) -> str:
    """Is killed together with its worker on its first run."""
    if job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"
