# SPDX-License-Identifier: MIT
"""Handlers that come of modules of tasks: spoold knows, spoolctl asks it."""

import os
import pathlib
from collections.abc import Callable

import pytest

from .harness import Cli, Served

MODULE = """\
import sys
from spooler import task

assert not sys.argv[0].endswith("spoolctl"), "spoolctl runs code of a user"

@task(concurrency=2, match=["*.up"])
def shout(text):
    return text.upper()

@task
def add(a, b):
    return a + b
"""
CONFIG = """\
tasks = ["tasks_of_a_user"]
[handler.sh]
command = ["sh", "-c", "true"]
"""
UNKNOWN = (
    "the tasks of tasks_of_a_user are not known: spoold, which imports them,"
    " does not run"
)


@pytest.fixture
def served(
    serve: Callable[..., Served], environ: dict[str, str],
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
) -> Served:
    """A spoold with a module of tasks that spoolctl must not import."""
    (tmp_path / "tasks_of_a_user.py").write_text(MODULE)
    path = os.pathsep.join(
        filter(None, [str(tmp_path), environ.get("PYTHONPATH", "")])
    )
    monkeypatch.setitem(environ, "PYTHONPATH", path)
    return serve(CONFIG)


def offered(cli: Cli, typed: str) -> list[str]:
    """What completion offers for ``submit TYPED``."""
    asked = {
        "_SPOOLCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "\n".join(
            ["spoolctl", "-C", str(cli.path), "submit", typed]
        ),
        "COMP_CWORD": "4",
    }
    done = cli(argv=cli.argv()[:2], env=asked)
    return [line.partition(",")[2] for line in done.lines]


def test_handlers_are_those_of_spoold(served: Served) -> None:
    """They are listed with what the task says, and their jobs counted."""
    served.settled("shout", "x")
    done = served("handlers", "--json")
    told = {handler["handler"]: handler for handler in done.objects}
    assert set(told) == {"sh", "shout", "add"} and done.err == ""
    assert told["shout"]["source"] == "tasks_of_a_user:shout"
    assert told["shout"]["match"] == ["*.up"] and told["shout"]["slots"] == 2
    assert told["shout"]["kind"] == "python"
    assert told["shout"]["jobs"]["done"] == 1


def test_other_verbs_know_them(served: Served) -> None:
    """Completion offers them, pause takes them, and no other name."""
    assert offered(served, "s") == ["sh", "shout"]
    served("pause", "add")
    wrong = served("pause", "subtract", status=2)
    assert "the handlers are sh, shout, add" in wrong.err
    job_id = served.submit("shout", "x")
    served("wait", job_id)
    assert served("ls", "done", "--json").object["max_attempts"] == 3


def test_without_spoold_they_are_not_known(served: Served) -> None:
    """spoolctl says so, and imports nothing."""
    served.daemon.stop()
    done = served("handlers", "--json")
    assert [told["handler"] for told in done.objects] == ["sh"]
    assert done.err == f"{UNKNOWN}\n"
    assert offered(served, "s") == ["sh"]
    assert UNKNOWN in served("pause", "add").err
    assert "tasks" not in served("ls").err + served("status", status=3).err
