# SPDX-License-Identifier: MIT
"""Check the invariants of a spool."""

import os

import click

from spooler import check, names
from spooler.cli.common import emit
from spooler.errors import EX_FAILED
from spooler.lock import Instances
from spooler.spool import PRIVATE, Spool
from spooler.text import inert


@click.command("check")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
@click.pass_obj
def command(path: str, as_json: bool) -> int:
    """
    Check the invariants of spool(5); say what is wrong and what to type.

    Changes nothing, and may run while spoold does.  Exits 1 if anything is
    wrong.
    """
    count = 0
    with Spool(path) as spool:
        instances = Instances(
            os.path.join(spool.path, PRIVATE), spool.private_fd
        )

        def is_dead(owner: str) -> bool:
            return instances.is_dead(owner[:names.INSTANCE_CHARS])

        for finding in check.check(spool, is_dead):
            count += 1
            if as_json:
                emit({
                    "v": 1, "invariant": finding.number,
                    "path": finding.path, "what": finding.what,
                    "todo": finding.todo,
                })
            else:
                click.echo(
                    f"I{finding.number} {finding.path}: {finding.what};"
                    f" {finding.todo}"
                )
        instances.close()
        if not as_json:
            shown = inert(spool.path)
            click.echo(
                f"{shown}: {count} violations" if count
                else f"{shown}: all invariants hold", err=True,
            )
    return EX_FAILED if count else 0
