# SPDX-License-Identifier: MIT
"""spoolctl completion: in real shells, and what is offered where."""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import click
import pytest
from spooler import names, states
from spooler.cli import app, completion, words

from .harness import SPOOLCTL, TIMEOUT_S, Cli, powerless
from .shells import STARTS, TAB, Shell

#: More than one in a listing, an expansion and a separator in every shell.
ODD_NAME = "my $(id) `id` \"q\" 'q' a;b&c *?[x] #é.pdf"


@pytest.fixture
def typing(
    cli: Cli, tmp_path: pathlib.Path
) -> Iterator[Callable[[str], Shell]]:
    """Start shells in which spoolctl is on the path, and has a spool."""
    place = tmp_path / "bin"
    place.mkdir()
    program = place / "spoolctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {SPOOLCTL} "$@"\n')
    program.chmod(0o755)
    (tmp_path / "body.txt").touch()
    path = f"{place}{os.pathsep}{cli.environ['PATH']}"
    environ = {
        **cli.environ, "PATH": path, "HOME": str(tmp_path),
        "SPOOL_DIR": str(cli.path),
    }
    started = []

    def start(name: str) -> Shell:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed: not typed in")
        started.append(Shell(name, tmp_path, environ))
        return started[-1]

    yield start
    for shell in started:
        shell.close()


def offered(
    cli: Cli, *typed: str, argv: list[str] | None = None, **env: str
) -> list[str]:
    """What bash would be told may come next behind *typed*."""
    done = subprocess.run(
        [*(argv or []), sys.executable, SPOOLCTL], timeout=TIMEOUT_S,
        capture_output=True,
        env={
            **cli.environ, "SPOOL_DIR": str(cli.path),
            "_SPOOLCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": "\n".join(["spoolctl", *typed]),
            "COMP_CWORD": str(len(typed)), **env,
        },
    )
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    return [line.removeprefix("plain,") for line in lines if line]


# In shells.


@pytest.mark.parametrize("shell", STARTS)
def test_typing(
    shell: str, cli: Cli, typing: Callable[[str], Shell]
) -> None:
    """Tab completes verbs, options, values, states, handlers and jobs."""
    cli.configure('[handler.thumbnail]\ncommand = ["true"]\n')
    job = cli.put_failed("scan.pdf")
    person = typing(shell)
    for typed, words_ in (
        ("req", ["requeue"]),
        ("ls --old", ["ls", "--older-than"]),
        ("ls fa", ["ls", "failed"]),
        ("--color al", ["--color", "always"]),
        ("--color=al", ["--color=always"]),
        ("ls --sort=st", ["ls", "--sort=state"]),
        ("submit th", ["submit", "thumbnail"]),
        ("ls -H th", ["ls", "-H", "thumbnail"]),
        ("requeue sc", ["requeue", "scan.pdf"]),
        ('show "sc', ["show", "scan.pdf"]),
        (f"log {job.id[:19]}", ["log", job.id]),
        ("rm --all do", ["rm", "--all", "done"]),
        ("completion fi", ["completion", "fish"]),
        ("submit thumbnail bo", ["submit", "thumbnail", "body.txt"]),
    ):
        line = f"spoolctl {typed}{TAB}"
        assert person.words_of(line) == ["spoolctl", *words_], typed


@pytest.mark.parametrize("shell", STARTS)
def test_odd_name(
    shell: str, cli: Cli, typing: Callable[[str], Shell]
) -> None:
    """A name full of what shells act on is completed as one plain word."""
    cli.drop(ODD_NAME)
    person = typing(shell)
    for typed in ("my", "my\\ \\$"):
        line = f"spoolctl show {typed}{TAB}"
        assert person.words_of(line) == ["spoolctl", "show", ODD_NAME]


@pytest.mark.parametrize("shell", STARTS)
def test_no_spool(shell: str, typing: Callable[[str], Shell]) -> None:
    """Without a spool Tab adds nothing to the line, and says nothing."""
    person = typing(shell)
    for typed in ("-C /nowhere show 1", "-C /nowhere submit th"):
        line = f"spoolctl {typed}{TAB}"
        assert person.words_of(line) == ["spoolctl", *typed.split()]


@pytest.mark.parametrize("shell", STARTS)
def test_script(shell: str, cli: Cli) -> None:
    """Every shell finds its own script without fault."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script is not parsed")
    text = cli("completion", shell).out
    assert text == completion.script(shell)
    done = subprocess.run(
        [shell, "--no-execute" if shell == "fish" else "-n"],
        input=text, text=True, capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# What is offered.


def test_verbs(cli: Cli) -> None:
    """All verbs are offered, in the order of --help."""
    assert offered(cli, "") == list(app.VERBS)


def test_every_job_has_a_type() -> None:
    """Every argument that is a job, a state or a handler says so."""
    kinds = {"JOB": words.Job, "STATE": words.StateWord,
             "HANDLER": words.HandlerName}
    seen = set()
    for verb in app.VERBS:
        context = click.Context(app.spoolctl)
        assert isinstance(app.spoolctl, click.Group)
        given = app.spoolctl.get_command(context, verb)
        assert given is not None
        for parameter in given.params:
            found = re.search("[A-Z]+", parameter.metavar or "")
            metavar = found[0] if found else ""
            if metavar in kinds:
                assert isinstance(parameter.type, kinds[metavar]), (
                    verb, parameter.name
                )
                seen.add(metavar)
    assert seen == set(kinds)


def test_states_that_fit(cli: Cli) -> None:
    """A verb is offered the jobs it is for, and no others."""
    ids = {
        "incoming": cli.put_waiting().id,
        "deferred": cli.put_deferred().id,
        "hold": cli.put("hold").id,
        "active": cli.put_active().id,
        "done": cli.put_done().id,
        "failed": cli.put_failed().id,
    }
    for verb, wanted in (
        ("requeue", {"done", "failed"}),
        ("wait", {"incoming", "deferred", "hold", "active"}),
        ("rm", set(ids) - {"active"}),
        ("show", set(ids)),
        ("log", set(ids)),
    ):
        found = offered(cli, verb, "")
        assert set(found) == {ids[state] for state in wanted}, verb


def test_states_of_verbs_to_come() -> None:
    """A verb that is a move is offered the jobs the move starts from."""
    for _, event, _, by in states.MOVES:
        if by == states.SPOOLCTL and event not in ("remove", "purge"):
            assert words.states_for(event) == states.sources(event)
    assert words.states_for("kill") == (states.State.ACTIVE,)


def test_typed_jobs(cli: Cli) -> None:
    """A job that stands on the line is not offered again."""
    first, second = cli.put_done("a.txt"), cli.put_done("b.txt")
    assert offered(cli, "show", first.id, "a.txt", "") == [
        second.id, "b.txt"
    ]


def test_latest_first(cli: Cli) -> None:
    """Jobs are offered latest first, with ids and names as they begin."""
    old, new = cli.put_done("x.txt", age_s=9.0), cli.put_failed("x.pdf")
    cli.drop("x.new")
    assert offered(cli, "show", "x") == ["x.new", "x.pdf", "x.txt"]
    assert offered(cli, "show", old.id[:4]) == [new.id, old.id]


def test_names_left_out(cli: Cli) -> None:
    """A name that would break the line is not offered; its id is."""
    job = cli.put_done("new\nline")
    cli.drop(b"\xff\xfe.txt")
    cli.drop("-rf")
    (cli.path / "incoming" / "part.tmp").touch()
    assert offered(cli, "show", "") == [job.id]


def test_handlers(cli: Cli) -> None:
    """Handlers of spool.toml and of handlers.d are offered."""
    cli.configure('[handler.mail]\ncommand = ["true"]\n')
    (cli.path / "handlers.d").mkdir()
    script = cli.path / "handlers.d" / "thumb"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert offered(cli, "submit", "") == ["mail", "thumb"]
    assert offered(cli, "submit", "--file", "") == ["file,"]


def test_other_spool(cli: Cli, tmp_path: pathlib.Path) -> None:
    """The spool that -C names is looked at, also with a ~ in it."""
    job = cli.put_done()
    typed = f"~/{cli.path.name}"
    home = {"HOME": str(cli.path.parent), "SPOOL_DIR": "/nowhere"}
    assert offered(cli, "-C", typed, "show", "", **home) == [job.id]


def test_trouble(cli: Cli) -> None:
    """Trouble of any kind offers nothing, and says nothing."""
    cli.configure("no [toml")
    assert offered(cli, "submit", "") == []
    assert offered(cli, "show", "", SPOOL_DIR="/dev/null") == []
    assert offered(cli, "show", "", COMP_CWORD="x") == []
    assert offered(cli, "", _SPOOLCTL_COMPLETE="nonsense") == []


def test_producer(cli: Cli) -> None:
    """Who may not look into the spool is offered nothing."""
    cli.put_done()
    (cli.path / "done").chmod(0)
    try:
        assert offered(cli, "show", "", argv=powerless()) == []
    finally:
        (cli.path / "done").chmod(stat.S_IRWXU)


def test_very_many(cli: Cli) -> None:
    """Among 100,000 jobs a few are offered, the latest, and at once."""
    verdict = {"runs": 1, "verdict": "ok", "micros": 1}
    base = time.time_ns()
    directory = os.open(cli.path / "done", os.O_RDONLY)
    try:
        for number in range(100_000):
            job_id = names.mint_id(base + number, number)
            name = names.Name(5, job_id, f"f{number}.txt", **verdict)
            os.mknod(str(name), 0o600, dir_fd=directory)
    finally:
        os.close(directory)
    nothing = _seconds(lambda: offered(cli, "show", "", SPOOL_DIR="/no"))
    took = []
    for typed, wanted in (
        ("", names.mint_id(base + 99_999, 99_999)),
        ("f4242", "f42429.txt"),
        (names.mint_id(base + 7, 7), names.mint_id(base + 7, 7)),
    ):
        found: list[str] = []
        took.append(_seconds(
            lambda: found.extend(offered(cli, "show", typed))
        ))
        assert found[0] == wanted
        assert len(found) <= words.OFFERED_MAX
    shown = " ".join(f"{seconds:.2f}" for seconds in took)
    print(f"processor seconds: {shown}; without a spool {nothing:.2f}")
    assert min(took) - nothing < 0.5


def _seconds(call: Callable[[], object]) -> float:
    """Processor time of the program that *call* runs and waits for."""
    before = os.times()
    call()
    after = os.times()
    return (
        after.children_user + after.children_system
        - before.children_user - before.children_system
    )
