# SPDX-License-Identifier: MIT
"""Whatever happens to its streams or its spool: a message, never a
traceback, and the promised exit status."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from spooler.cli import app

from .harness import SPOOLCTL, Cli


def test_a_reader_may_have_seen_enough(cli: Cli) -> None:
    """'| head -1' closes the pipe early: exit 0, and not a word."""
    for _ in range(1500):  # more to tell than a pipe holds
        cli.put_waiting()
    cli.put_done("big", out=b"line of output\n" * 20000, told={})
    for words in (
        ("ls",), ("ls", "--json"), ("log", "big"), ("hold", "--all", "-n"),
        ("events", "-n", "2000"), ("events", "-n", "2000", "--json"),
    ):
        process = cli.start(*words)
        assert process.stdout is not None
        assert process.stdout.read(10)
        process.stdout.close()
        process.stdout = None
        assert cli.ended(process, status=0).err == ""


@pytest.mark.parametrize("words", [
    ("submit", "mail"), ("submit", "--", "mail"), ("ls",), ("log", "a.txt"),
    ("rm", "a.txt"), ("--help",), ("events",), ("status", "--json"),
    ("show", "a.txt"), ("top",), ("log", "-f", "a.txt"), ("unit",),
    ("requeue", "a.txt"), ("completion", "bash"), ("handlers",),
    ("purge", "--older-than", "0", "--state", "failed"),
])
def test_output_that_cannot_be_written_is_an_error(
    cli: Cli, words: tuple[str, ...]
) -> None:
    """A full disk behind stdout is said, and the exit status is not 0."""
    cli.configure('[handler.h]\ncommand = ["true"]\n')
    cli.put_failed("a.txt", out=b"x" * 9999)
    with open("/dev/full", "wb") as full:
        done = cli(*words, status=None, stdout=full)
    assert done.status not in (0, 120), done.err
    assert "No space left" in done.err


@pytest.mark.parametrize("words", [
    ("submit", "mail"), ("submit", "--", "mail"), ("log", "a.txt"),
])
def test_closed_streams_are_no_crash(
    cli: Cli, words: tuple[str, ...]
) -> None:
    """With stdout closed, as some daemons start us: no traceback, and a job
    is submitted."""
    cli.put_failed("a.txt", out=b"x" * 9999)
    argv = ["sh", "-c", 'exec "$@" >&-', "sh", *cli.argv(*words)]
    cli(argv=argv, status=None)
    assert len(cli.listed("incoming")) == (words[0] == "submit")


def test_interrupting_a_wait(cli: Cli) -> None:
    """Ctrl-C ends a wait with 130 and without a traceback."""
    job = cli.put_waiting()
    process = cli.waiting(job.id)
    process.send_signal(signal.SIGINT)
    done = cli.ended(process, status=130)
    assert done.raw == b"" and cli.state_of(job.id) == "incoming"


def test_a_missing_directory_is_named(cli: Cli) -> None:
    """A spool that lacks a directory exits 78, says which and what to
    type."""
    away = cli.path.parent / "away"
    for name in ("active", "hold", "run", "incoming"):
        (cli.path / name).rename(away)
        done = cli("ls", status=78)
        assert str(cli.path / name) in done.err
        assert f"spoolctl init {cli.path}" in done.err
        away.rename(cli.path / name)


@pytest.mark.parametrize(("name", "words"), [
    ("tmp", ("mail",)), ("incoming", ("--", "mail")),
])
def test_submit_names_a_missing_directory(
    cli: Cli, name: str, words: tuple[str, ...]
) -> None:
    """submit, too, tells a broken spool from none."""
    (cli.path / name).rmdir()
    done = cli("submit", *words, status=78)
    assert str(cli.path / name) in done.err


@pytest.mark.parametrize("words", [
    ("ls",), ("status",), ("check",),
])
def test_no_spool(cli: Cli, words: tuple[str, ...]) -> None:
    """Where there is no spool every verb exits 4 and says how to make
    one."""
    shutil.rmtree(cli.path)
    done = cli(*words, status=4)
    assert f"spoolctl init {cli.path}" in done.err and done.out == ""
    assert not cli.path.exists()


def test_a_spool_that_is_a_file(cli: Cli) -> None:
    """A file in place of the spool, or of a directory of it, is said."""
    (cli.path / "done").rmdir()
    (cli.path / "done").touch()
    assert "done: not a directory" in cli("ls", status=78).err
    shutil.rmtree(cli.path)
    cli.path.touch()
    done = cli("ls", status=None)
    assert done.status in (4, 78) and str(cli.path) in done.err


def test_a_broken_configuration_is_no_obstacle(cli: Cli) -> None:
    """Jobs can be seen and steered while spool.toml is being mended; who
    wants to know what it says, is told."""
    cli.configure("workers = \n")
    job = cli.put_failed("scan.jpg")
    done = cli("ls")
    assert done.rows[0][0] == job.id and "spool.toml" in done.err
    assert cli("rm", job.id).lines == [job.id]


def test_the_spool_comes_from_the_environment(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """-C goes before $SPOOL_DIR, that before $XDG_STATE_HOME."""
    home = tmp_path / "state" / "spooler" / "default"
    cli("init", str(home))
    job = cli.put_failed()
    bare = [sys.executable, SPOOLCTL, "ls", "-q"]
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    if not os.path.isdir("/var/spool/spooler/default"):
        assert cli(argv=bare, env=env).lines == []
    env["SPOOL_DIR"] = str(cli.path)
    assert cli(argv=bare, env=env).lines == [job.id]
    env["SPOOL_DIR"] = "/nowhere"
    assert cli("ls", "-q", env=env).lines == [job.id]
    cli(argv=bare, env=env, status=4)


def test_a_terminal_of_another_alphabet(cli: Cli) -> None:
    """Letters that the locale cannot show are no crash."""
    cli.put_failed("漢.txt", text="Straße")
    for words in ("ls",), ("ls", "--json"), ("show", "漢.txt"):
        cli(*words, env={"PYTHONIOENCODING": "latin-1"})


@pytest.mark.parametrize("words", [
    ("nonsense",), ("ls", "--nonsense"), ("-C",),
])
def test_usage_errors(cli: Cli, words: tuple[str, ...]) -> None:
    """What cannot be understood exits 2, with a word on stderr alone."""
    done = cli(*words, status=2)
    assert done.out == "" and "Error" in done.err


def test_help_and_version(cli: Cli) -> None:
    """--help and --version go to stdout and exit 0."""
    shown = cli("--help").out
    for verb in (
        "init", "submit", "ls", "show", "log", "wait", "status", "requeue",
        "rm", "check", "demo",
    ):
        assert f"\n  {verb} " in shown
    assert cli("--version").out.startswith("spoolctl, version ")
    assert "--older-than" in cli("rm", "-h").out
    done = subprocess.run(
        [sys.executable, SPOOLCTL], capture_output=True, text=True,
        env=cli.environ,
    )
    assert done.returncode in (0, 2)
    assert "Usage: spoolctl" in done.stdout + done.stderr


#: What can be typed while no spoold runs: verb by verb, and what it exits.
DOWN = {
    "init": (("again",), 0), "submit": (("mail", "x"), 0), "ls": ((), 0),
    "show": (("a.txt",), 0), "log": (("a.txt",), 0),
    "wait": (("b.txt",), 0), "status": ((), 3), "events": ((), 0),
    "hold": (("c.txt",), 0), "release": (("d.txt",), 0),
    "requeue": (("a.txt",), 0), "rm": (("a.txt",), 0),
    "kill": (("e.txt",), 3), "pause": ((), 0), "resume": ((), 0),
    "drain": ((), 0), "purge": (("--older-than", "0"), 0),
    "check": ((), 0), "handlers": ((), 0), "top": ((), 0),
    "completion": (("bash",), 0), "unit": ((), 0), "demo": (("-h",), 0),
}


def test_every_verb_is_tried() -> None:
    """The table here has every verb."""
    assert set(DOWN) == set(app.VERBS)


@pytest.mark.parametrize("verb", sorted(DOWN))
def test_a_verb_without_spoold(cli: Cli, verb: str) -> None:
    """Everything but kill works while no spoold runs."""
    words, status = DOWN[verb]
    if verb == "init":
        words = (str(cli.path.parent / "again"),)
    cli.put_failed("a.txt", out=b"x")
    cli.put_done("b.txt")
    if verb != "drain":
        cli.put_waiting("c.txt")
        cli.put("hold", "d.txt")
    if verb == "kill":
        cli.put_active("e.txt")
    assert cli(verb, *words, status=status).status == status


@pytest.mark.parametrize("words", [
    ("ls",), ("status",), ("events",), ("show", "a.txt"),
    ("handlers",), ("purge", "--older-than", "0", "-n"),
])
def test_no_colour_unless_wanted(cli: Cli, words: tuple[str, ...]) -> None:
    """In a pipe nothing is coloured, and on a terminal NO_COLOR holds."""
    cli.put_failed("a.txt")
    assert "\033" not in cli(*words, status=None).out
    _, screen = cli.on_terminal(*words, env={"NO_COLOR": "1"})
    assert not any("\033[3" in line for line in screen)
