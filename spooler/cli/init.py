# SPDX-License-Identifier: MIT
"""Make a spool."""

import click

from spooler import layout
from spooler.spool import DIRECTORIES
from spooler.text import inert


@click.command("init")
@click.argument("directory", type=click.Path())
@click.option("--group", metavar="GROUP",
              help="Members of GROUP may submit, too.")
@click.option("--anyone", is_flag=True,
              help="Every user of this machine may submit.")
def command(directory: str, group: str | None, anyone: bool) -> int:
    """
    Make a spool at DIRECTORY: directories, modes, a commented spool.toml.

    A spool that exists is completed and otherwise left as it is.
    """
    if group is not None and anyone:
        raise click.UsageError("--group and --anyone exclude each other")
    made = layout.create(directory, group, anyone)
    shown = inert(directory)
    if not made:
        click.echo(f"{shown}: is a whole spool already", err=True)
        return 0
    if len(made) > len(DIRECTORIES):  # all of it
        made = ["a new spool"]
    click.echo(
        f"{shown}: made {', '.join(made)}\n"
        f"next: add a handler to {shown}/spool.toml, then run"
        f" 'spoold {shown}'", err=True,
    )
    return 0
