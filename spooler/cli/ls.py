# SPDX-License-Identifier: MIT
"""List jobs."""

import time

import click

from spooler import units, view
from spooler.cli.common import (
    UNFINISHED,
    Teller,
    ask_status,
    emit,
    info,
    shown_name,
    states_of,
    table,
)
from spooler.cli.select import Selection, selection_options
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert
from spooler.view import Details, JobView

HEADER = ("ID", "HANDLER", "STATE", "PRI", "AGE", "TRY", "INFO")
_ORDER = {
    State.DONE: 0, State.FAILED: 1, State.HELD: 2, State.DEFERRED: 3,
    State.INCOMING: 4, State.ACTIVE: 5,
}


def _by_state(job: JobView) -> tuple[object, ...]:
    rank = 9 - job.name.priority if job.name else 4
    return _ORDER[job.state], rank, job.id


SORTS = {
    "state": _by_state,
    "id": lambda job: job.id,
    "name": lambda job: (job.dropped_name or "", job.id),
    "priority": lambda job: (-job.name.priority if job.name else 0, job.id),
    "tries": lambda job: (-job.name.runs if job.name else 0, job.id),
}


@click.command("ls")
@click.argument("states", nargs=-1, metavar="[STATE]...")
@selection_options
@click.option("-n", "count", type=click.IntRange(1), metavar="N",
              help="The first N only.")
@click.option("--sort", type=click.Choice(list(SORTS)), default="state",
              help="Order; default: by state, then as they run.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only, one a line.")
@click.option("-w", "--wide", is_flag=True, help="The dropped name, too.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
@click.pass_obj
def command(
    path: str, states: tuple[str, ...], handler: str | None,
    since: float | None, older_than: float | None, count: int | None,
    sort: str, quiet: bool, wide: bool, as_json: bool,
) -> int:
    """
    List jobs: those not finished and those that failed, or those in STATE.

    STATE is incoming, active, deferred, held, done, failed or all.
    """
    wanted = states_of(states, (*UNFINISHED, State.FAILED))
    with Spool(path) as spool:
        teller = Teller(spool)
        selection = Selection(handler, since, older_than)
        found = [
            job for job in view.jobs(spool, wanted).values()
            if selection.matches(job, teller)
        ]
        found.sort(key=SORTS[sort])
        shown = found if count is None else found[:count]
        if quiet:
            for job in shown:
                click.echo(job.id)
        elif as_json:
            for job in shown:
                emit(teller.json(job, _details(spool, job)))
        elif shown:
            _table(spool, teller, shown, wide)
        if not found:
            words = " or ".join(states) or "unfinished or failed"
            click.echo(f"no jobs are {words}", err=True)
        elif len(shown) < len(found):
            click.echo(f"{len(found) - len(shown)} more", err=True)
    return 0


def _details(spool: Spool, job: JobView) -> Details:
    if job.state in (State.DONE, State.FAILED, State.DEFERRED):
        return view.details(spool, job)
    return Details()


def _table(
    spool: Spool, teller: Teller, shown: list[JobView], wide: bool
) -> None:
    daemon = ask_status(spool)
    rows, colors = [], []
    header = (*HEADER[:-1], "NAME", "INFO") if wide else HEADER
    for job in shown:
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
        rows.append((*row, text))
        colors.append(job.state)
    table(header, rows, colors)


def _has_reason(job: JobView) -> bool:
    return job.state in (State.FAILED, State.DEFERRED)
