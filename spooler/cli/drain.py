# SPDX-License-Identifier: MIT
"""Work until nothing is left."""

import os
import signal
import threading
import time

import click

from spooler import configfile, listing, pause, taskload
from spooler.cli.common import ask_status
from spooler.cli.out import say
from spooler.cli.spoold import set_up_logging
from spooler.cli.words import Duration
from spooler.doorbell import Doorbell
from spooler.errors import EX_FAILED, EX_TIMEOUT, SpoolError
from spooler.spool import Spool
from spooler.states import State

_FINAL = (State.DONE, State.FAILED)
_LOOK_S = 1.0
_PAUSE_S = 0.05
_TICK_NS = 20_000_000  #: longer than two clock ticks of any kernel
_UNFINISHED = (State.INCOMING, State.ACTIVE, State.DEFERRED)
_SHARE = 20  #: looking at a long queue may take this share of the time


@click.command("drain")
@click.option("--timeout", type=Duration(), metavar="D",
              help="Give up after D, with exit status 124.")
@click.pass_obj
def command(path: str, timeout: float | None) -> int:
    """
    Wait until nothing is incoming, active or due to be retried.

    If no spoold runs, one is run for so long.  Exits 0 if no job failed
    meanwhile, else 1.
    """
    with Spool(path) as spool:
        if pause.EVERY in pause.marks(spool):
            raise SpoolError(
                "all handlers pause; 'spoolctl resume' lets them go on"
            )
        for name in sorted(pause.marks(spool)):
            say(f"{name} pauses; its jobs are waited for")
        if ask_status(spool) is not None:
            return _wait(spool, timeout)
    return _work(path, timeout)


def _wait(spool: Spool, timeout: float | None) -> int:
    """See a running spoold through."""
    started = time.monotonic()
    before = set(listing.entries(spool, State.FAILED))
    doorbell = Doorbell(spool, _FINAL)
    try:
        while True:
            looked_at = time.monotonic()
            stamps = _stamps(spool)
            left = _left(spool)
            if not left and _is_quiet(stamps) and stamps == _stamps(spool):
                break
            now = time.monotonic()
            rest = _LOOK_S
            if timeout is not None:
                rest = min(rest, started + timeout - now)
                if rest <= 0:
                    say(f"{left} jobs are left")
                    return EX_TIMEOUT
            if left:
                doorbell.listen(rest)
            # The next verdict may be the last; not every one is looked at.
            pause_s = max(_PAUSE_S, _SHARE * (now - looked_at))
            time.sleep(min(pause_s, rest))
        failed = set(listing.entries(spool, State.FAILED)) - before
    finally:
        doorbell.close()
    return EX_FAILED if failed else 0


def _stamps(spool: Spool) -> list[int]:
    """When each directory of unfinished jobs last changed, in ns."""
    return [os.fstat(spool.fds[state]).st_mtime_ns for state in _UNFINISHED]


def _is_quiet(stamps: list[int]) -> bool:
    """
    Whether nothing has moved for a while.

    A job that moves back while we look is in neither place; a move leaves
    its stamp, but stamps tick slowly.
    """
    return abs(time.time_ns() - max(stamps)) > _TICK_NS


def _left(spool: Spool) -> int:
    """How many jobs wait, run, or wait for another run."""
    left = sum(1 for _ in listing.entries(spool, State.INCOMING))
    left += sum(1 for _ in listing.entries(spool, State.ACTIVE))
    deferred = listing.jobs(spool, [State.DEFERRED]).values()
    return left + sum(
        1 for job in deferred if job.name is not None and job.name.runs
    )


def _work(path: str, timeout: float | None) -> int:
    """Be spoold until all is done."""
    from spooler.serve import serve  # what a mere wait is spared

    set_up_logging("text", False)
    late = threading.Event()

    def stop() -> None:
        late.set()
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(timeout or 0.0, stop)
    timer.daemon = True
    if timeout is not None:
        timer.start()
    try:
        status = serve(
            path, lambda: taskload.with_tasks(configfile.load(path)), True
        )
    finally:
        timer.cancel()
    return EX_TIMEOUT if late.is_set() else status
