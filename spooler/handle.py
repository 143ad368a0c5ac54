# SPDX-License-Identifier: MIT
"""
A job from the outside: what submit returns, and what an id stands for.

It holds an id and a path, and nothing else that matters; another process,
or the same one after a restart, attaches to the job by its id.
"""

from __future__ import annotations

from spooler import names, outbox
from spooler.generics import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any, TypeVar

    V = TypeVar("V")
else:
    V = None


class Job(Generic[V]):
    """
    One job of a spool.

    Attributes:
        id: never used twice; write it down to attach later.
        spool: absolute path of the spool.
    """

    def __init__(self, job_id: str, spool: str) -> None:
        self.id = job_id
        self.spool = spool

    @classmethod
    def attach(
        cls, job_id: str, spool: str | os.PathLike[str] | None = None
    ) -> Job[Any]:
        """
        The job of an *id* that was written down.

        Args:
            spool: its path; None: as spoolctl chooses.

        Raises:
            ValueError: *job_id* is not a whole id.
        """
        if not names.is_id(job_id):
            raise ValueError(f"{job_id!r} is not a job id")
        return Job(job_id, outbox.path_of(spool))

    def __repr__(self) -> str:
        return f"<spooler.Job {self.id} of {self.spool}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Job):
            return NotImplemented
        return (self.id, self.spool) == (other.id, other.spool)

    def __hash__(self) -> int:
        return hash(self.id)
