# SPDX-License-Identifier: MIT
"""Let handlers go on."""

import click

from spooler import pause
from spooler.cli import common
from spooler.cli.out import say
from spooler.cli.words import HandlerName
from spooler.spool import Spool


@click.command("resume")
@click.argument("handler", nargs=-1, type=HandlerName(),
                metavar="[HANDLER]...")
@click.pass_obj
def command(path: str, handler: tuple[str, ...]) -> int:
    """
    Let HANDLER go on, or all that pause.

    A handler that spoold lets pause because its runs die over and over is
    tried again at once, too.
    """
    with Spool(path) as spool:
        common.insist_on_handlers(spool, handler)
        daemon = common.ask_status(spool) or {"paused": {}}
        tripped = set(daemon["paused"])
        marks = pause.marks(spool)
        for name in handler or sorted(marks | tripped):
            if pause.lift_mark(spool, name) or name in tripped:
                say(f"{common.told(name)}: goes on")
            else:
                say(f"{common.told(name)}: did not pause")
        if handler and pause.EVERY in marks:
            say("all handlers still pause; 'spoolctl resume' lets them go on")
        if not handler and not marks | tripped:
            say("no handler pauses")
        common.tell_of_marks(spool, handler or sorted(tripped))
    return 0
