# SPDX-License-Identifier: MIT
"""The tour: a spool, a daemon, every kind of ending, in a few seconds."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from spooler import client, listing, tour, view
from spooler.errors import EX_FAILED
from spooler.spool import Spool
from spooler.states import State

CONFIG = """\
format = 1
workers = 2

[handler.words]             # a Python function, for dropped *.txt files
python = "spooler.tour:words"
match = ["*.txt", "*.words"]

[handler.gzip]              # commands, for other dropped files
command = ["gzip", "-9", "-n"]
match = ["*.gzip"]

[handler.sum]
command = ["sha256sum"]
match = ["*.sum"]

[handler.square]
python = "spooler.tour:square"

[handler.mail]              # asks to be run later the first time
python = "spooler.tour:patient"

[handler.crasher]           # kills its own worker the first time
python = "spooler.tour:crasher"
backoff = "500ms"

[handler.upload]            # a command; exit 65 says: do not try again
command = ["sh", "-c", 'test -e "$0" || { echo "no credentials" >&2; exit 65; }; echo uploaded "$1"', "CREDENTIALS"]
"""  # noqa: E501

SHELL = """\
printf 'the quick brown fox' > "$SPOOL/tmp/fox.txt"
mv "$SPOOL/tmp/fox.txt" "$SPOOL/incoming/fox.txt"
"""

#: Drops copies of real files; needs nothing but find, cp and mv.
DROP = """\
find "$@" -type f -size -300 2>/dev/null | head -n 300 | {
    n=0
    while IFS= read -r f; do
        case $((n % 3)) in 0) k=gzip ;; 1) k=sum ;; *) k=words ;; esac
        cp "$f" "$SPOOL/tmp/$n.$k" 2>/dev/null || continue
        chmod 640 "$SPOOL/tmp/$n.$k"
        mv "$SPOOL/tmp/$n.$k" "$SPOOL/incoming/"
        echo "$n.$k"
        n=$((n + 1))
    done
}
"""
#: Where every machine has some files worth reading.
REAL_FILES = ("/usr/share/doc", "/usr/share/man", os.path.dirname(os.__file__))
BY_HAND = {"gzip": ["gzip", "-9", "-n"], "sum": ["sha256sum"]}

_PATIENCE_S = 45


class Failed(Exception):
    """The demo did not end as promised."""


@click.command("demo")
@click.option("--keep", is_flag=True, help="Keep the spool and say where.")
def command(keep: bool) -> int:
    """
    Show the whole thing working, on a spool of its own, in a few seconds.

    Exits 0 only if every job ended as promised.
    """
    root = tempfile.mkdtemp(prefix="spool-demo-")
    try:
        _demo(root)
    except (Failed, subprocess.SubprocessError, OSError) as error:
        click.echo(f"demo: {error}", err=True)
        return EX_FAILED
    finally:
        if keep:
            click.echo(f"kept: {root}", err=True)
        else:
            shutil.rmtree(root, ignore_errors=True)
    return 0


def _demo(root: str) -> None:
    spool = os.path.join(root, "spool")
    _say("1. A spool is a directory.")
    _run(spool, "init", spool)
    credentials = os.path.join(root, "credentials")
    with open(os.path.join(spool, "spool.toml"), "w") as file:
        file.write(CONFIG.replace("CREDENTIALS", credentials))
    click.echo("  (seven handlers are written to its spool.toml)")
    _say("2. spoold serves it; its log is indented below.")
    with _daemon(spool):
        _jobs(root, spool, credentials)
        count = _real_files(spool)
        _say("8. Everything, as it lies on disk.")
        _run(spool, "ls", "done", "-n", "8", "--sort", "tries")
        _run(spool, "status")
    _judge(spool, 24 + count)
    _say("All ended as promised.")


def _jobs(root: str, spool: str, credentials: str) -> None:
    _say("3. Any program submits: write a file, rename it. Here sh:")
    for line in SHELL.splitlines():
        click.echo(f"  $ {line}")
    subprocess.run(
        ["sh", "-e", "-c", SHELL], env={**os.environ, "SPOOL": spool},
        check=True,
    )
    _run(spool, "wait", "fox.txt")
    _run(spool, "show", "fox.txt")

    _say("4. So do Python and batches of lines.")
    click.echo('  >>> spooler.submit(SPOOL, "mail", "ann@example.org")')
    mail = client.submit(spool, "mail", "ann@example.org")
    click.echo('  >>> spooler.submit(SPOOL, "crasher")')
    crash = client.submit(spool, "crasher")
    squares = _run(
        spool, "submit", "--batch", "square", feed="seq 20", show=False
    ).split()
    click.echo(f"  {len(squares)} ids, {squares[0]} to {squares[-1]}")
    upload = _run(spool, "submit", "upload", "report.pdf").strip()

    _say("5. One defers, one kills its worker, one fails for good.")
    _run(spool, "wait", upload, expect=65)
    _run(spool, "ls")
    _run(spool, "wait", mail, crash, *squares, show=False)
    _run(spool, "show", crash)

    _say("6. Mend the cause, send the failed job back.")
    click.echo(f"  $ touch {credentials}")
    with open(credentials, "w"):
        pass
    _run(spool, "requeue", upload)
    _run(spool, "wait", upload)
    _run(spool, "log", upload)


def _real_files(spool: str) -> int:
    """Drop this machine's own files; every result is as by hand."""
    _say("7. Real files: this machine's documentation, dropped by sh.")
    dropped = subprocess.run(
        ["sh", "-c", DROP, "sh", *REAL_FILES], check=True, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "SPOOL": spool},
    ).stdout.split()
    click.echo(f"  {len(dropped)} files, for gzip, sha256sum and words")
    _run(spool, "wait", *dropped, show=False)
    with Spool(spool) as opened:
        for job in listing.jobs(opened, [State.DONE]).values():
            if job.dropped_name in dropped:
                _compare(opened, job)
    click.echo("  every result equals what the command gives by hand")
    return len(dropped)


def _compare(spool: Spool, job: view.JobView) -> None:
    file = os.path.join(spool.path, State.DONE.value, job.entry)
    kind = str(job.dropped_name).rpartition(".")[2]
    if kind == "words":
        record = view.details(spool, job).record
        same = record is not None and record.value == tour.words(file)
    else:
        with open(file, "rb") as source:
            wanted = subprocess.check_output(BY_HAND[kind], stdin=source)
        fd = view.output_fd(spool, job, "out")
        with os.fdopen(fd if fd is not None else 0, "rb") as found:
            same = fd is not None and found.read() == wanted
    if not same:
        raise Failed(f"{job.entry}: not as by hand")


def _say(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def _program(name: str) -> list[str]:
    """How to run spoold or spoolctl: the one beside the one that runs."""
    here = os.path.dirname(os.path.abspath(sys.argv[0]))
    return [sys.executable, os.path.join(here, name)]


def _run(
    spool: str, *words: str, feed: str = "", show: bool = True,
    expect: int = 0,
) -> str:
    """Run spoolctl as a person would, and show both."""
    typed = " ".join(map(shlex.quote, words))
    if len(typed) > 60:
        typed = typed[:57] + "..."
    click.echo(f"  $ {feed} | " if feed else "  $ ", nl=False)
    click.echo(f"spoolctl {typed}")
    fed = subprocess.check_output(feed.split()) if feed else None
    done = subprocess.run(
        [*_program("spoolctl"), "-C", spool, *words], input=fed,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=_PATIENCE_S,
    )
    text = done.stdout.decode("utf-8", "replace")
    if show or done.returncode != expect:
        for line in text.splitlines():
            click.echo(f"  {line}")
    if done.returncode != expect:
        raise Failed(
            f"spoolctl {words[0]} exited {done.returncode}, not {expect}"
        )
    if expect:
        click.echo(f"  (exit status {expect}, the job's own)")
    return text


@contextmanager
def _daemon(spool: str) -> Iterator[None]:
    """Run spoold and print its log, until the block ends."""
    process = subprocess.Popen(
        [*_program("spoold"), spool], stderr=subprocess.PIPE,
        start_new_session=True,
    )
    ready = threading.Event()

    def follow() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            click.secho(f"      spoold: {text}", dim=True)
            if "ready" in text:
                ready.set()
        ready.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        if not ready.wait(_PATIENCE_S) or process.poll() is not None:
            raise Failed("spoold did not start")
        yield
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        finally:
            process.kill()
            thread.join(5)
    if process.returncode:
        raise Failed(f"spoold exited {process.returncode}")


def _judge(spool: str, count: int) -> None:
    """Hold what lies on disk against what was promised."""
    with Spool(spool) as opened:
        jobs = list(listing.jobs(opened).values())
        wrong = [job for job in jobs if job.state is not State.DONE]
        if wrong or len(jobs) != count:
            raise Failed(f"{len(jobs)} jobs, of them not done: {wrong}")
        runs = {
            job.name.told_handler: job.name.runs
            for job in jobs if job.name is not None
        }
    if runs.get("mail") != 2 or runs.get("crasher") != 2:
        raise Failed(f"runs by handler: {runs}")
