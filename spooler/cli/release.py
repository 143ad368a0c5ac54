# SPDX-License-Identifier: MIT
"""Let jobs go on that were put aside."""

from typing import Any

import click

from spooler.cli.select import Steering, steering_options
from spooler.spool import Spool
from spooler.states import State
from spooler.view import JobView


@click.command("release")
@steering_options
@click.pass_obj
def command(path: str, /, **typed: Any) -> int:
    """
    Let held jobs wait for their run again; a due time still counts.

    \b
    spoolctl release 1hq2v
    spoolctl release --all
    """

    def move(spool: Spool, job: JobView) -> bool:
        return spool.release(job.entry) is not None

    return Steering(**typed).run(path, ("release",), (State.HELD,), move)
