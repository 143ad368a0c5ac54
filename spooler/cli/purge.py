# SPDX-License-Identifier: MIT
"""Delete jobs that finished long ago."""

import time

import click

from spooler import fsops, listing, retention, units
from spooler.cli.choose import Selection
from spooler.cli.common import WORDS, Teller
from spooler.cli.progress import track
from spooler.cli.select import confirm
from spooler.cli.words import Duration, HandlerName
from spooler.spool import Spool
from spooler.states import State
from spooler.view import JobView

_FINAL = (State.DONE, State.FAILED)


@click.command("purge")
@click.option("--older-than", type=Duration(), metavar="D", required=True,
              help="Those that finished longer ago than D; 0: all.")
@click.option("--state", type=click.Choice(["done", "failed", "all"]),
              default="done", help="Which; default: done.")
@click.option("-H", "--handler", type=HandlerName(), metavar="HANDLER",
              help="Only jobs of this handler.")
@click.option("--tag", "tags", metavar="TAG", multiple=True,
              help="Only jobs with this tag; may be repeated.")
@click.option("-n", "--dry-run", is_flag=True, help="Only print which.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(
    path: str, older_than: float, state: str, handler: str | None,
    tags: tuple[str, ...], dry_run: bool, yes: bool,
) -> int:
    """
    Delete finished jobs, with their results, by the age of their verdict.

    \b
    spoolctl purge --older-than 30d
    spoolctl purge --older-than 1y --state failed -H mail
    """
    states = _FINAL if state == "all" else (WORDS[state],)
    selection = Selection(handler=handler, tags=tags)
    with Spool(path) as spool:
        teller = Teller(spool)
        until_ns = time.time_ns() - round(older_than * units.NS)
        jobs = [
            job for job in listing.jobs(spool, states).values()
            if selection.matches(job, spool, teller)
            and _finished_by(spool, job, until_ns)
        ]
        if not jobs:
            click.echo("no jobs are that old", err=True)
        elif not dry_run:
            confirm(len(jobs), "purge", yes)
        for job in track(jobs, "purge"):
            if dry_run or retention.purge(
                spool, job.state, job.entry, job.stem
            ):
                click.echo(job.id)
    return 0


def _finished_by(spool: Spool, job: JobView, until_ns: int) -> bool:
    try:
        # A rename sets it, so it is the moment of the verdict.
        status = fsops.status(spool.fds[job.state], job.entry)
    except FileNotFoundError:
        return False
    return status.st_ctime_ns <= until_ns
