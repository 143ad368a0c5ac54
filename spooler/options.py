# SPDX-License-Identifier: MIT
"""How a call of a task is submitted."""

from __future__ import annotations

import time

from spooler import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    import os
    from collections.abc import Iterable

    Duration = float | str | datetime.timedelta
    Moment = float | str | datetime.datetime
    Path = str | os.PathLike[str]

#: The clock that delays are counted from.
now_ns = time.time_ns


class Options:
    """
    How calls are submitted.

    Attributes:
        spool: path, or None: as spoolctl chooses.
        priority: 0..9, 9 first.
        durable: survives a power cut once submitted; else a kill -9 only.
        key: of jobs that are alike, or None.
        unique: until when one stands for all of its key, as holding.py has
            it; None: each is submitted.
    """

    __slots__ = (
        "spool", "priority", "durable", "key", "unique", "fields", "_delay",
        "_at",
    )

    def __init__(
        self,
        spool: Path | None = None,
        priority: int = names.DEFAULT_PRIORITY,
        durable: bool = True,
        delay: Duration | None = None,
        at: Moment | None = None,
        timeout: Duration | None = None,
        expires: Duration | None = None,
        attempts: int | None = None,
        key: str | None = None,
        tags: Iterable[str] = (),
        unique: Duration | None = None,
    ) -> None:
        """Judge them; ValueError says what is wrong."""
        if type(priority) is not int or not 0 <= priority <= 9:
            raise ValueError(f"priority is 0..9, not {priority!r}")
        if delay is not None and at is not None:
            raise ValueError("delay and at exclude each other")
        if isinstance(tags, str):
            raise ValueError(f"tags is a list of texts; write [{tags!r}]")
        if durable is not True and durable is not False:
            raise ValueError(f"durable is True or False, not {durable!r}")
        if key is not None and not isinstance(key, str):
            raise ValueError(f"key is a text, not {key!r}")
        self.spool = spool
        self.priority = priority
        self.durable = durable
        self._delay = None if delay is None else seconds(delay)
        self._at = None if at is None else _moment_ns(at)
        fields = []
        if timeout is not None:
            fields.append(("Timeout", f"{seconds(timeout):.6f}"))
        if expires is not None:
            fields.append(("Expires", f"{seconds(expires):.6f}"))
        if attempts is not None:
            if type(attempts) is not int or not 1 <= attempts <= 99:
                raise ValueError(f"attempts is 1..99, not {attempts!r}")
            fields.append(("Attempts", str(attempts)))
        if key is not None:
            fields.append(("Key", key))
        elif unique is not None:
            raise ValueError("unique needs a key: which jobs are alike")
        self.key = key
        self.unique = None if unique is None else until(unique)
        for tag in tags:
            if not isinstance(tag, str):
                raise ValueError(f"tags is a list of texts, not of {tag!r}")
            fields.append(("Tag", tag))
        self.fields = tuple(fields)

    def due_ns(self) -> int | None:
        """Before when the job must not start; the delay counts from now."""
        if self._delay is not None:
            return now_ns() + round(self._delay * 1e9)
        return self._at


def until(unique: Duration) -> str | float:
    """Until when a job is unique: a word of holding.py, or seconds."""
    from spooler import holding  # few producers need it

    chosen: str | float
    if isinstance(unique, str) and not unique[:1].isdigit():
        chosen = unique
    else:
        chosen = seconds(unique)
    why = holding.why_not(chosen)
    if why is not None:
        raise ValueError(why)
    return chosen


def seconds(duration: Duration) -> float:
    """Seconds of a number, a text like ``5m``, or a timedelta."""
    if isinstance(duration, str):
        from spooler import units  # few producers need it

        return units.parse_duration(duration)
    if hasattr(duration, "total_seconds"):
        duration = duration.total_seconds()
    if isinstance(duration, bool) or not isinstance(duration, (int, float)):
        raise ValueError(
            f"{duration!r:.60} is not a duration: seconds, a text like '5m'"
            " or a timedelta"
        )
    if not 0 <= duration < 100 * 365 * 86400:
        raise ValueError(f"{duration!r} is not a duration in seconds")
    return float(duration)


def _moment_ns(moment: Moment) -> int:
    from spooler import units  # few producers need it

    if isinstance(moment, (int, float)):
        return units.parse_moment(f"@{moment!r}")
    if hasattr(moment, "isoformat"):
        moment = moment.isoformat()
    if not isinstance(moment, str):
        raise ValueError(
            f"{moment!r:.60} is not a moment: seconds since 1970, a text of"
            " RFC 3339 or a datetime"
        )
    return units.parse_moment(moment)
