# SPDX-License-Identifier: MIT
"""Print what a job wrote."""

import os
import sys
from typing import BinaryIO

import click

from spooler import view
from spooler.cli.select import named_jobs
from spooler.spool import Spool
from spooler.text import inert_bytes

_CHUNK_BYTES = 1 << 16


@click.command("log")
@click.argument("job", metavar="JOB")
@click.pass_obj
def command(path: str, job: str) -> int:
    """
    Print the captured output of JOB's last run.

    Its standard output goes to ours, its standard error to ours; on a
    terminal control characters are shown as escapes.
    """
    with Spool(path) as spool:
        (found,) = named_jobs(spool, (job,))
        wrote = False
        for kind, stream in (
            ("out", sys.stdout), ("err", sys.stderr)
        ):
            fd = view.output_fd(spool, found, kind)
            if fd is None:
                continue
            with os.fdopen(fd, "rb") as file:
                wrote = _copy(file, stream.buffer, stream.isatty()) or wrote
            stream.flush()
        if not wrote:
            click.echo(f"{found.id}: wrote nothing", err=True)
    return 0


def _copy(source: BinaryIO, target: BinaryIO, to_person: bool) -> bool:
    """Copy all; returns whether there was anything."""
    wrote = False
    while chunk := source.readline(_CHUNK_BYTES):
        wrote = True
        if to_person:
            ended = chunk.endswith(b"\n")
            parts = chunk.rstrip(b"\n").split(b"\t")
            text = "\t".join(map(inert_bytes, parts))
            chunk = text.encode() + (b"\n" if ended else b"")
        target.write(chunk)
    target.flush()
    return wrote
