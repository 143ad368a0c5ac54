# SPDX-License-Identifier: MIT
"""Delete jobs."""

from typing import Any

import click

from spooler import retention
from spooler.cli.select import Steering, steering_options
from spooler.spool import Spool
from spooler.states import sources
from spooler.view import JobView


@click.command("rm")
@steering_options
@click.pass_obj
def command(path: str, /, **typed: Any) -> int:
    """
    Delete jobs for good, with their results; a running one is refused.

    \b
    spoolctl rm 1hq2v
    spoolctl rm --all failed --older-than 30d
    """

    def move(spool: Spool, job: JobView) -> bool:
        if job.state in sources("remove"):
            deleted = spool.remove(job.state, job.entry)
            if deleted:
                retention.forget(spool, job.state, job.stem)
            return deleted
        return retention.purge(spool, job.state, job.entry, job.stem)

    return Steering(**typed).run(path, ("remove", "purge"), (), move)
