# SPDX-License-Identifier: MIT
"""Put waiting jobs aside."""

from typing import Any

import click

from spooler.cli.select import Steering, steering_options
from spooler.spool import Spool
from spooler.states import State
from spooler.view import JobView


@click.command("hold")
@steering_options
@click.pass_obj
def command(path: str, /, **typed: Any) -> int:
    """
    Put waiting jobs aside until they are released.

    \b
    spoolctl hold 1hq2v
    spoolctl hold --all -H mail
    """

    def move(spool: Spool, job: JobView) -> bool:
        return spool.hold(job.state, job.entry) is not None

    waiting = (State.INCOMING, State.DEFERRED)
    return Steering(**typed).run(path, ("hold",), waiting, move)
