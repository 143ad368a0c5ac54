# SPDX-License-Identifier: MIT
"""
The states a job can be in, and every legal move between them.

Whatever decides where a job may go next is in this file; nothing else is:
no I/O, no clock, no configuration.  ``spool.py`` makes the moves and
spool(5) prints the table; a test fails if the three disagree.
"""

import enum


class State(enum.Enum):
    """A job's state *is* the directory holding its file."""

    TMP = "tmp"  #: a producer is still writing it; not yet a job
    INCOMING = "incoming"  #: whole; waiting to be claimed
    ACTIVE = "active"  #: claimed; its name carries the claim token
    DEFERRED = "deferred"  #: not yet due; its name carries the due time
    HELD = "hold"  #: put aside by a person until released
    DONE = "done"  #: the handler succeeded; kept until purged
    FAILED = "failed"  #: a permanent verdict, or attempts used up
    GONE = "gone"  #: removed or purged; no directory

    # Members are compared by identity; enum's own hash is made in Python,
    # and every move looks two of them up.
    __hash__ = object.__hash__

    @property
    def word(self) -> str:
        """The word a person reads: the directory's, but *held*."""
        return "held" if self is State.HELD else self.value


#: The directories of a spool, in the order a job flows through them.  A
#: listing that scans in this order and keeps the later sighting misses no
#: job that moves forward meanwhile.
FLOW = (
    State.HELD,
    State.INCOMING,
    State.DEFERRED,
    State.ACTIVE,
    State.DONE,
    State.FAILED,
)

#: Where one job is found in several directories, the first of these is true.
PRECEDENCE = (
    State.DONE,
    State.FAILED,
    State.ACTIVE,
    State.DEFERRED,
    State.HELD,
    State.INCOMING,
    State.TMP,
)

SPOOLD = "spoold"
WORKER = "worker"
PRODUCER = "producer"
SPOOLCTL = "spoolctl"

#: (from, event, to, by).  One row is one rename(2) (or unlink(2) for gone),
#: made by the method of Spool that has the event's name.
MOVES = (
    (State.TMP, "submit", State.INCOMING, PRODUCER),
    (State.INCOMING, "admit", State.INCOMING, SPOOLD),
    (State.INCOMING, "delay", State.DEFERRED, SPOOLD),
    (State.INCOMING, "claim", State.ACTIVE, WORKER),
    (State.ACTIVE, "finish", State.DONE, WORKER),
    (State.ACTIVE, "delete", State.GONE, WORKER),
    (State.ACTIVE, "defer", State.DEFERRED, WORKER),
    (State.ACTIVE, "fail", State.FAILED, WORKER),
    (State.ACTIVE, "give_back", State.INCOMING, SPOOLD),
    (State.ACTIVE, "recover", State.INCOMING, SPOOLD),
    (State.ACTIVE, "twin", State.ACTIVE, WORKER),
    (State.DEFERRED, "retry", State.INCOMING, SPOOLD),
    (State.DEFERRED, "reschedule", State.DEFERRED, SPOOLD),
    (State.INCOMING, "hold", State.HELD, SPOOLCTL),
    (State.DEFERRED, "hold", State.HELD, SPOOLCTL),
    (State.HELD, "release", State.INCOMING, SPOOLCTL),
    (State.INCOMING, "remove", State.GONE, SPOOLCTL),
    (State.DEFERRED, "remove", State.GONE, SPOOLCTL),
    (State.HELD, "remove", State.GONE, SPOOLCTL),
    (State.DONE, "requeue", State.INCOMING, SPOOLCTL),
    (State.FAILED, "requeue", State.INCOMING, SPOOLCTL),
    (State.DONE, "purge", State.GONE, SPOOLCTL),
    (State.FAILED, "purge", State.GONE, SPOOLCTL),
)


def sources(event: str) -> tuple[State, ...]:
    """The states *event* may start from; empty for an unknown event."""
    return tuple(row[0] for row in MOVES if row[1] == event)
