# SPDX-License-Identifier: MIT
"""The command group of spoolctl: its options, its verbs, its exit status."""

import importlib
import os
import sys

import click

from spooler import fsops
from spooler.cli import stdio
from spooler.errors import (
    EX_FAILED,
    EX_INTERRUPTED,
    EX_NOPERM,
    EX_NOSUCH,
    EX_USAGE,
    NotFound,
    SpoolError,
)
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
    ctx.color = wants_color(color, dict(os.environ), sys.stdout.isatty())


def wants_color(choice: str, environ: dict[str, str], tty: bool) -> bool:
    """Decide about colour as no-color.org and force-color.org say."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return tty and environ.get("TERM", "dumb") != "dumb"


def say(text: str) -> None:
    """Talk to a person, on standard error."""
    click.echo(f"spoolctl: {text}", err=True)


def run() -> int:
    """Run the command line; returns the exit status."""
    asked = os.environ.get("_SPOOLCTL_COMPLETE")
    if asked:
        from spooler.cli import completion

        return completion.answer(spoolctl, asked)
    try:
        # Not spoolctl(): that exits 1 when a reader has seen enough.
        with spoolctl.make_context("spoolctl", sys.argv[1:]) as context:
            status = spoolctl.invoke(context)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.Abort:
        return EX_INTERRUPTED
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EX_USAGE
    except NotFound as error:
        say(str(error))
        return EX_NOSUCH
    except SpoolError as error:
        say(str(error))
        return error.status
    except BrokenPipeError:
        stdio.give_up()  # whoever read us has seen enough
        return 0
    except PermissionError as error:
        say(f"{fsops.why(error)}; only the spool's owner may do this")
        return EX_NOPERM
    except OSError as error:
        stdio.give_up()
        say(fsops.why(error))
        return EX_FAILED
