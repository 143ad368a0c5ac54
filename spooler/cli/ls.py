# SPDX-License-Identifier: MIT
"""List jobs."""

import sys
import time

import click

from spooler.cli import live, table
from spooler.cli.choose import SORTS, Chooser, Selection
from spooler.cli.select import selection_options
from spooler.cli.words import StateWord
from spooler.spool import Spool
from spooler.states import FLOW
from spooler.text import inert


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
    selection = Selection(handler, since, older_than, tags)
    if not watch:
        return table.show(
            path, states, selection, count, sort, quiet, wide, as_json
        )
    chosen = table.wanted(states)
    with Spool(path) as spool:
        if quiet or as_json or not sys.stdout.isatty():
            raise click.UsageError(
                "--watch is for a terminal; 'events -f' tells programs"
            )
        chooser = Chooser(spool, chosen, selection, sort)
        return _watch(spool, chooser, count, wide)


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
        lines += table.lines(spool, chooser.teller, shown, wide, size.columns)
        return "\n".join([*lines[:size.lines - 1], *left])

    try:
        live.show(draw, lambda wait_s: bool(doorbell.listen(wait_s)))
    finally:
        doorbell.close()
    return 0
