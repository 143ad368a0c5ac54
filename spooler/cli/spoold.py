# SPDX-License-Identifier: MIT
"""The command line of spoold(8)."""

import json
import logging
import signal
import sys
import time

import click

from spooler import configfile, fsops, taskload
from spooler.cli import stdio
from spooler.config import Config
from spooler.errors import EX_CONFIG, EX_FAILED, EX_NOSUCH, SpoolError
from spooler.journal import JournalHandler, is_journal
from spooler.labels import FIELDS
from spooler.serve import serve
from spooler.text import inert, one_line
from spooler.units import format_moment


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level and message; what is told of a job apart."""
        fields = {
            "v": 1,
            "time": format_moment(time.time_ns()),
            "level": record.levelname.lower(),
        }
        for name, attribute in zip(("id", "handler", "state"), FIELDS):
            if hasattr(record, attribute):
                fields[name] = getattr(record, attribute)
        message = record.getMessage().removeprefix(f"{fields.get('id')}: ")
        return json.dumps({**fields, "message": message})


class TextFormatter(logging.Formatter):
    """A line for a person; the journal adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the message, and the level if it is a warning or worse."""
        text = one_line(record.getMessage())
        if record.levelno >= logging.ERROR:
            return f"error: {text}"
        return text


def set_up_logging(log_format: str, verbose: bool) -> None:
    """Write the log of the daemon to the journal or standard error."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if log_format == "json" else TextFormatter()
    )
    if log_format == "text" and is_journal(2):
        handler = JournalHandler(handler)
    logger = logging.getLogger("spooler")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("spool", type=click.Path())
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N",
              help="Jobs at once; default: one per processor.")
@click.option("--config", "file", type=click.Path(), metavar="FILE",
              help="Read FILE instead of SPOOL/spool.toml.")
@click.option("--handler", "ad_hoc", metavar="'CMD...'",
              help="Run CMD for every dropped file no pattern matches.")
@click.option("--drain", is_flag=True,
              help="Exit when nothing is left to do; 1 if a job failed.")
@click.option("-t", "--check-config", "check", is_flag=True,
              help="Check the configuration and exit.")
@click.option("--log-format", type=click.Choice(["text", "json"]),
              default="text", help="How to write the log; default: text.")
@click.option("-v", "--verbose", is_flag=True,
              help="Log every move, not only trouble.")
@click.version_option(package_name="spooler", prog_name="spoold")
def spoold(
    spool: str, workers: int | None, file: str | None, ad_hoc: str | None,
    drain: bool, check: bool, log_format: str, verbose: bool,
) -> None:
    """Run the jobs of the directory SPOOL, in the foreground."""

    def load() -> Config:
        return taskload.with_tasks(
            configfile.load(spool, file, ad_hoc, workers)
        )

    try:
        if check:
            sys.exit(_check(load()))
        set_up_logging(log_format, verbose)
        status = serve(spool, load, drain)
        # Python gives up its handlers before the process has ended: a hurry
        # that comes late must not look like a failure.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        sys.exit(status)
    except SpoolError as error:
        status = error.status
        click.echo(f"spoold: {error}", err=True)
        sys.exit(EX_CONFIG if status in (EX_CONFIG, EX_NOSUCH) else 1)
    except OSError as error:
        click.echo(f"spoold: {inert(fsops.why(error))}", err=True)
        sys.exit(EX_FAILED)


def _check(config: Config) -> int:
    found = configfile.problems(config)
    for problem in found:
        click.echo(f"spoold: {problem}", err=True)
    if not found:
        listed = ", ".join(config.handlers) or "none"
        click.echo(f"configuration is good; handlers: {listed}", err=True)
    return EX_CONFIG if found else 0


def main() -> None:
    """Entry point of bin/spoold."""
    stdio.mend()
    spoold()
