# SPDX-License-Identifier: MIT
"""List jobs."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from spooler import listing, units, view
from spooler.cli import live
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
from spooler.cli.select import Selection, selection_options
from spooler.cli.words import StateWord
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert
from spooler.view import Details, JobView

HEADER = ("ID", "HANDLER", "STATE", "PRI", "AGE", "TRY", "INFO")
_ORDER = {
    State.DONE: 0, State.FAILED: 1, State.HELD: 2, State.DEFERRED: 3,
    State.INCOMING: 4, State.ACTIVE: 5,
}
_FINAL = (State.DONE, State.FAILED)
_SCREEN = 50  #: jobs of each state that a person is shown unasked


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
@click.argument("states", nargs=-1, type=StateWord(), metavar="[STATE]...")
@selection_options
@click.option("-n", "count", type=click.IntRange(1), metavar="N",
              help="The first N only.")
@click.option("--sort", type=click.Choice(list(SORTS)), default="state",
              help="Order; default: by state, then as they run.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only, one a line.")
@click.option("-w", "--wide", is_flag=True, help="The dropped name, too.")
@click.option("--watch", is_flag=True,
              help="Show it again whenever it changes, until ^C.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
@click.pass_obj
def command(
    path: str, states: tuple[str, ...], handler: str | None,
    tags: tuple[str, ...], since: float | None, older_than: float | None,
    count: int | None, sort: str, quiet: bool, wide: bool, watch: bool,
    as_json: bool,
) -> int:
    """
    List jobs: those not finished and those that failed, or those in STATE.

    STATE is incoming, active, deferred, held, done, failed or all.
    """
    wanted = states_of(states, (*UNFINISHED, State.FAILED))
    selection = Selection(handler, since, older_than, tags)
    with Spool(path) as spool:
        chooser = Chooser(spool, wanted, selection, sort)
        if watch:
            if quiet or as_json or not sys.stdout.isatty():
                raise click.UsageError(
                    "--watch is for a terminal; 'events -f' tells programs"
                )
            return _watch(spool, chooser, count, wide)
        table = not quiet and not as_json
        shown, left = chooser.choose(count, table and sys.stdout.isatty())
        if quiet:
            for job in shown:
                click.echo(job.id)
        elif as_json:
            runs = any(job.state is State.ACTIVE for job in shown)
            daemon = ask_status(spool) if runs else None
            for job in shown:
                emit(chooser.teller.json(job, _details(spool, job), daemon))
        elif shown:
            for line in _lines(
                spool, chooser.teller, shown, wide, columns()
            ):
                click.echo(line)
        if not shown:
            words = " or ".join(states) or "unfinished or failed"
            click.echo(f"no jobs are {words}", err=True)
        for text in left:
            click.echo(text, err=True)
    return 0


class Chooser:
    """
    Picks the jobs to be listed.

    Attributes:
        teller: of their handlers.
    """

    def __init__(
        self, spool: Spool, states: list[State], selection: Selection,
        sort: str,
    ) -> None:
        self._spool = spool
        self._states = sorted(set(states), key=lambda state: _ORDER[state])
        self._selection = selection
        self._sort = sort
        self.teller = Teller(spool)

    def choose(
        self, count: int | None, for_person: bool
    ) -> tuple[list[JobView], list[str]]:
        """
        The jobs, in order, and what to say of those that are left out.

        Args:
            count: the first so many; None: all.
            for_person: without *count*, a screenful of each state will do:
                of finished jobs the latest, else those that run first.
        """
        if self._selection.empty and self._sort == "state":
            if count is not None:
                return self._first(count)
            if for_person:
                return self._screen()
        found = [
            job for job in listing.jobs(self._spool, self._states).values()
            if self._selection.matches(job, self._spool, self.teller)
        ]
        found.sort(key=SORTS[self._sort])
        if count is None or len(found) <= count:
            return found, []
        return found[:count], [f"{len(found) - count} more"]

    def _first(self, count: int) -> tuple[list[JobView], list[str]]:
        shown: list[JobView] = []
        total = 0
        for state in self._states:
            found, number = listing.some(
                self._spool, state, count - len(shown)
            )
            shown += sorted(found, key=_by_state)
            total += number
        more = total - len(shown)
        return shown, [f"{more} more"] if more > 0 else []

    def _screen(self) -> tuple[list[JobView], list[str]]:
        shown: dict[str, JobView] = {}
        left = []
        for state in (state for state in FLOW if state in self._states):
            found, number = listing.some(
                self._spool, state, _SCREEN, state in _FINAL
            )
            if number > len(found):
                left.append(
                    f"{number - len(found)} more {state.word};"
                    f" 'spoolctl ls {state.word} -n {number}' shows all"
                )
            for job in found:
                shown[job.stem] = job
        return sorted(shown.values(), key=_by_state), left


def _details(spool: Spool, job: JobView) -> Details:
    if job.state in (State.DONE, State.FAILED, State.DEFERRED):
        return view.details(spool, job)
    return Details()


def _watch(
    spool: Spool, chooser: Chooser, count: int | None, wide: bool
) -> int:
    import shutil

    from spooler.doorbell import Doorbell  # watchdog: a third of an ls

    doorbell = Doorbell(spool, FLOW)

    def draw() -> str:
        size = shutil.get_terminal_size()
        limit = min(count or size.lines, max(1, size.lines - 3))
        shown, left = chooser.choose(limit, False)
        lines = [
            time.strftime("%H:%M:%S")
            + f"  {inert(spool.path)}"[:size.columns - 8]
        ]
        lines += _lines(spool, chooser.teller, shown, wide, size.columns)
        return "\n".join([*lines[:size.lines - 1], *left])

    try:
        live.show(draw, lambda wait_s: bool(doorbell.listen(wait_s)))
    finally:
        doorbell.close()
    return 0


def _lines(
    spool: Spool, teller: Teller, shown: list[JobView], wide: bool,
    width: int,
) -> Iterator[str]:
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
