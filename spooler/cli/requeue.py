# SPDX-License-Identifier: MIT
"""Send finished jobs back to run anew."""

from typing import Any

import click

from spooler.cli.select import Steering, steering_options
from spooler.retention import forget
from spooler.spool import Spool
from spooler.states import State
from spooler.view import JobView


@click.command("requeue")
@steering_options
@click.pass_obj
def command(path: str, /, **typed: Any) -> int:
    """
    Run failed or done jobs again, as if they were new.

    \b
    spoolctl requeue 1hq2v
    spoolctl requeue --all -H mail --since 2h
    spoolctl ls failed -q | spoolctl requeue -
    """

    def move(spool: Spool, job: JobView) -> bool:
        # Before the move: it may run again, and leave new ones, at once.
        forget(spool, job.state, job.stem)
        return spool.requeue(job.state, job.entry) is not None

    return Steering(**typed).run(path, ("requeue",), (State.FAILED,), move)
