# SPDX-License-Identifier: MIT
"""Submit jobs."""

import functools
import shlex
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

import click

from spooler import client, units
from spooler.cli.common import emit
from spooler.cli.out import say
from spooler.cli.words import Duration, FileName, HandlerName, Moment
from spooler.errors import EX_TEMPFAIL, BadJob, SpoolError, SubmitUnknown

if TYPE_CHECKING:  # few submits need it
    from spooler.holding import Unique

Answer = TypeVar("Answer")


class Attempt(Protocol):
    """Calls what submits: once, or until there is room."""

    def __call__(self, attempt: Callable[[], Answer]) -> Answer: ...


class Tell(Protocol):
    """Prints ids of jobs, and whether they were there before."""

    def __call__(self, ids: list[str], existing: bool = False) -> None: ...


class UniqueTime(click.ParamType["Unique"]):
    """Until when a job is unique: a word of holding.py, or seconds."""

    name = "mode"

    def convert(self, value: Any, param: Any, ctx: Any) -> "Unique":
        """Read waiting, done, latest, 90s, 1h30m, 2d."""
        from spooler import options

        try:
            return options.until(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_BATCH = 1000  #: jobs that share a flush


@click.command("submit")
@click.argument("handler", required=False, type=HandlerName())
@click.argument("args", nargs=-1, type=FileName())
@click.option("-p", "--priority", type=click.IntRange(0, 9), default=5,
              help="0..9, 9 runs first; default: 5.")
@click.option("--in", "in_s", type=Duration(), metavar="D",
              help="Not before D from now.")
@click.option("--at", "at_ns", type=Moment(), metavar="TIME",
              help="Not before TIME, RFC 3339 or @EPOCH.")
@click.option("--timeout", type=Duration(), metavar="D",
              help="End a run after D; with --wait: wait no longer than D.")
@click.option("--expires", type=Duration(), metavar="D",
              help="Begin no run later than D after this.")
@click.option("--attempts", type=click.IntRange(1, 99), metavar="N",
              help="How many runs may fail.")
@click.option("--key", help="What jobs that are alike share; see --unique.")
@click.option("--unique", type=UniqueTime(), metavar="MODE",
              help="Submit nothing if a job of that key is there already:"
              " 'waiting' for its first run, not 'done' yet, or younger than"
              " a duration; 'latest' takes the place of one that waits.")
@click.option("--tag", "tags", multiple=True, metavar="T",
              help="A tag, carried and shown; may be repeated.")
@click.option("-i", "--input", "body", type=click.File("rb"), metavar="FILE",
              help="The body, the handler's standard input; - is ours.")
@click.option("--file", "as_files", is_flag=True,
              help="The arguments are files; each is a job, routed by name.")
@click.option("--batch", is_flag=True,
              help="One job a line on standard input; one flush for all.")
@click.option("--relaxed", is_flag=True,
              help="Do not flush: survives a kill -9, not a power cut.")
@click.option("--wait-for-room", "patient", is_flag=True,
              help="If the spool is full, try again until it is not.")
@click.option("--id", "job_id", metavar="ID",
              help="The id of an earlier try that was not confirmed.")
@click.option("--wait", is_flag=True,
              help="Wait for the job; exit with its status.")
@click.option("--json", "as_json", is_flag=True,
              help="One JSON object a job.")
@click.pass_obj
def command(
    spool: str, handler: str | None, args: tuple[str, ...], priority: int,
    in_s: float | None, at_ns: int | None, timeout: float | None,
    expires: float | None, attempts: int | None, key: str | None,
    unique: "Unique | None", tags: tuple[str, ...], body: BinaryIO | None,
    as_files: bool, batch: bool, relaxed: bool, patient: bool,
    job_id: str | None, wait: bool, as_json: bool,
) -> int:
    """
    Submit a job for HANDLER with ARGS, and print its id.

    \b
    spoolctl submit thumbnail photo.jpg --in 5m
    spoolctl submit --file scans/*.pdf
    seq 1000 | spoolctl submit --batch resize
    """
    if in_s is not None and at_ns is not None:
        raise click.UsageError("--in and --at exclude each other")
    if as_files and batch:
        raise click.UsageError("--file and --batch exclude each other")
    due_ns = at_ns
    if in_s is not None:
        due_ns = time.time_ns() + round(in_s * units.NS)
    fields = [("Tag", tag) for tag in tags]
    if timeout is not None and not wait:
        fields.append(("Timeout", f"{timeout:.6f}"))
    if expires is not None:
        if in_s is not None and in_s >= expires:
            raise click.UsageError("it would expire before it is due")
        fields.append(("Expires", f"{expires:.6f}"))
    if attempts is not None:
        fields.append(("Attempts", str(attempts)))
    if unique is not None and key is None:
        raise click.UsageError("--unique needs a --key: which jobs are alike")
    if key is not None and unique is None:
        fields.append(("Key", key))
    tell = _tell_json if as_json else _tell
    attempt = client.when_room if patient else _once
    try:
        with client.Client(spool, durable=not relaxed) as producer:
            if as_files:
                files = ((handler,) if handler else ()) + args
                if fields or unique or body or (job_id and len(files) > 1):
                    raise click.UsageError(
                        "a file carries no options; with --file only -p,"
                        " --in, --at, --relaxed, --wait, --wait-for-room,"
                        " and --id of one"
                    )
                ids = _files(
                    producer, attempt, tell, files, priority, due_ns, job_id
                )
            elif batch:
                if (
                    fields or unique or body or job_id or due_ns
                    or priority != 5
                ):
                    raise click.UsageError("--batch takes no other option")
                ids = _batch(producer, attempt, tell, handler, args)
            elif handler is None:
                raise click.UsageError("which HANDLER?")
            else:
                data = body.read() if body else b""
                if unique is None or key is None:
                    ids = [attempt(functools.partial(
                        producer.submit, handler, *args, body=data,
                        priority=priority, due_ns=due_ns,
                        fields=tuple(fields), job_id=job_id,
                    ))]
                    existing = False
                else:
                    stands, existing = attempt(functools.partial(
                        producer.submit_unique, handler, *args, key=key,
                        unique=unique, body=data, priority=priority,
                        due_ns=due_ns, fields=tuple(fields), job_id=job_id,
                    ))
                    ids = [stands]
                if existing:
                    say(f"{ids[0]}: is there already; nothing was submitted")
                tell(ids, existing)
    except SubmitUnknown as error:
        tell([error.job_id])
        raise SpoolError(str(error), EX_TEMPFAIL) from None
    except BadJob as error:
        raise click.UsageError(f"not a job document: {error}") from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if not wait:
        return 0
    from spooler.cli.wait import wait_for

    sys.stdout.flush()
    return wait_for(spool, tuple(ids), timeout, as_json=False)


def _once(attempt: Callable[[], Answer]) -> Answer:
    return attempt()


def _tell(ids: list[str], existing: bool = False) -> None:
    click.echo("\n".join(ids))


def _tell_json(ids: list[str], existing: bool = False) -> None:
    for job_id in ids:
        emit({"v": 1, "id": job_id, "existing": existing})


def _files(
    producer: client.Client, attempt: Attempt, tell: Tell,
    files: tuple[str, ...], priority: int, due_ns: int | None,
    job_id: str | None,
) -> list[str]:
    if not files:
        raise click.UsageError("which files?")
    ids = []
    for file in files:
        ids.append(attempt(functools.partial(
            producer.submit_file, file, priority, due_ns, job_id
        )))
        tell(ids[-1:])
    return ids


def _batch(
    producer: client.Client, attempt: Attempt, tell: Tell,
    handler: str | None, args: tuple[str, ...],
) -> list[str]:
    """One job a line: its last argument, or handler and all arguments."""
    ids: list[str] = []
    jobs: list[tuple[str, tuple[str, ...], bytes]] = []
    for number, line in enumerate(sys.stdin, 1):
        text = line.rstrip("\n")
        if not text.strip():
            continue
        if handler is not None:
            jobs.append((handler, (*args, text), b""))
        else:
            try:
                words = shlex.split(text)
            except ValueError as error:
                raise click.UsageError(f"line {number}: {error}") from None
            jobs.append((words[0], tuple(words[1:]), b""))
        try:
            client.judge(*jobs[-1])
        except ValueError as error:
            raise click.UsageError(f"line {number}: {error}") from None
        if len(jobs) == _BATCH:
            ids += _flush(producer, attempt, tell, jobs)
    return ids + _flush(producer, attempt, tell, jobs)


def _flush(
    producer: client.Client, attempt: Attempt, tell: Tell,
    jobs: list[tuple[str, tuple[str, ...], bytes]],
) -> list[str]:
    if not jobs:
        return []
    ids = attempt(functools.partial(producer.submit_many, jobs))
    tell(ids)
    jobs.clear()
    return ids
