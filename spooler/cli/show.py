# SPDX-License-Identifier: MIT
"""Show all of one job."""

import os
import sys
import time

import click

from spooler import units, view
from spooler.cli.common import (
    Teller,
    ask_status,
    emit,
    info,
    shown_name,
)
from spooler.cli.select import named_jobs
from spooler.cli.words import Job
from spooler.record import Run
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert, inert_bytes
from spooler.verdicts import describe
from spooler.view import Details, JobView

_TAIL_BYTES = 2000
_TAIL_LINES = 10


@click.command("show")
@click.argument("jobs", nargs=-1, required=True, type=Job(),
                metavar="JOB...")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
@click.pass_obj
def command(path: str, jobs: tuple[str, ...], as_json: bool) -> int:
    """
    Show everything about a JOB: fields, runs, reason, output, files.

    JOB is an id, the beginning of one, or the name of a dropped file.
    """
    with Spool(path) as spool:
        teller = Teller(spool)
        for number, job in enumerate(named_jobs(spool, jobs)):
            more = view.details(spool, job)
            if as_json:
                emit(_json(spool, teller, job, more))
                continue
            if number:
                click.echo()
            _show(spool, teller, job, more)
    return 0


def _json(
    spool: Spool, teller: Teller, job: JobView, more: Details
) -> dict[str, object]:
    daemon = ask_status(spool) if job.state is State.ACTIVE else None
    fields = teller.json(job, more, daemon)
    fields["file"] = inert(_file(spool, job))
    runs = more.record.runs if more.record else ()
    fields["runs"] = [
        {
            "run": run.run, "started": units.format_moment(run.started_ns),
            "duration": run.seconds, "kind": run.kind,
            "status": run.status, "text": run.text, "rusage": run.rusage,
        }
        for run in runs
    ]
    if more.record is not None:
        fields["traceback"] = more.record.traceback
    return fields


def _file(spool: Spool, job: JobView) -> str:
    return os.path.join(spool.path, job.state.value, job.entry)


def _show(
    spool: Spool, teller: Teller, job: JobView, more: Details
) -> None:
    fields = teller.json(job, more)
    daemon = ask_status(spool)
    state = click.style(job.state.word, bold=True)
    why = info(job, more, daemon, str(fields["handler"]))
    rows = [
        ("id", job.id),
        ("name", shown_name(job)),
        ("handler", inert(str(fields["handler"] or "-"))),
        ("state", f"{state}  {why}" if why else state),
        ("priority", str(fields["priority"])),
        ("submitted", _ago(job.submitted_ns)),
        ("due", _ago(job.name.due_ns) if job.name else ""),
        ("attempts", _attempts(fields)),
        ("finished", _ago(more.finished_ns)),
        ("took", _took(fields.get("duration"))),
        ("tags", ", ".join(map(inert, more.record.tags))
         if more.record else ""),
        ("value", _value(more)),
        ("file", inert(_file(spool, job))),
    ]
    for label, text in rows:
        if text:
            click.echo(f"{label + ':':<11}{text}")
    runs = more.record.runs if more.record else ()
    if len(runs) > 1 or (runs and runs[-1].kind != "ok"):
        click.echo("runs:")
        for run in runs:
            click.echo(f"  {run.run}  {_run(run)}")
    if more.record is not None and more.record.traceback:
        click.echo("traceback:")
        for line in more.record.traceback.rstrip().split("\n"):
            click.echo(f"  {inert(line)}")
    for kind, label in (("out", "stdout"), ("err", "stderr")):
        _tail(spool, job, kind, label)


def _run(run: Run) -> str:
    text = describe(run.kind, run.status, run.text)
    took = units.format_duration(run.seconds)
    return f"{units.format_moment(run.started_ns)[:19]}Z  {took:>6}  {text}"


def _ago(ns: int | None) -> str:
    if ns is None:
        return ""
    seconds = time.time() - ns / units.NS
    word = "ago" if seconds >= 0 else "from now"
    shown = units.format_duration(abs(seconds))
    return f"{units.format_moment(ns)[:19]}Z ({shown} {word})"


def _attempts(fields: dict[str, object]) -> str:
    limit = fields["max_attempts"]
    text = str(fields["attempts"])
    return text if limit is None else f"{text} of {limit}"


def _took(seconds: object) -> str:
    if isinstance(seconds, float):
        return units.format_duration(seconds)
    return ""


def _value(more: Details) -> str:
    if more.record is None or more.record.value is None:
        return ""
    return inert(str(more.record.value), 500)


def _tail(spool: Spool, job: JobView, kind: str, label: str) -> None:
    """The last lines of captured output, inert."""
    fd = view.output_fd(spool, job, kind)
    if fd is None:
        return
    try:
        size = os.fstat(fd).st_size
        data = os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    finally:
        os.close(fd)
    if not data:
        return
    lines = data.rstrip(b"\n").split(b"\n")[-_TAIL_LINES:]
    more = "" if len(data) == size else f", 'spoolctl log {job.id}' for all"
    click.echo(f"{label} ({units.format_size(size)}{more}):")
    for line in lines:
        click.echo(f"  {inert_bytes(line)}")
    sys.stdout.flush()
