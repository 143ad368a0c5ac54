# SPDX-License-Identifier: MIT
"""Show the handlers of a spool."""

import collections
import sys
from typing import Any

import click

from spooler import listing, pause
from spooler.cli.common import (
    Teller,
    ask_status,
    emit,
    load_config,
    print_table,
    unknown_tasks,
)
from spooler.config import Handler
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert
from spooler.view import view

HEADER = (
    "HANDLER", "KIND", "SLOTS", "WAITING", "ACTIVE", "FAILED", "DONE", "INFO",
)
_COUNTED = {
    "WAITING": (State.INCOMING, State.DEFERRED, State.HELD),
    "ACTIVE": (State.ACTIVE,), "FAILED": (State.FAILED,),
    "DONE": (State.DONE,),
}


@click.command("handlers")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
@click.pass_obj
def command(path: str, as_json: bool) -> int:
    """Show what is installed: where from, how many jobs, what pauses."""
    with Spool(path) as spool:
        read = load_config(spool)
        handlers = read.handlers
        counts = _count(spool)
        marks = pause.marks(spool)
        daemon = ask_status(spool)
        if as_json:
            for handler in handlers.values():
                emit(_json(handler, counts, marks, daemon))
        elif handlers:
            print_table(HEADER, [
                _row(handler, counts, marks, daemon)
                for handler in handlers.values()
            ])
        elif not read.tasks:
            click.echo(
                f"no handlers; {inert(spool.path)}/spool.toml shows how",
                err=True,
            )
        why = unknown_tasks(spool, read)
        if why is not None:
            click.echo(why, err=True)
        known = set(handlers)
        unknown = {
            name for (name, _), number in counts.items()
            if number and name not in known
        }
        for name in sorted(unknown, key=str):
            jobs = sum(counts[name, state] for state in FLOW)
            told = f"for {inert(name)}, which is no handler" if name else (
                "whose names tell no handler"
            )
            click.echo(f"{jobs} jobs {told}", err=True)
        sys.stdout.flush()
    return 0


def _count(spool: Spool) -> "collections.Counter[tuple[str | None, State]]":
    """How many jobs there are, by handler and state."""
    teller = Teller(spool)
    counts: collections.Counter[tuple[str | None, State]] = (
        collections.Counter()
    )
    for state in FLOW:
        for entry in listing.entries(spool, state):
            handler = listing.handler_in(entry)
            if handler is None:
                job = view(state, entry)
                if job is None:
                    continue
                handler = teller.handler(job)
            counts[handler, state] += 1
    return counts


def _json(
    handler: Handler,
    counts: "collections.Counter[tuple[str | None, State]]",
    marks: frozenset[str], daemon: dict[str, Any] | None,
) -> dict[str, Any]:
    limits = daemon["limits"].get(handler.name) if daemon else None
    return {
        "v": 1, "handler": handler.name, "kind": handler.kind,
        "source": _source(handler), "match": list(handler.match),
        "slots": limits[1] if limits else handler.concurrency,
        "paused": bool(marks & {pause.EVERY, handler.name}),
        "tripped": bool(daemon and handler.name in daemon["paused"]),
        "jobs": {
            state.word: counts[handler.name, state] for state in FLOW
        },
    }


def _source(handler: Handler) -> str:
    if handler.python is not None:
        return handler.python
    return " ".join(handler.command)


def _row(
    handler: Handler,
    counts: "collections.Counter[tuple[str | None, State]]",
    marks: frozenset[str], daemon: dict[str, Any] | None,
) -> tuple[str, ...]:
    fields = _json(handler, counts, marks, daemon)
    info = inert(fields["source"])
    if fields["match"]:
        info += f"  for {inert(' '.join(fields['match']))}"
    if fields["tripped"]:
        info = f"dies over and over; {info}"
    if fields["paused"]:
        info = f"paused; {info}"
    return (
        handler.name, handler.kind, str(fields["slots"] or "shared"),
        *(
            str(sum(counts[handler.name, state] for state in states))
            for states in _COUNTED.values()
        ), info,
    )
