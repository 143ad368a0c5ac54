# SPDX-License-Identifier: MIT
"""What the daemon tells of itself: to spoolctl, and to systemd."""

import time
from typing import Any

from spooler.arrivals import Arrivals
from spooler.crew import Crew
from spooler.dispatch import Dispatcher
from spooler.health import Health
from spooler.ledger import Ledger
from spooler.text import inert
from spooler.upkeep import Upkeep

_STRAYS_SHOWN = 20


def status_line(
    crew: Crew, arrivals: Arrivals, ledger: Ledger, health: Health
) -> str:
    """One line for ``systemctl status``."""
    trouble = health.trouble
    if trouble is not None:
        return f"in trouble: {inert(trouble)}"
    return (
        f"{arrivals.lanes.total} waiting, {crew.running_count()} running,"
        f" {ledger.done} done, {ledger.failed} failed"
    )


def status(
    crew: Crew, arrivals: Arrivals, dispatcher: Dispatcher,
    ledger: Ledger, health: Health, upkeep: Upkeep,
) -> dict[str, Any]:
    """The fields that spoolctl asks for; only ever added to."""
    now = time.monotonic()
    strays = arrivals.intake.strays
    return {
        "trouble": health.trouble,
        "closed": upkeep.room.closed,
        "watching": arrivals.watching,
        "slots": dispatcher.slots,
        "running": crew.running(),
        "limits": {
            name: [dispatcher.running(name), dispatcher.limit(name)]
            for name in dispatcher.handlers
        },
        "paused": {
            name: [round(breaker.wait_s(now), 3), breaker.deaths,
                   breaker.last]
            for name, breaker in ledger.breakers.items() if breaker.tripped
        },
        "marks": sorted(upkeep.paused),
        "waiting": {
            name: dispatcher.waiting(name) for name in dispatcher.handlers
        },
        "backlog": arrivals.lanes.total,
        "delayed": arrivals.timetable.total,
        "strays": [
            {"name": inert(entry), "why": why}
            for entry, why in list(strays.items())[:_STRAYS_SHOWN]
        ],
        "stray_count": len(strays),
        "done": ledger.done,
        "failed": ledger.failed,
        "deferred": ledger.deferred,
    }
