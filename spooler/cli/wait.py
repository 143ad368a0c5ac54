# SPDX-License-Identifier: MIT
"""Wait until jobs are done or failed."""

import selectors
import time

import click

from spooler import names, view
from spooler.cli.common import Duration, Teller, emit
from spooler.cli.select import named_jobs
from spooler.errors import EX_FAILED, EX_NOSUCH, EX_TIMEOUT
from spooler.settle import reason_of
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert
from spooler.view import JobView
from spooler.watch import Watch

FINAL = (State.DONE, State.FAILED)
#: Between looks where there are no events, and between looks for jobs that
#: somebody removed.
_POLL_S = 0.2
_LOOK_S = 5.0


@click.command("wait")
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
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
        doorbell = _Doorbell(spool)  # before the first look
        try:
            return _wait(spool, doorbell, words, deadline, as_json)
        finally:
            doorbell.close()


def _wait(
    spool: Spool, doorbell: "_Doorbell", words: tuple[str, ...],
    deadline: float | None, as_json: bool,
) -> int:
    teller = Teller(spool)
    # Before the words are looked up: of a name that is yet to be admitted,
    # these are older jobs.  Ids do not tell, for the clock may be set back.
    known = {
        job.id for job in view.jobs(spool).values()
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
        if deadline is not None:
            wait = min(wait, deadline - now)
        seen = doorbell.listen(wait)
        if time.monotonic() >= look_at or not doorbell.works:
            seen = list(view.jobs(spool).values())
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


class _Doorbell:
    """Tells of jobs that arrive in done/ and failed/."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._selector = selectors.DefaultSelector()
        self._watches: list[Watch] = []
        self.works = True
        try:
            for state in FINAL:
                watch = Watch(spool.fds[state])
                self._watches.append(watch)
                self._selector.register(
                    watch.wake_fd, selectors.EVENT_READ, (state, watch)
                )
        except OSError:
            self.works = False

    def listen(self, wait_s: float) -> list[JobView]:
        """The jobs that arrived, after at most *wait_s* seconds."""
        if not self.works:
            time.sleep(max(0.0, min(wait_s, _POLL_S)))
            return []
        out = []
        for key, _ in self._selector.select(max(0.0, wait_s)):
            state, watch = key.data
            for entry in watch.take():
                name = names.parse(entry)
                if name is not None:
                    out.append(JobView(name.id, state, entry, name))
            if watch.take_lost() or watch.gone:
                self.works = False  # look oneself from now on
        return out

    def close(self) -> None:
        for watch in self._watches:
            watch.close()
        self._selector.close()
