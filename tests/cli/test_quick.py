# SPDX-License-Identifier: MIT
"""Plain command lines, done without a command line library: what they print
is what the library's way prints."""

import itertools

import pytest

from spooler.cli import quick

from .harness import Cli, Done, Served

#: Asked for the same in a way that quick.py leaves to app.py.
LONG_WAY = ("--color", "auto")
AGE_S = 90_030.0  #: shown in hours
TRIES = 10  #: but the hour may strike in between

LS = [
    ("ls", *how, *states)
    for how, states in itertools.product(
        ((), ("-q",), ("--quiet",), ("-w",), ("--wide",), ("--json",)),
        ((), ("all",), ("done", "failed"), ("incoming",), ("held",)),
    )
]
STATUS = [("status",), ("status", "--json")]
BAD = [("ls", "nowhere"), ("ls", "--json", "don"), ("ls", "")]


def fill(cli: Cli) -> None:
    """Jobs of every state, payloads and documents."""
    cli.configure('[handler.image]\ncommand = ["true"]\nmatch = ["*.jpg"]\n')
    for tail in ("mail.job", "pic.jpg", "none", "\x1b[1mé漢.jpg"):
        cli.put_waiting(tail, priority=9, age_s=AGE_S)
        cli.put_deferred(tail, in_s=AGE_S, age_s=AGE_S)
        cli.put("hold", tail, age_s=AGE_S)
        cli.put_active(tail, age_s=AGE_S)
        cli.put_done(tail, age_s=AGE_S)
        cli.put_failed(tail, runs=3, age_s=AGE_S)
    (cli.path / "incoming" / "dropped.jpg").touch()


def told(done: Done) -> tuple[int, bytes, str]:
    """All that a person or a program gets."""
    return done.status, done.raw, done.err


def assert_same(cli: Cli, words: tuple[str, ...]) -> None:
    """Both ways print the same, if nothing changes in between."""
    for _ in range(TRIES):
        first = told(cli(*words, status=None))
        other = told(cli(*LONG_WAY, *words, status=None))
        if first == told(cli(*words, status=None)):
            assert first == other
            return
    raise AssertionError(f"{words} never says the same twice")


@pytest.mark.parametrize("words", [*LS, *STATUS, *BAD])
def test_both_ways_print_the_same(
    cli: Cli, words: tuple[str, ...]
) -> None:
    """Of jobs of every kind, and of what is no state, both ways tell the
    same, byte by byte, with the same exit status."""
    fill(cli)
    assert_same(cli, words)


@pytest.mark.parametrize("words", [("ls",), ("status", "--json")])
def test_both_ways_ask_spoold(
    served: Served, words: tuple[str, ...]
) -> None:
    """With spoold the same."""
    assert_same(served, words)


@pytest.mark.parametrize("words", [("ls",), ("status",)])
@pytest.mark.parametrize("name, value", [
    ("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("PYTHONIOENCODING", "ascii"),
])
def test_both_ways_heed_the_environment(
    cli: Cli, words: tuple[str, ...], name: str, value: str
) -> None:
    """Colour and encoding are the same, asked for in any way."""
    fill(cli)
    cli.environ[name] = value
    assert_same(cli, words)
    if name == "FORCE_COLOR":
        assert b"\x1b[" in cli(*words, status=None).raw


@pytest.mark.parametrize("words", [("ls",), ("status",)])
def test_both_ways_say_what_is_wrong(
    cli: Cli, words: tuple[str, ...]
) -> None:
    """Without a spool, and in a broken one, both give the same reason."""
    (cli.path / "failed").rename(cli.path / "elsewhere")
    assert_same(cli, words)
    cli.path.rename(cli.path.with_name("moved"))
    assert_same(cli, words)


@pytest.mark.parametrize("words", [
    [], ["--help"], ["ls", "--help"], ["ls", "-n", "3"], ["ls", "-qw"],
    ["ls", "-q", "-w"], ["ls", "--js"], ["ls", "--", "done"],
    ["ls", "-H", "mail"], ["ls", "--watch"], ["--color", "always", "ls"],
    ["status", "x"], ["status", "--json", "--json"], ["status", "-h"],
    ["-C"], ["-Cx", "ls"], ["-C", "x", "-C", "y", "ls"], ["wait", "x"],
    ["submit"], ["submit", "h", "--in", "5m"], ["submit", "-p", "10", "h"],
])
def test_all_else_is_for_the_library(words: list[str]) -> None:
    """What is not typed in one of the plain forms is not guessed at."""
    assert quick.run(words) is None
