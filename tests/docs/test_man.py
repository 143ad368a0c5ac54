# SPDX-License-Identifier: MIT
"""The manual pages say what the code does: each table, both ways."""

import ast
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
import click.testing
import pytest
from spooler import (
    beside,
    check,
    command,
    config,
    errors,
    gate,
    jobread,
    jobwrite,
    layout,
    listing,
    names,
    record,
    settle,
    spool,
    states,
    tenure,
    values,
    verdicts,
    view,
)
from spooler.cli import app
from spooler.cli.spoold import spoold
from spooler.states import State

from . import mdoc

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SPOOLCTL = str(ROOT / "bin" / "spoolctl")
#: The sections of manual pages that are ours to read, and where they lie.
OURS = {page.rpartition(".")[0]: page for page in mdoc.PAGES}


def _trees() -> Iterator[tuple[pathlib.Path, ast.Module]]:
    for path in sorted((ROOT / "spooler").rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def _verb(name: str) -> click.Command:
    assert isinstance(app.spoolctl, click.Group)
    verb = app.spoolctl.get_command(click.Context(app.spoolctl), name)
    assert verb is not None
    return verb


def _options(given: click.Command) -> set[str]:
    """Every option of a program or verb, as it is typed."""
    context = click.Context(given, **given.context_settings)
    found: set[str] = set()
    for parameter in given.get_params(context):
        if isinstance(parameter, click.Option):
            found.update(parameter.opts, parameter.secondary_opts)
    return found


# Form.


@pytest.mark.parametrize("page", mdoc.PAGES)
def test_lint(page: str) -> None:
    """A page is clean for mandoc."""
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed: the page was not linted")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", str(mdoc.MAN / page)],
        capture_output=True, text=True,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", mdoc.PAGES)
def test_references(page: str) -> None:
    """A page that refers to one of ours gives the section it is in."""
    for name, number in re.findall(
        r"^\.Xr (\S+) (\d)", mdoc.source(page), re.M
    ):
        if name in OURS:
            assert OURS[name] == f"{name}.{number}"


@pytest.mark.parametrize("page", mdoc.PAGES)
def test_lines(page: str) -> None:
    """The source of a page says whose it is, and fits a terminal."""
    lines = mdoc.source(page).splitlines()
    assert lines[0] == '.\\" SPDX-License-Identifier: MIT'
    assert max(map(len, lines)) <= 81


@pytest.mark.parametrize("page", mdoc.PAGES)
def test_verbs_named(page: str) -> None:
    """What a page tells to type is a verb of spoolctl."""
    text = mdoc.source(page)
    named = re.findall(r"^\.Ic spoolctl ([a-z]+)", text, re.M)
    named += re.findall(r"^(?:\$ )?spoolctl ([a-z]+)", text, re.M)
    assert set(named) <= set(app.VERBS)


# Command lines.


def test_options_of_spoold() -> None:
    """spoold(8) has the options of spoold, and no others."""
    told = mdoc.flags(mdoc.section("spoold.8", "DESCRIPTION"))
    assert told == _options(spoold)


def test_options_of_spoolctl() -> None:
    """spoolctl(1) has the options before the verb, and no others."""
    told = mdoc.flags(mdoc.section("spoolctl.1", "DESCRIPTION"))
    assert told == _options(app.spoolctl)


def test_verbs() -> None:
    """spoolctl(1) has the verbs, in the order of --help."""
    assert mdoc.subsections("spoolctl.1", "VERBS") == list(app.VERBS)


@pytest.mark.parametrize("verb", app.VERBS)
def test_options_of_verb(verb: str) -> None:
    """spoolctl(1) has the options of a verb, and no others."""
    told = mdoc.flags(mdoc.subsection("spoolctl.1", "VERBS", verb))
    assert told == _options(_verb(verb)) - {"--help"}


def _choices() -> Iterator[tuple[str, click.Parameter]]:
    commands = [("spoold.8", spoold), ("spoolctl.1", app.spoolctl)]
    commands += [("spoolctl.1", _verb(verb)) for verb in app.VERBS]
    for page, command_ in commands:
        for option in command_.params:
            if isinstance(option.type, click.Choice):
                yield page, option


def test_choices() -> None:
    """Where there is a choice of words, the page lists them all."""
    for page, option in _choices():
        assert isinstance(option.type, click.Choice)
        told = " | ".join(option.type.choices)
        line = f".Cm {told}\n"
        if isinstance(option, click.Option):
            line = f".It Fl {option.opts[-1][1:]} Cm {told}\n"
        assert line in mdoc.source(page)


def test_states_of_spoolctl() -> None:
    """spoolctl(1) has every word that stands for a state."""
    text = mdoc.section("spoolctl.1", "DESCRIPTION")
    line, last = re.findall(r"^\.Cm (.*)\nor\n\.Cm (\w+)", text, re.M)[0]
    words = {state.word for state in states.FLOW}
    assert {*line.split(" , "), last} == {*words, "all"}


# Exit statuses.


def _statuses(page: str) -> set[int]:
    return set(map(int, mdoc.items(mdoc.section(page, "EXIT STATUS"))))


def test_exit_statuses_of_spoolctl() -> None:
    """spoolctl(1) has the exit statuses of errors.py, and no others."""
    known = {
        value for name, value in vars(errors).items()
        if name.startswith("EX_")
    }
    assert _statuses("spoolctl.1") == known


def test_exit_statuses_of_spoold(tmp_path: pathlib.Path) -> None:
    """spoold(8) has the exit statuses that spoold ends with."""
    known = {
        errors.EX_OK, errors.EX_FAILED, errors.EX_USAGE, errors.EX_CONFIG,
    }
    assert _statuses("spoold.8") == known
    runner = click.testing.CliRunner()
    nowhere = str(tmp_path / "nowhere")
    assert runner.invoke(spoold, []).exit_code == errors.EX_USAGE
    assert runner.invoke(spoold, [nowhere]).exit_code == errors.EX_CONFIG
    layout.create(nowhere)
    assert runner.invoke(spoold, ["-t", nowhere]).exit_code == errors.EX_OK


def test_exit_statuses_of_commands() -> None:
    """spoold(8) has what becomes of a job for every exit status."""
    words = {
        "done": settle.DONE, "defer": settle.DEFER, "fail": settle.FAIL,
        "a": settle.RETRY,
    }
    told: dict[int, str] = {}
    table = mdoc.rows(mdoc.subsection("spoold.8", "HANDLERS", "Commands"))
    for numbers, meaning in table:
        effect = words[re.split(r"\W", meaning)[0]]
        if numbers == "others":
            for number in range(256):
                told.setdefault(number, effect)
        for number in re.findall(r"\d+", numbers):
            told[int(number)] = effect
    assert told == {
        code: command.verdict(code, None, None, "")[0]
        for code in range(256)
    }


# Configuration.

Reader = Callable[[Any], Any]


def _keys(where: str) -> dict[str, tuple[str, str]]:
    """Key -> its kind and its default, as spool.toml(5) has them."""
    found = {}
    for item in mdoc.items(mdoc.section("spool.toml.5", where)):
        match = re.fullmatch(r"Ic (\S+) Pq (.*), default (\S+)", item)
        assert match, item
        found[match[1]] = match[2], match[3]
    return found


def _fields(kind: type) -> dict[str, Any]:
    return {
        field.name: None if field.default is dataclasses.MISSING
        else field.default
        for field in dataclasses.fields(kind)
    }


def _written(default: str, reader: Reader) -> Any:
    if default == "none":
        return None
    if default in ("true", "false"):
        return reader(default == "true")
    return reader(int(default) if default.isdigit() else default)


@pytest.mark.parametrize(
    ("where", "options", "kind"),
    [
        ("KEYS OF THE SPOOL", config.OPTIONS, config.Config),
        ("KEYS OF A HANDLER", config.HANDLER_OPTIONS, config.Handler),
    ],
)
def test_configuration(
    where: str, options: dict[str, tuple[str, Reader]], kind: type
) -> None:
    """spool.toml(5) has every key, with its default and its range."""
    told = _keys(where)
    assert list(told) == list(options)
    fields = _fields(kind)
    for key, (field, reader) in options.items():
        words, default = told[key]
        assert _written(default, reader) == (fields[field] or (
            {"0": 0, "false": False}.get(default)
        )), key
        ends = re.search(r"(\d+)\.\.(\d+)", words)
        if ends is None:
            continue
        low, high = int(ends[1]), int(ends[2])
        assert (reader(low), reader(high)) == (low, high)
        for outside in (low - 1, high + 1):
            with pytest.raises(ValueError):
                reader(outside)


def test_durabilities() -> None:
    """spool.toml(5) has every value of durability, and no others."""
    text = mdoc.section("spool.toml.5", "KEYS OF THE SPOOL")
    item = text.split(".It Ic durability")[1].split(".It ")[0]
    told = re.findall(r"^\.Li (\S+)$", item, re.M)
    assert set(told) == set(values.DURABILITIES)


def test_configuration_example() -> None:
    """The example in spool.toml(5) is a good configuration."""
    (example,) = mdoc.literals(mdoc.section("spool.toml.5", "EXAMPLES"))
    assert config.parse(example).handlers


# Environment.


def _is_environ(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(
        node, "id", ""
    )
    return name == "environ"


def _read_variables(tree: ast.Module) -> Iterator[str]:
    """The constants that ``environ.get`` and ``environ[...]`` are given."""
    for node in ast.walk(tree):
        key: ast.AST | None = None
        if isinstance(node, ast.Call) and isinstance(
            node.func, ast.Attribute
        ):
            if node.func.attr == "get" and _is_environ(node.func.value):
                key = node.args[0]
        elif isinstance(node, ast.Subscript) and _is_environ(node.value):
            key = node.slice
        if isinstance(key, ast.Constant):
            yield str(key.value)


def _given_variables() -> Iterator[str]:
    """The constants among the keys that command.environ makes."""
    tree = ast.parse(
        (ROOT / "spooler" / "command.py").read_text(encoding="utf-8")
    )
    (function,) = (
        node for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "environ"
    )
    for node in ast.walk(function):
        keys: list[ast.expr | None] = []
        if isinstance(node, ast.Dict):
            keys = node.keys
        elif isinstance(node, ast.Subscript):
            keys = [node.slice]
        for key in keys:
            if isinstance(key, ast.Constant):
                yield key.value
            elif isinstance(key, ast.Name):
                yield getattr(command, key.id)
            elif isinstance(key, ast.BinOp):  # "SPOOL_" + the X-... field
                assert isinstance(key.left, ast.Constant)
                yield key.left.value + "X_NAME"


def test_environment() -> None:
    """Both pages of programs have the variables, and no others."""
    read = {
        (path.parent.name == "cli" or path.stem == "place", name)
        for path, tree in _trees() for name in _read_variables(tree)
    }
    told = set(mdoc.named(mdoc.section("spoolctl.1", "ENVIRONMENT"), "Ev"))
    assert told == {name for by_spoolctl, name in read if by_spoolctl}
    told = set(mdoc.named(mdoc.section("spoold.8", "ENVIRONMENT"), "Ev"))
    assert told == set(_given_variables()) | {
        name for by_spoolctl, name in read if not by_spoolctl
    }


# The log.


def _formats() -> set[str]:
    found = set()
    for _, tree in _trees():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
                and node.func.attr in ("debug", "info", "warning", "error")
            ):
                assert isinstance(node.args[0], ast.Constant)
                found.add(node.args[0].value)
    return found


def test_log_lines() -> None:
    """spoold(8) has every line of the log, and no others."""
    told = mdoc.items(mdoc.section("spoold.8", "DIAGNOSTICS"))
    matched = set()
    for log_format in _formats():
        parts = re.split(r"%[a-z]", log_format)
        pattern = r"\S+".join(map(re.escape, parts))
        if pattern.endswith(r"\S+"):
            pattern += r"(?: \S+)*"
        hits = {line for line in told if re.fullmatch(pattern, line)}
        assert hits, f"not in spoold(8): {log_format}"
        matched |= hits
    assert matched == set(told)


# The spool on disk.


def test_directories() -> None:
    """spool(5) has every directory of a spool, and what else lies there."""
    told = mdoc.named(mdoc.section("spool.5", "DIRECTORIES"), "Pa")
    kept = {name.rstrip("/") for name in told}
    assert kept == {
        *spool.DIRECTORIES, config.CONFIG_NAME, "handlers.d", gate.GATE
    }


def test_modes(tmp_path: pathlib.Path) -> None:
    """spool(5) has the modes that init gives to the directories."""
    text = mdoc.section("spool.5", "DIRECTORIES")
    told = {option: mode for _, option, mode in mdoc.rows(text)}
    assert told == {
        "Em option": "Em mode",
        "none": f"{layout.MODE_OWNER:04o}",
        "Fl -group": f"{layout.MODE_GROUP:04o}",
        "Fl -anyone": f"{layout.MODE_ANYONE:04o}",
        "any": f"{layout.MODE_PRIVATE:04o}",
    }
    layout.create(str(tmp_path / "own"))
    layout.create(str(tmp_path / "open"), anyone=True)
    for name in spool.DIRECTORIES:
        is_open = name in layout.OPEN_DIRECTORIES
        for path, mode in (
            ("own", told["none"]),
            ("open", told["Fl -anyone" if is_open else "any"]),
        ):
            found = (tmp_path / path / name).stat().st_mode & 0o7777
            assert f"{found:04o}" == mode, (path, name)


def test_moves() -> None:
    """spool(5) has the table of moves, row by row."""
    table = mdoc.rows(mdoc.section("spool.5", "MOVES"))[1:]
    assert table == [
        [start.value, event, end.value, by]
        for start, event, end, by in states.MOVES
    ]


def test_moves_are_methods() -> None:
    """Every event of the table but submit is a method of Spool."""
    for _, event, _, by in states.MOVES:
        if by != states.PRODUCER:
            assert callable(getattr(spool.Spool, event))


def test_invariants() -> None:
    """spool(5) has the invariants of check.py, in its words."""
    text = mdoc.section("spool.5", "INVARIANTS")
    parts = re.split(r"^\.It (I\d+)\n", text, flags=re.M)
    told = dict(zip(parts[1::2], map(mdoc.words, parts[2::2])))
    known = {}
    for function in (
        *vars(check).values(), *vars(beside).values(), *vars(tenure).values()
    ):
        found = re.match(r"(I\d+): (.*)", getattr(
            function, "__doc__", None
        ) or "")
        if found:
            known[found[1]] = found[2]
    assert list(told) == sorted(known, key=lambda word: int(word[1:]))
    for number, sentence in known.items():
        assert told[number].startswith(sentence), number


def test_names() -> None:
    """spool(5) has the limits of names that producers choose."""
    text = mdoc.words(mdoc.subsection(
        "spool.5", "JOB NAMES", "Names that producers choose"
    ))
    assert (
        f"a name of 1..{names.DROP_MAX_BYTES} bytes, or of"
        f" 1..{names.DROP_DOCUMENT_MAX_BYTES} bytes if it ends in"
        f" {names.DOCUMENT_SUFFIX}" in text
    )
    for suffix in names.UNFINISHED_SUFFIXES:
        assert f" {suffix}" in text
    for size, suffix in (
        (names.DROP_MAX_BYTES, ""), (names.DROP_DOCUMENT_MAX_BYTES, ".job")
    ):
        longest = "x" * (size - len(suffix)) + suffix
        assert names.why_illegal(longest) is None
        assert names.why_illegal("x" + longest) is not None


def test_grammar() -> None:
    """spool(5) has every field of a name, in the order of writing."""
    text = mdoc.subsection("spool.5", "JOB NAMES", "Grammar")
    told = [
        item.split()[1] for item in mdoc.items(text)
        if item.startswith("Sy ")
    ]
    name = names.Name(
        5, "0" * names.ID_CHARS, "x", handler="h", runs=1, due_ns=1,
        key="0" * names.KEY_CHARS,
        claim="0" * (names.OWNER_CHARS + names.TOKEN_CHARS), verdict="ok",
        micros=1, twin="0" * names.TWIN_CHARS, resubmitted=True,
    )
    head = str(name).partition(",")[0]
    written = [field[0] for field in head.split(".")[2:]]
    written.insert(written.index("a") + 1, "b")  # one of the two
    assert told == written
    plain = mdoc.words(text)
    assert f"up to {names.MAX_RUNS}." in plain
    assert names.DIGITS in plain
    for number, what in (
        (names.TIME_CHARS, "such digits for the wall clock in nanoseconds"),
        (names.DICE_CHARS, "random ones"),
        (names.DUE_CHARS, "digits: the wall clock in microseconds"),
        (names.KEY_CHARS, "digits: the key that it holds"),
        (names.OWNER_CHARS, "digits for the instance"),
        (names.TOKEN_CHARS, "random ones"),
        (names.TWIN_CHARS, "digits that tell apart"),
    ):
        assert f"{number} {what}" in plain


def test_name_examples() -> None:
    """Every name that spool(5) shows is of the grammar."""
    shown = mdoc.named(
        mdoc.subsection("spool.5", "JOB NAMES", "Examples"), "Pa"
    )
    assert len(shown) >= 4
    for text in shown:
        assert str(names.parse(text)) == text


def test_document_fields() -> None:
    """spool(5) has every field of a job document, and no others."""
    told = mdoc.named(
        mdoc.subsection("spool.5", "JOB DOCUMENTS", "Fields"), "Ic"
    )
    assert told == [*jobread.FIELDS, "X-..."]
    told = mdoc.named(
        mdoc.subsection("spool.5", "JOB DOCUMENTS", "JSON documents"), "Ic"
    )
    assert set(told) - set(jobread.FIELDS) == set(jobread.JSON_FIELDS)


def test_document_limits() -> None:
    """spool(5) has the limits of a job document."""
    table = mdoc.rows(
        mdoc.subsection("spool.5", "JOB DOCUMENTS", "Limits")
    )
    assert [int(number) for number, _ in table] == [
        jobwrite.HEADER_MAX_BYTES, jobwrite.FIELDS_MAX,
        jobwrite.JSON_MAX_BYTES, jobread.JSON_DEPTH_MAX,
    ]


def test_verdicts() -> None:
    """spool(5) has the word for every way a run can end."""
    table = mdoc.rows(
        mdoc.subsection("spool.5", "VERDICTS", "What a run ends in")
    )[1:]
    assert {word: kind for word, kind, _ in table} == verdicts.KINDS


def test_sidecars() -> None:
    """spool(5) has every kind of file that lies beside a job."""
    told = mdoc.named(
        mdoc.subsection("spool.5", "VERDICTS", "Files beside a job"), "Pa"
    )
    assert told == [f"STEM.{kind}" for kind in names.SIDECARS]


def test_record() -> None:
    """spool(5) has every member of a record and of its runs."""
    text = mdoc.subsection("spool.5", "VERDICTS", "The record")
    line = json.loads(record.encode(record.Record("0" * 20)))
    assert mdoc.named(text, "Ic") == list(line)
    runs = text.split(".It Ic runs\n")[1].split("\n.It ")[0]
    told = re.findall(r"^\.Ic (\S+)", runs, re.M)
    fields = [field.name for field in dataclasses.fields(record.Run)]
    assert told == [*fields, "utime", "stime", "maxrss"]
    assert f"{record.REASON_MAX_CHARS} characters" in mdoc.words(runs)


def test_precedence() -> None:
    """Where a job lies twice, spool(5) keeps the one the code would."""
    text = mdoc.words(mdoc.section("spool.5", "RECOVERY"))
    order = ", ".join(
        state.value for state in states.PRECEDENCE
        if state is not State.TMP
    )
    assert f"comes first in this order: {order}." in text


# What can be typed.


def _sh(script: str, where: pathlib.Path, **variables: str) -> str:
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=where, text=True,
        env={**os.environ, **variables}, stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL, timeout=30,
    )
    assert done.returncode == 0, script
    return done.stdout


def test_producers(tmp_path: pathlib.Path) -> None:
    """The producers in spool(5) submit legal jobs, with sh alone."""
    queue = tmp_path / "queue"
    layout.create(str(queue))
    (tmp_path / "scan.pdf").write_bytes(b"scan")
    (tmp_path / "body").write_bytes(b"the body\n")
    examples = mdoc.literals(
        mdoc.section("spool.5", "PRODUCERS WITHOUT OUR PROGRAMS")
    )
    submitting = [text for text in examples if "incoming/" in text]
    assert len(submitting) == 4
    for text in submitting:
        _sh(text, tmp_path, SPOOL=str(queue), to="ann@example.org")
        assert not os.listdir(queue / "tmp")
    dropped = os.listdir(queue / "incoming")
    # Two of them drop the same name, and the second replaces the first.
    assert len(dropped) == 3
    for name in dropped:
        assert names.why_illegal(name) is None
        path = queue / "incoming" / name
        assert path.stat().st_mode & 0o040, "not readable by the group"
        data = path.read_bytes()
        if not name.endswith(".job"):
            assert data == b"scan"
            continue
        end = jobread.header_end(data)
        document = jobread.parse_header(data[:end])
        assert document.handler == "mail"
        assert document.args == ["ann@example.org"]
        assert data[end:] == b"the body\n"


def test_newline_is_refused(tmp_path: pathlib.Path) -> None:
    """The guard in spool(5) stops a value that would add a header line."""
    (guard,) = [
        text for text in mdoc.literals(
            mdoc.section("spool.5", "PRODUCERS WITHOUT OUR PROGRAMS")
        ) if "case" in text
    ]
    assert _sh(f"{guard}\necho good", tmp_path, to="ann") == "good\n"
    done = subprocess.run(
        ["sh", "-c", f"{guard}\necho good"], capture_output=True, text=True,
        env={**os.environ, "to": "ann\nPriority: 9"},
    )
    assert (done.returncode, done.stdout) == (65, "")


def test_digest_by_hand(tmp_path: pathlib.Path) -> None:
    """The digest that spool(5) makes with sha256sum is the right one."""
    text = "".join(mdoc.literals(mdoc.subsection(
        "spool.5", "JOB DOCUMENTS", "Making a digest by hand"
    )))
    (tmp_path / "body").write_bytes(b"the body\n")
    _sh(text, tmp_path, to="ann@example.org")
    data = (tmp_path / "signed.job").read_bytes()
    end = jobread.header_end(data)
    document = jobread.parse_header(data[:end])
    digest = jobread.new_digest(data[:end])
    digest.update(data[end:])
    assert document.digest == digest.hexdigest()
    jobread.verify(document, len(data) - end, digest.hexdigest())
    assert (document.length, document.args) == (9, ["ann@example.org"])


def test_checksum_by_hand(tmp_path: pathlib.Path) -> None:
    """The checksum that spool(5) makes with sed is that of the record."""
    text = "".join(mdoc.literals(
        mdoc.subsection("spool.5", "VERDICTS", "The record")
    ))
    line = record.encode(record.Record("0" * 20, value={"a": "b,\"}"}))
    (tmp_path / "STEM.result").write_bytes(line)
    assert _sh(text, tmp_path).strip() == json.loads(line)["check"]


def test_document_example() -> None:
    """The document that spool(5) shows is one."""
    text = mdoc.section("spool.5", "JOB DOCUMENTS").split(".Ss ")[0]
    (example,) = mdoc.literals(text)
    data = example.encode()
    document = jobread.parse_header(data[:jobread.header_end(data)])
    assert (document.handler, document.priority) == ("mail", 7)


# What spoolctl prints for programs.


@pytest.fixture
def finished(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a spool with one job that failed, with a record."""
    path = tmp_path / "spool"
    layout.create(str(path))
    name = names.Name(5, "1" * 20, "a.txt", runs=1, verdict="exit3")
    run = record.Run(1, 0, 1.0, "exit", 3)
    (path / "failed" / str(name)).write_bytes(b"data")
    (path / "failed" / f"{name.stem}.result").write_bytes(
        record.encode(record.Record(name.id, "h", 1, (run,)))
    )
    (path / "hold" / "stray").write_bytes(b"")
    return path


def _printed(path: pathlib.Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, SPOOLCTL, "-C", str(path), *words],
        capture_output=True, text=True, timeout=30,
    )
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_json_of_a_job(finished: pathlib.Path) -> None:
    """spoolctl(1) has the fields of ls and show, and no others."""
    told = mdoc.named(mdoc.subsection("spoolctl.1", "JSON", "Of a job"), "Ic")
    listed = list(_printed(finished, "ls", "--json"))
    assert told[:len(listed)] == listed
    shown = list(_printed(finished, "show", "--json", "a.txt"))
    # Those of a job that runs are held to by a test of spoolctl.
    runs = ["started", "worker_pid", "progress"]
    assert told == [*listed, *runs, *shown[len(listed):]]
    with spool.Spool(str(finished)) as opened:
        (job,) = listing.jobs(opened).values()
        waiting = view.JobView(job.id, State.INCOMING, job.entry, job.name)
        fields = view.to_json(waiting, "h", 1, view.Details())
    assert told[:len(fields)] == list(fields)


@pytest.mark.parametrize("verb", ["status", "check", "handlers"])
def test_json_of_the_spool(finished: pathlib.Path, verb: str) -> None:
    """spoolctl(1) has the fields of these verbs, and no others."""
    if verb == "handlers":
        toml = finished / "spool.toml"
        toml.write_text('format = 1\n[handler.h]\ncommand = ["true"]\n')
    text = mdoc.subsection("spoolctl.1", "JSON", f"Of {verb}")
    told = re.findall(r"^\.Ic (\S+)", text, re.M)
    assert told == list(_printed(finished, verb, "--json"))
