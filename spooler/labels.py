# SPDX-License-Identifier: MIT
"""How a log line speaks of a job."""

from spooler import names
from spooler.text import inert


def id_of(text: str) -> str:
    """The id in a job's name, for a log line."""
    parsed = names.parse(text)
    return parsed.id if parsed is not None else inert(text)


def shown_name(text: str) -> str:
    """Handler or dropped name of a job, for the end of a log line."""
    parsed = names.parse(text)
    if parsed is None:
        return ""
    if parsed.dropped_name is not None:
        return f"name={inert(parsed.dropped_name)}"
    return f"handler={inert(parsed.told_handler or '')}"
