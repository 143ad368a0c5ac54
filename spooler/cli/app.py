# SPDX-License-Identifier: MIT
"""The command group of spoolctl: its options, its verbs, its exit status."""

import importlib
import os
import sys

import click

from spooler.cli import out
from spooler.cli.guard import guarded
from spooler.errors import EX_INTERRUPTED, EX_USAGE
from spooler.place import spool_path

#: Every verb, in the order of --help; each is a module of this package.
VERBS = (
    "init", "submit", "ls", "show", "log", "wait", "status", "events",
    "hold", "release", "requeue", "rm", "kill", "pause", "resume", "drain",
    "purge", "check", "handlers", "top", "demo", "unit",
    "completion",
)


class Verbs(click.Group):
    """Loads a verb's module when the verb is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in their order."""
        return list(VERBS)

    def get_command(
        self, ctx: click.Context, cmd_name: str
    ) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"spooler.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="'spoolctl VERB --help' tells more; spoolctl(1) tells all.",
)
@click.option(
    "-C", "spool", metavar="SPOOL", type=click.Path(),
    help="The spool's directory; default: $SPOOL_DIR.",
)
@click.option(
    "--color", type=click.Choice(["auto", "always", "never"]),
    default="auto", help="Colour the state word; default: on a terminal.",
)
@click.version_option(package_name="spooler", prog_name="spoolctl")
@click.pass_context
def spoolctl(ctx: click.Context, spool: str | None, color: str) -> None:
    """See and steer the jobs of a spool, a directory that is a queue."""
    ctx.obj = spool_path(spool)
    ctx.color = out.use_color(color)


def run() -> int:
    """Run the command line; returns the exit status."""
    asked = os.environ.get("_SPOOLCTL_COMPLETE")
    if asked:
        from spooler.cli import completion

        return completion.answer(spoolctl, asked)
    return guarded(_invoke)


def _invoke() -> object:
    try:
        # Not spoolctl(): that exits 1 when a reader has seen enough.
        with spoolctl.make_context("spoolctl", sys.argv[1:]) as context:
            return spoolctl.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.Abort:
        return EX_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EX_USAGE
