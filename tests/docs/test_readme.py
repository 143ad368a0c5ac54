# SPDX-License-Identifier: MIT
"""What the README shows works as it is written there."""

import configparser
import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import types
from collections.abc import Iterator

import click
import docutils.core
import pytest
from spooler import Defer, Fail, command, config, settle, states
from spooler.cli import app
from spooler.cli.spoold import spoold

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "README.rst").read_text(encoding="utf-8")
TIMEOUT_S = 60

_BLOCK = re.compile(
    r"^\.\. code-block::\n   :class: (\w+)\n\n((?:    .*\n|\n)+)", re.M
)
_TYPED = re.compile(r"\b(spoolctl|spoold)((?: +[^\s|;)`&]+)*)")


def _section(name: str) -> str:
    parts = re.split(r"^(.+)\n[-=]+\n", TEXT, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))[name]


def _blocks(section: str, kind: str) -> list[str]:
    return [
        "".join(
            line[4:] or "\n" for line in block.splitlines(keepends=True)
        )
        for found, block in _BLOCK.findall(_section(section))
        if found == kind
    ]


def _environment() -> dict[str, str]:
    """Ours, with the programs of this interpreter's environment."""
    places = [os.path.dirname(sys.executable), str(ROOT / "bin")]
    environ = dict(os.environ)
    environ["PATH"] = os.pathsep.join([*places, environ["PATH"]])
    environ.pop("SPOOL_DIR", None)
    return environ


def _run(argv: list[str], where: pathlib.Path) -> str:
    """Run a program that must succeed, and leave no process behind."""
    process = subprocess.Popen(
        argv, cwd=where, env=_environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    assert process.returncode == 0, output
    return output


def _script(blocks: list[str]) -> str:
    """The blocks as one script that says how far it came."""
    parts = ["set -eu\n"]
    for number, block in enumerate(blocks, 1):
        parts.append(f"{block}\necho '=== block {number} ends'\n")
    return "".join(parts)


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, str]:
    """Take the tour once; its directory and what it printed."""
    where = tmp_path_factory.mktemp("tour")
    blocks = _blocks("A tour", "sh")
    assert len(blocks) >= 7
    output = _run(["sh", "-c", _script(blocks)], where)
    assert output.count("=== block") == len(blocks)
    return where, output


def test_tour(tour: tuple[pathlib.Path, str]) -> None:
    """The tour's shell blocks, run in order, all succeed and do their job."""
    where, output = tour
    assert "greeting Ann" in output
    assert "it exited with status 1" in output
    assert "handler paused" in output
    assert (where / "outbox" / "report.pdf").read_text() == "a report\n"
    done = os.listdir(where / "queue" / "done")
    for tail in (",fox.txt", ",report.pdf", ",later.txt"):
        assert len([name for name in done if name.endswith(tail)]) == 1
    assert len([name for name in done if name.endswith(",greet.job")]) == 3
    assert not os.listdir(where / "queue" / "failed")


def test_tour_screen(tour: tuple[pathlib.Path, str]) -> None:
    """The screen that the README shows has the lines that are printed."""
    shown = _section("A tour").split("all there is::\n\n")[1].split("\n\n")[0]
    labels = re.findall(r"^    ([a-z]+)[: ]", shown, re.M)
    printed = tour[1].split("=== block 3 ends")[1]
    assert labels[:3] == ["id", "handler", "state"]
    for label in labels:
        assert re.search(rf"^ *{label}\b", printed, re.M), label


def test_producers(tour: tuple[pathlib.Path, str]) -> None:
    """The producers in the README submit jobs that are then done."""
    where, _ = tour
    for name in ("fox.txt", "report.pdf"):
        (where / name).write_text("some words\n")
    before = set(os.listdir(where / "queue" / "done"))
    shell = _blocks("Producers", "sh")
    assert shell
    _run(["sh", "-c", _script(shell)], where)
    python = _blocks("Producers", "python")
    assert python
    for block in python:
        _run([sys.executable, "-c", block], where)
    submitted = os.listdir(where / "queue" / "incoming")
    assert len(submitted) == 10
    _run(
        ["sh", "-c", 'PYTHONPATH="$PWD" exec spoold --drain queue'], where
    )
    after = set(os.listdir(where / "queue" / "done")) - before
    assert len([name for name in after if "," in name]) == len(submitted)


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("sh", "sh"), ("python", "py"), ("c", "c"), ("go", "go"), ("js", "js"),
     ("perl", "pl"), ("ruby", "rb")],
)
def test_languages(kind: str, suffix: str) -> None:
    """A producer in the README is the file that is compiled and run."""
    (shown,) = _blocks("Producers in any language", kind)
    path = ROOT / "tests" / "producers" / f"producer.{suffix}"
    licence, _, rest = path.read_text(encoding="utf-8").partition("\n")
    assert "SPDX-License-Identifier: MIT" in licence
    assert shown.strip("\n") == rest.expandtabs(4).strip("\n")


def test_every_language() -> None:
    """No producer is left out of the README."""
    shown = re.findall(
        r"^   :class: (\w+)$", _section("Producers in any language"), re.M
    )
    files = list((ROOT / "tests" / "producers").glob("producer.*"))
    assert len(shown) == len(files) >= 5


def test_renders() -> None:
    """The README is reStructuredText without a fault, and fits a terminal."""
    messages = io.StringIO()
    docutils.core.publish_string(
        TEXT, writer="null",
        settings_overrides={"report_level": 1, "warning_stream": messages},
    )
    assert messages.getvalue() == ""
    assert max(map(len, TEXT.splitlines())) <= 80


def test_python_handler() -> None:
    """The Python handler in the README fails, defers and succeeds."""
    (source,) = _blocks("Handlers", "python")
    space: dict[str, object] = {}
    exec(compile(source, "README.rst", "exec"), space)
    mail = space["mail"]
    assert callable(mail)
    job = types.SimpleNamespace(id="1" * 20, attempt=1, body=b"hello")
    with pytest.raises(Fail):
        mail(job, "nobody")
    with pytest.raises(Defer) as deferred:
        mail(job, "ann@example.org")
    assert deferred.value.delay_s == 60
    job.attempt = 2
    assert mail(job, "ann@example.org")["sent"] == 5


def test_configuration() -> None:
    """The configuration in the README is a good one."""
    (text,) = _blocks("Handlers", "toml")
    assert set(config.parse(text).handlers) == {"mail", "thumbnail"}


def test_tasks(tmp_path: pathlib.Path) -> None:
    """The tasks in the README are submitted, run and waited for."""
    module, program = _blocks("Tasks and futures", "python")
    (text,) = _blocks("Tasks and futures", "toml")
    (tmp_path / "myjobs.py").write_text(module)
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "spool.toml").write_text(text)
    output = _run(["sh", "-c", """
        spoolctl init queue && cp spool.toml queue/ &&
        export SPOOL_DIR="$PWD/queue" PYTHONPATH="$PWD" &&
        spoold queue 2>log & daemon=$!
        until grep -q ready log; do sleep 0.1; done
        SPOOL_DIR="$PWD/queue" python3 program.py; status=$?
        kill $daemon; wait; cat log; exit $status
    """], tmp_path)
    first, second, third = [
        line for line in output.splitlines()
        if line.endswith(" 42") or line == "5050" or line.startswith("[")
    ]
    assert first.split()[1] == "42"
    assert (second, third) == ("5050", "[2, 4.5]")


def test_exit_statuses() -> None:
    """The README has what becomes of a job for every exit status."""
    meanings = {
        "done": settle.DONE, "tried": settle.DEFER, "failed,": settle.FAIL,
        "a": settle.RETRY,
    }
    told: dict[int, str] = {}
    table = re.findall(
        r"^(\d+|\d+, \d+|others) {2,}(\S+)", _section("Handlers"), re.M
    )
    for numbers, word in table:
        for number in re.findall(r"\d+", numbers) or range(256):
            told.setdefault(int(number), meanings[word])
    assert told == {
        code: command.verdict(code, None, None, "")[0]
        for code in range(256)
    }


def test_picture() -> None:
    """The arrows of the picture are moves, between the right directories."""
    picture = _section("spooler").split("::\n")[1].split("Every arrow")[0]
    events = set(re.findall(r"-([a-z]+)-", picture))
    assert events <= {event for _, event, _, _ in states.MOVES}
    directories = set(re.findall(r"\b([a-z]+)/", picture))
    assert directories <= {state.value for state in states.State}
    for start, event, end in re.findall(
        r"([a-z]+)/ --([a-z]+)--> ([a-z]+)/", picture
    ):
        assert any(
            (start, event, end) == (row[0].value, row[1], row[2].value)
            for row in states.MOVES
        )


def _typed() -> Iterator[tuple[str, list[str]]]:
    for program, rest in _TYPED.findall(TEXT):
        yield program, rest.split()


def _options(given: click.Command) -> set[str]:
    context = click.Context(given, **given.context_settings)
    return {
        option for parameter in given.get_params(context)
        for option in parameter.opts
    }


def test_verbs_and_options() -> None:
    """The README names no verb and no option that does not exist."""
    verbs = set()
    for program, words in _typed():
        given: click.Command = spoold
        if program == "spoolctl":
            given = app.spoolctl
            while words[:1] == ["-C"]:
                del words[:2]
            if not words:
                continue
            verbs.add(words[0])
            assert words[0] in app.VERBS, words
            assert isinstance(given, click.Group)
            verb = given.get_command(click.Context(given), words[0])
            assert verb is not None
            given = verb
        named = {
            word for word in words
            if re.fullmatch(r"--?[a-z][a-z-]*", word)
        }
        assert named <= _options(given), (program, words)
    assert len(verbs) >= 6


def test_files_exist() -> None:
    """Every file of the checkout that the README names is there."""
    named = set(re.findall(r"(?<![\w/])((?:bin|man)/[\w.]+\w)", TEXT))
    assert len(named) >= 3
    for name in named:
        assert (ROOT / name).exists(), name
    for page, number in re.findall(r"\b(spool[\w.]*)\((\d)\)", TEXT):
        assert (ROOT / "man" / f"{page}.{number}").exists()


def test_python_version() -> None:
    """The README asks for the Python that setup.cfg asks for."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["python_requires"].removeprefix(">=")
    assert f"Python {wanted} or newer" in TEXT
