# SPDX-License-Identifier: MIT
"""Let handlers pause."""

import click

from spooler import pause
from spooler.cli import common
from spooler.cli.out import say
from spooler.cli.words import HandlerName
from spooler.spool import Spool


@click.command("pause")
@click.argument("handler", nargs=-1, type=HandlerName(),
                metavar="[HANDLER]...")
@click.pass_obj
def command(path: str, handler: tuple[str, ...]) -> int:
    """
    Start no more jobs of HANDLER, or of any, until it is resumed.

    Running jobs go on.  The pause outlives spoold.
    """
    with Spool(path) as spool:
        common.insist_on_handlers(spool, handler)
        for name in handler or (pause.EVERY,):
            if pause.set_mark(spool, name):
                then = f" {name}" if handler else ""
                say(
                    f"{common.told(name)}: paused; 'spoolctl resume{then}'"
                    " lets it go on"
                )
            else:
                say(f"{common.told(name)}: pauses already")
        common.tell_of_marks(spool)
    return 0
