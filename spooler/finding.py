# SPDX-License-Identifier: MIT
"""What a violated invariant is told by, and how its place is told."""

import dataclasses

from spooler import fsops
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert


@dataclasses.dataclass(frozen=True)
class Finding:
    """
    One thing that is wrong.

    Attributes:
        number: of the invariant.
        path: below the spool, inert.
        what: is wrong.
        todo: what a person may type or do.
    """

    number: int
    path: str
    what: str
    todo: str


def exists(spool: Spool, state: State, entry: str) -> bool:
    """Whether it is still there."""
    return fsops.exists(spool.fds[state], entry)


def path_of(state: State, entry: str) -> str:
    """Its path below the spool, inert."""
    return f"{state.value}/{inert(entry)}"
