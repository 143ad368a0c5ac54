# SPDX-License-Identifier: MIT
"""What ls prints: one table, ids or JSON Lines."""

from __future__ import annotations

import sys
import time

from spooler import units, view
from spooler.cli.choose import Chooser, Selection
from spooler.cli.common import (
    UNFINISHED,
    Teller,
    ask_status,
    columns,
    emit,
    info,
    shown_name,
    states_of,
    table_lines,
)
from spooler.cli.out import echo
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert
from spooler.view import Details, JobView

TYPE_CHECKING = False
if TYPE_CHECKING:  # what starts fast imports nothing in vain
    from collections.abc import Iterator
    from typing import Any

HEADER = ("ID", "HANDLER", "STATE", "PRI", "AGE", "TRY", "INFO")


def wanted(states: tuple[str, ...]) -> list[State]:
    """The states a person named; those of interest if none."""
    return states_of(states, (*UNFINISHED, State.FAILED))


def show(
    path: str, states: tuple[str, ...], selection: Selection | None = None,
    count: int | None = None, sort: str = "state", quiet: bool = False,
    wide: bool = False, as_json: bool = False,
) -> int:
    """Print the jobs that were asked for; returns the exit status."""
    chosen = wanted(states)
    with Spool(path) as spool:
        chooser = Chooser(spool, chosen, selection or Selection(), sort)
        table = not quiet and not as_json
        shown, left = chooser.choose(count, table and sys.stdout.isatty())
        if quiet:
            for job in shown:
                echo(job.id)
        elif as_json:
            runs = any(job.state is State.ACTIVE for job in shown)
            daemon = ask_status(spool) if runs else None
            for job in shown:
                emit(chooser.teller.json(job, _details(spool, job), daemon))
        elif shown:
            for line in lines(spool, chooser.teller, shown, wide, columns()):
                echo(line)
        if not shown:
            words = " or ".join(states) or "unfinished or failed"
            echo(f"no jobs are {words}", err=True)
        for text in left:
            echo(text, err=True)
    return 0


def lines(
    spool: Spool, teller: Teller, shown: list[JobView], wide: bool,
    width: int,
) -> Iterator[str]:
    """The lines of the table."""
    daemon = ask_status(spool)
    rows: list[tuple[str, ...]] = []
    colors = []
    header = (*HEADER[:-1], "NAME", "INFO") if wide else HEADER
    for job in shown:
        rows.append(_row(spool, teller, job, wide, daemon))
        colors.append(job.state)
    return table_lines(header, rows, colors, width)


def _row(
    spool: Spool, teller: Teller, job: JobView, wide: bool,
    daemon: dict[str, Any] | None,
) -> tuple[str, ...]:
    told = teller.handler(job)
    more = _details(spool, job) if _has_reason(job) else Details()
    if more.record is not None and more.record.handler:
        told = more.record.handler
    age = "-"
    if job.submitted_ns is not None:
        seconds = time.time() - job.submitted_ns / units.NS
        age = units.format_duration(max(0.0, seconds))
    row = [
        job.id, inert(told or "-"), job.state.word,
        str(job.name.priority if job.name else 5), age,
        str(job.name.runs if job.name else 0),
    ]
    text = info(job, more, daemon, told)
    if wide:
        row.append(shown_name(job) or "-")
    elif shown_name(job):
        text = f"{shown_name(job)}: {text}" if text else shown_name(job)
    return (*row, text)


def _has_reason(job: JobView) -> bool:
    return job.state in (State.FAILED, State.DEFERRED)


def _details(spool: Spool, job: JobView) -> Details:
    if job.state in (State.DONE, State.FAILED, State.DEFERRED):
        return view.details(spool, job)
    return Details()
