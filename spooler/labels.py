# SPDX-License-Identifier: MIT
"""How a log line speaks of a job."""

from spooler import names
from spooler.states import State
from spooler.text import inert

#: What a log record tells apart from its message.
FIELDS = ("spool_job_id", "spool_handler", "spool_state")


def id_of(text: str) -> str:
    """The id in a job's name, for a log line."""
    parsed = names.parse(text)
    return parsed.id if parsed is not None else inert(text)


def about(
    text: str, state: State, handler: str | None = None
) -> dict[str, str]:
    """
    The fields of a log record about a job, for ``extra=``.

    Args:
        text: the job's name, at any time.
        state: where it is now.
        handler: what runs it, if its name does not tell.
    """
    fields = {"spool_state": state.word}
    parsed = names.parse(text)
    if parsed is not None:
        fields["spool_job_id"] = parsed.id
        handler = handler or parsed.told_handler
    if handler:
        fields["spool_handler"] = inert(handler)
    return fields


def shown_name(text: str) -> str:
    """Handler or dropped name of a job, for the end of a log line."""
    parsed = names.parse(text)
    if parsed is None:
        return ""
    if parsed.dropped_name is not None:
        return f"name={inert(parsed.dropped_name)}"
    return f"handler={inert(parsed.told_handler or '')}"
