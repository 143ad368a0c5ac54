# SPDX-License-Identifier: MIT
"""What the daemon tells of itself: to spoolctl, and to systemd."""

import time
from typing import Any

from spooler import units
from spooler.arrivals import Arrivals
from spooler.config import Config
from spooler.crew import Crew
from spooler.dispatch import Dispatcher
from spooler.health import Health
from spooler.ledger import Ledger
from spooler.pause import EVERY
from spooler.text import inert
from spooler.upkeep import Upkeep

_STRAYS_SHOWN = 20


def status_line(
    crew: Crew, arrivals: Arrivals, ledger: Ledger, health: Health,
    upkeep: Upkeep, stopping: bool,
) -> str:
    """One line for ``systemctl status``, the worst first."""
    parts = ["stopping"] if stopping else []
    if health.trouble is not None:
        parts.append(f"in trouble: {inert(health.trouble)}")
    if upkeep.room.closed:
        parts.append(f"closed: {inert(upkeep.room.closed)}")
    paused = {
        name for name, breaker in ledger.breakers.items() if breaker.tripped
    }
    paused.update("all" if name == EVERY else name for name in upkeep.paused)
    if paused:
        parts.append(f"paused: {' '.join(sorted(paused))}")
    waiting = f"{arrivals.lanes.total} waiting"
    since_ns = arrivals.lanes.next_since_ns()
    if since_ns is not None:
        age = int(max(0.0, time.time() - since_ns / units.NS))
        waiting += f" (since {units.format_duration(age)})"
    if not arrivals.complete:
        parts.append("scanning")
    parts.append(
        f"{waiting}, {crew.running_count()} running, {ledger.done} done,"
        f" {ledger.failed} failed, {arrivals.deferred.total} deferred"
    )
    return "; ".join(parts)


def tasks(config: Config) -> dict[str, Any]:
    """The handlers that come of the modules of ``tasks``."""
    return {
        name: {
            "python": handler.python, "match": handler.match,
            "attempts": handler.attempts,
            "concurrency": handler.concurrency,
        }
        for name, handler in config.handlers.items()
        if handler.python
        and handler.python.partition(":")[0] in config.tasks
    }


def status(
    crew: Crew, arrivals: Arrivals, dispatcher: Dispatcher,
    ledger: Ledger, health: Health, upkeep: Upkeep,
) -> dict[str, Any]:
    """The fields that spoolctl asks for; only ever added to."""
    now = time.monotonic()
    strays = arrivals.intake.strays
    running = crew.running()
    return {
        "trouble": health.trouble,
        "closed": upkeep.room.closed,
        "watching": arrivals.watching,
        "slots": dispatcher.slots,
        "running": running,
        "own": sum(
            dispatcher.has_own_slots(job["handler"]) for job in running
        ),
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
        "delayed": arrivals.deferred.total,
        "strays": [
            {"name": inert(entry), "why": why}
            for entry, why in list(strays.items())[:_STRAYS_SHOWN]
        ],
        "stray_count": len(strays),
        "done": ledger.done,
        "failed": ledger.failed,
        "deferred": ledger.deferred,
    }
