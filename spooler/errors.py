# SPDX-License-Identifier: MIT
"""
What can go wrong, in three kinds, and the exit statuses that say so.

A caller's bug is a ValueError; a broken spool is the OSError the kernel
gave; a bad job is BadJob and ends in ``failed/``.  The rest are the words a
person (ConfigError, NoSuchJob), a producer (SubmitUnknown) or a handler
(Defer, Fail) needs.  No imports: every other module may import this one.
"""

#: Exit statuses of both programs; spoolctl(1) EXIT STATUS is held to these.
EX_OK = 0
EX_FAILED = 1
EX_USAGE = 2
EX_NODAEMON = 3
EX_NOSUCH = 4
EX_CANTCREAT = 73
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78
EX_TIMEOUT = 124
EX_INTERRUPTED = 130


class SpoolError(Exception):
    """An error with a message for a person; *status* is the exit status."""

    status = EX_FAILED

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        if status is not None:
            self.status = status


class ConfigError(SpoolError):
    """The configuration or the spool's layout cannot be used as it is."""

    status = EX_CONFIG


class SpoolClosed(SpoolError):
    """The spool takes no jobs now: it is full, or its disk is."""

    status = EX_TEMPFAIL


class SubmitUnknown(SpoolError):
    """
    The job was renamed into ``incoming/`` but its durability is not known.

    Submitting the same job again with the same id is safe: spoold keeps
    one of them.
    """

    status = EX_TEMPFAIL

    def __init__(self, job_id: str, text: str) -> None:
        super().__init__(text)
        self.job_id = job_id


class NotFound(Exception):
    """No job, or no single job, is meant by what a person typed."""


class BadJob(Exception):
    """The job itself is at fault; it goes to ``failed/`` with this text."""


class Defer(Exception):
    """
    Raised by a handler: not now, try again in *delay_s* seconds.

    Costs no attempt.  None takes the handler's backoff.
    """

    def __init__(self, text: str = "", delay_s: float | None = None) -> None:
        super().__init__(text)
        self.delay_s = delay_s


class Fail(Exception):
    """Raised by a handler: this job can never succeed, do not retry it."""


class JobLost(Exception):
    """A job was waited for, and is there no more; or its record is torn."""


class RemoteError(Exception):
    """The traceback of the run, as text: the cause of a JobFailed."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class JobFailed(Exception):
    """
    A job was waited for, and failed.

    Attributes:
        job_id: of the job.
        reason: in one line.
        kind: ``error exit signal timeout fail killed lost`` and the like.
        status: exit status or signal number, else None.
        attempts: how often it was run.
    """

    def __init__(
        self, job_id: str, reason: str, kind: str = "error",
        status: int | None = None, attempts: int = 0,
    ) -> None:
        super().__init__(f"{job_id}: {reason}")
        self.job_id = job_id
        self.reason = reason
        self.kind = kind
        self.status = status
        self.attempts = attempts

    def __reduce__(self) -> tuple[object, ...]:
        return JobFailed, (
            self.job_id, self.reason, self.kind, self.status, self.attempts
        )
