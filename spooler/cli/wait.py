# SPDX-License-Identifier: MIT
"""Wait until jobs are done or failed."""

import time

import click

from spooler import listing, progress, view
from spooler.cli.common import Teller, ask_status, emit
from spooler.cli.progress import Meter
from spooler.cli.select import named_jobs
from spooler.cli.words import Duration, Job
from spooler.doorbell import Doorbell
from spooler.errors import EX_FAILED, EX_NOSUCH, EX_TIMEOUT
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert
from spooler.verdicts import reason_of
from spooler.view import JobView

FINAL = (State.DONE, State.FAILED)
#: Between looks for jobs that somebody removed.
_LOOK_S = 5.0
_METER_S = 0.5  #: between looks at how far they are


@click.command("wait")
@click.argument("jobs", nargs=-1, required=True, type=Job(),
                metavar="JOB...")
@click.option("--timeout", type=Duration(), metavar="D",
              help="Give up after D, with exit status 124.")
@click.option("--json", "as_json", is_flag=True,
              help="Print each job as it ends.")
@click.pass_obj
def command(
    path: str, jobs: tuple[str, ...], timeout: float | None, as_json: bool
) -> int:
    """
    Wait until every JOB is done or failed.

    Exits 0 if all are done.  One job: with its own exit status, 128 and the
    signal's number, or 1.  Several: 1 if one failed.
    """
    return wait_for(path, jobs, timeout, as_json)


def wait_for(
    path: str, words: tuple[str, ...], timeout: float | None, as_json: bool
) -> int:
    """Wait for the jobs that *words* name; returns the exit status."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with Spool(path) as spool:
        doorbell = Doorbell(spool, FINAL)  # before the first look
        meter = Meter()
        try:
            return _wait(spool, doorbell, meter, words, deadline, as_json)
        finally:
            meter.close()
            doorbell.close()


def _wait(
    spool: Spool, doorbell: Doorbell, meter: Meter,
    words: tuple[str, ...], deadline: float | None, as_json: bool,
) -> int:
    teller = Teller(spool)
    # Before the words are looked up: of a name that is yet to be admitted,
    # these are older jobs.  Ids do not tell, for the clock may be set back.
    known = {
        job.id for job in listing.jobs(spool).values()
        if job.name is not None and job.dropped_name is not None
    }
    named = named_jobs(spool, words)
    status = 0
    waiting: dict[str, JobView] = {}
    for job in named:
        if job.state in FINAL:
            status = max(status, _ended(spool, teller, job, as_json))
        else:
            waiting[job.id if job.name else job.entry] = job
    look_at = time.monotonic() + _LOOK_S
    while waiting:
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            click.echo(f"{len(waiting)} still unfinished", err=True)
            return EX_TIMEOUT
        wait = look_at - now
        if meter.works:
            _measure(spool, meter, waiting, len(named))
            wait = min(wait, _METER_S)
        if deadline is not None:
            wait = min(wait, deadline - now)
        seen = doorbell.listen(wait)
        if time.monotonic() >= look_at or not doorbell.works:
            seen = list(listing.jobs(spool).values())
            gone = _gone(waiting, seen)
            if gone:
                click.echo(f"{inert(gone)}: was removed", err=True)
                return EX_NOSUCH
            look_at = time.monotonic() + _LOOK_S
        for job in seen:
            key = _key(job, waiting, known)
            if job.state in FINAL and key is not None:
                del waiting[key]
                status = max(status, _ended(spool, teller, job, as_json))
    return status if len(named) == 1 else min(status, EX_FAILED)


def _measure(
    spool: Spool, meter: Meter, waiting: dict[str, JobView], count: int
) -> None:
    """Show how many have ended, and how far one that runs says it is."""
    daemon = ask_status(spool)
    runs = [run for run in daemon["running"] if run["id"] in waiting] if (
        daemon is not None
    ) else []
    told = [run["progress"] for run in runs if run["progress"]]
    ended = count - len(waiting)
    text = progress.shown(told[0]) if told else ""
    if count > 1:
        meter.show(ended / count, f"{ended} of {count} ended  {text}".strip())
    elif told:
        meter.show(told[0]["fraction"], str(told[0]["text"]))
    elif daemon is None:
        meter.show(None, "spoold is not running")
    else:
        meter.show(None, "runs" if runs else "waits")


def _key(
    job: JobView, waiting: dict[str, JobView], known: set[str]
) -> str | None:
    if job.id in waiting:
        return job.id
    # Not yet admitted when the wait began: known by its name, and got its id
    # since.
    if job.dropped_name in waiting and job.id not in known:
        return job.dropped_name
    return None


def _gone(waiting: dict[str, JobView], seen: list[JobView]) -> str | None:
    present = {job.id for job in seen} | {job.dropped_name for job in seen}
    for key in waiting:
        if key not in present:
            return key
    return None


def _ended(spool: Spool, teller: Teller, job: JobView, as_json: bool) -> int:
    """Report one job; returns the exit status it stands for."""
    if as_json:
        emit(teller.json(job, view.details(spool, job)))
    if job.state is State.DONE or job.name is None:
        return 0
    kind, number = reason_of(job.name.verdict)
    if kind == "exit" and number:
        return number
    if kind == "signal" and number:
        return 128 + number
    return EX_FAILED
