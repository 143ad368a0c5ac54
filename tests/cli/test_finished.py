# SPDX-License-Identifier: MIT
"""purge, what spoold purges by itself, and handlers."""

from collections.abc import Callable

import pytest

from .harness import CONFIG, Cli, Served, until


def test_purge_by_age(cli: Cli) -> None:
    """0 is all that is done; the ids are printed; failed jobs stay."""
    done = [cli.put_done(out=b"x", told={}).id for _ in range(3)]
    failed = cli.put_failed().id
    assert cli("purge", "--older-than", "1h").lines == []
    assert "no jobs are that old" in cli("purge", "--older-than", "1h").err
    listed = cli("purge", "--older-than", "0", "-n").lines
    assert sorted(listed) == sorted(done) and len(cli.listed("done")) == 9
    assert sorted(cli("purge", "--older-than", "0").lines) == sorted(done)
    assert cli.listed("done") == [] and cli.state_of(failed) == "failed"


@pytest.mark.parametrize(
    "words, left",
    [
        (("--state", "failed"), {"done"}),
        (("--state", "all"), set()),
        (("-H", "mail"), {"done", "failed"}),
        (("--tag", "t"), {"failed"}),
    ],
)
def test_purge_of_some(
    cli: Cli, words: tuple[str, ...], left: set[str]
) -> None:
    """--state, -H and --tag say which."""
    cli.put_done(told={"tags": ("t",)})
    cli.put_failed()
    cli("purge", "--older-than", "0", *words)
    jobs = cli("ls", "all", "--json").objects
    assert {job["state"] for job in jobs} == left


def test_purge_needs_an_age(cli: Cli) -> None:
    """Without --older-than nothing is deleted: 2."""
    cli.put_done()
    assert "--older-than" in cli("purge", status=2).err
    assert cli.listed("done")


def test_purge_asks(cli: Cli) -> None:
    """On a terminal more than one job must be confirmed."""
    for _ in range(2):
        cli.put_done()
    words = ("purge", "--older-than", "0")
    status, screen = cli.on_terminal(*words, typed=b"n\n")
    assert status == 1 and "purge 2 jobs?" in "".join(screen)
    assert len(cli.listed("done")) == 2
    status, _ = cli.on_terminal(*words, typed=b"y\n")
    assert status == 0 and cli.listed("done") == []


def test_many_have_a_bar(cli: Cli) -> None:
    """A long operation shows a person how far it is; the ids are there all
    the same, and nothing of the bar is in a pipe."""
    for number in range(600):
        cli.drop(f"f{number}")
    status, screen = cli.on_terminal("rm", "--all", "incoming", "-y")
    text = "\n".join(screen)
    assert status == 0 and "100%" in text and "f599" in text
    for number in range(600):
        cli.drop(f"f{number}")
    done = cli("rm", "--all", "incoming", "-y")
    assert len(done.lines) == 600 and done.err == ""


def test_spoold_keeps_what_it_is_told(
    serve: Callable[..., Served]
) -> None:
    """keep_done_jobs holds while jobs run; failed jobs stay."""
    served = serve("keep_done_jobs = 3\n" + CONFIG)
    failed = served.settled("sh", "--", "exit 65")
    for number in range(6):
        served.settled("echo", str(number))
    served.daemon.stop()
    again = serve("keep_done_jobs = 3\n" + CONFIG)
    until(
        lambda: len(again("ls", "done", "-q").lines) == 3, "three are left"
    )
    assert len(again.listed("done")) == 9, "with record and output"
    assert again.state_of(failed) == "failed"


def test_handlers_are_shown(served: Served) -> None:
    """Each with what it runs, its patterns, its jobs and whether it pauses;
    jobs for none are told."""
    (served.path / "handlers.d").mkdir()
    script = served.path / "handlers.d" / "own"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    served("pause", "one")
    job, go = served.running()
    served.settled("sh", "--", "exit 65")
    lines = served("handlers").lines
    assert lines[0].split() == [
        "HANDLER", "KIND", "SLOTS", "WAITING", "ACTIVE", "FAILED", "DONE",
        "INFO",
    ]
    rows = {line.split()[0]: line.split(maxsplit=7) for line in lines[1:]}
    assert rows["sh"][:7] == ["sh", "command", "4", "0", "1", "1", "0"]
    assert rows["words"][7] == "wc -w  for *.txt"
    assert rows["one"][2] == "1" and rows["one"][7].startswith("paused; ")
    assert rows["own"][7].endswith("handlers.d/own")
    told = {
        row["handler"]: row for row in served("handlers", "--json").objects
    }
    assert told["one"]["paused"] and not told["sh"]["paused"]
    assert told["sh"]["jobs"]["active"] == 1
    assert told["words"]["match"] == ["*.txt"]
    go()
    assert job


def test_jobs_of_no_handler_are_told(cli: Cli) -> None:
    """What waits for a handler that is none, or tells none by its name."""
    cli.configure(CONFIG)
    cli.put_waiting("mial.job")
    cli.drop("a.pdf")
    done = cli("handlers")
    assert "1 jobs for mial, which is no handler" in done.err
    assert "1 jobs whose names tell no handler" in done.err


def test_no_handlers(cli: Cli) -> None:
    """A spool without handlers says where they are made."""
    done = cli("handlers")
    assert done.lines == [] and "spool.toml shows how" in done.err
