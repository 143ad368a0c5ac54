# SPDX-License-Identifier: MIT
"""End running jobs."""

import time
from typing import Any

import click

from spooler import asking, listing
from spooler.cli.select import Steering, steering_options, verb
from spooler.doorbell import Doorbell
from spooler.errors import EX_FAILED, EX_NODAEMON, SpoolError
from spooler.spool import Spool
from spooler.states import State
from spooler.view import JobView

_PATIENCE_S = 10.0
_AGAIN_S = 0.1


@click.command("kill")
@steering_options
@click.pass_obj
def command(path: str, /, **typed: Any) -> int:
    """
    End running jobs, with all they started; they are filed as failed.

    A command gets TERM, half a second later KILL; a Python handler loses its
    worker.  This is the one verb that needs spoold.

    \b
    spoolctl kill 1hq2v
    spoolctl kill --all -H mail
    """
    steering = Steering(**typed)
    with Spool(path) as spool:
        doorbell = Doorbell(spool, (State.FAILED, State.DONE))
        try:
            running = (State.ACTIVE,)
            jobs = steering.chosen(spool, {State.ACTIVE}, running)
            if steering.dry_run:
                for job in jobs:
                    click.echo(job.id)
                return 0
            return _kill(spool, doorbell, jobs)
        finally:
            doorbell.close()


def _kill(spool: Spool, doorbell: Doorbell, jobs: list[JobView]) -> int:
    """Have all of them killed; returns the exit status."""
    until = time.monotonic() + _PATIENCE_S
    alive = {job.id: job for job in jobs}
    deaf = set(alive)  #: those that spoold has not been told of yet
    missed = 0
    while alive:
        deaf = {job_id for job_id in deaf if not _ask(spool, job_id)}
        ended = {job.id: job for job in doorbell.listen(_AGAIN_S)}
        lost = deaf.intersection(alive).difference(ended)
        if lost or not doorbell.works:
            # Claimed but not begun, or sent elsewhere; or nobody tells us.
            ended = listing.jobs(spool)
        for job_id in list(alive):
            now = ended.get(job_id)
            if now is None or now.state is State.ACTIVE:
                continue
            del alive[job_id]
            missed += not _report(now)
        if time.monotonic() > until:
            break
    for job_id in alive:
        click.echo(f"{job_id}: does not end; {verb()} it again", err=True)
    return EX_FAILED if alive or missed else 0


def _report(job: JobView) -> bool:
    """Print what came of it; whether it was killed."""
    if job.name is not None and job.name.verdict == "killed":
        click.echo(job.id)
        return True
    click.echo(
        f"{job.id}: was not killed; it is {job.state.word} now", err=True
    )
    return False


def _ask(spool: Spool, job_id: str) -> bool:
    """Tell spoold to kill a job; False if it does not know it to run."""
    answer = asking.ask(spool.private_fd, {"verb": "kill", "id": job_id})
    if answer is None:
        raise SpoolError(
            "spoold is not running, so nothing runs; what it left in active/"
            " goes on when it starts", EX_NODAEMON,
        )
    return bool(answer.get("killed"))
