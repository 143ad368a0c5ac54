# SPDX-License-Identifier: MIT
"""What the daemon tells of itself: to spoolctl, and to systemd."""

from typing import Any

from spooler.arrivals import Arrivals
from spooler.crew import Crew
from spooler.dispatch import Dispatcher
from spooler.text import inert

_STRAYS_SHOWN = 20


def status_line(
    crew: Crew, arrivals: Arrivals, trouble: str | None
) -> str:
    """One line for ``systemctl status``."""
    trouble = trouble or crew.trouble
    if trouble is not None:
        return f"in trouble: {inert(trouble)}"
    tally = crew.tally
    return (
        f"{len(arrivals.lanes)} waiting, {len(crew.running())} running,"
        f" {tally.done} done, {tally.failed} failed"
    )


def status(
    crew: Crew, arrivals: Arrivals, dispatcher: Dispatcher,
    trouble: str | None,
) -> dict[str, Any]:
    """The fields that spoolctl asks for; only ever added to."""
    strays = arrivals.intake.strays
    return {
        "trouble": trouble or crew.trouble,
        "watching": arrivals.watching,
        "slots": dispatcher.slots,
        "running": crew.running(),
        "limits": {
            name: [dispatcher.running(name), dispatcher.limit(name)]
            for name in dispatcher.handlers
        },
        "strays": [
            {"name": inert(entry), "why": why}
            for entry, why in list(strays.items())[:_STRAYS_SHOWN]
        ],
        "stray_count": len(strays),
        "done": crew.tally.done,
        "failed": crew.tally.failed,
    }
