# SPDX-License-Identifier: MIT
"""A spool's configuration, read from its files."""

import errno
import os
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from spooler import configfile
from spooler.config import Config, Handler
from spooler.errors import EX_CONFIG, ConfigError
from spooler.route import Router

MAIL = '[handler.mail]\ncommand = ["true"]\n'


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a directory to hold configuration."""
    (tmp_path / "handlers.d").mkdir()
    return tmp_path


def executable(path: pathlib.Path, mode: int = 0o755) -> pathlib.Path:
    """Write a small program."""
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def refused(*args: Any, **keys: Any) -> str:
    """Load what must not load; the error's text."""
    with pytest.raises(ConfigError) as caught:
        configfile.load(*args, **keys)
    assert caught.value.status == EX_CONFIG
    return str(caught.value)


def test_the_spools_own_file(home: pathlib.Path) -> None:
    """spool.toml is read from the spool."""
    (home / "spool.toml").write_text("workers = 3\n" + MAIL)
    assert configfile.load(str(home)) == Config(
        workers=3, handlers={"mail": Handler("mail", ("true",))}
    )


def test_no_file_gives_the_defaults(home: pathlib.Path) -> None:
    """A spool without spool.toml works with the defaults."""
    assert configfile.load(str(home)) == Config()


def test_another_file(home: pathlib.Path) -> None:
    """A file given by hand is read instead of the spool's own."""
    (home / "spool.toml").write_text("nonsense")
    (home / "other.toml").write_text("workers = 4")
    read = configfile.load(str(home), file=str(home / "other.toml"))
    assert read.workers == 4


def test_a_missing_file_is_named(home: pathlib.Path) -> None:
    """A file that was asked for and is not there is an error."""
    path = str(home / "other.toml")
    assert f"{path}: no such file" in refused(str(home), file=path)


def test_a_missing_spool_is_named(home: pathlib.Path) -> None:
    """Without the spool itself, the way to make one is shown."""
    text = refused(str(home / "gone"))
    assert f"spoolctl init {home / 'gone'}" in text


def test_errors_name_the_file(home: pathlib.Path) -> None:
    """An error in a file begins with the file's path."""
    (home / "spool.toml").write_text("workes = 1")
    assert refused(str(home)).startswith(f"{home / 'spool.toml'}: unknown")


def test_a_file_that_is_not_utf8(home: pathlib.Path) -> None:
    """A file of another encoding is refused, not guessed at."""
    (home / "spool.toml").write_bytes(b'default = "caf\xe9"')
    assert refused(str(home)) == f"{home / 'spool.toml'}: not UTF-8"


def test_a_file_that_is_a_directory(home: pathlib.Path) -> None:
    """The kernel's reason is passed on with the path."""
    (home / "spool.toml").mkdir()
    assert refused(str(home)) == f"{home / 'spool.toml'}: Is a directory"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_read(
    home: pathlib.Path, broken: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch, number: int,
) -> None:
    """A file the kernel refuses is an error that names it."""
    path = str(home / "spool.toml")

    def deny(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr("builtins.open", deny)
    assert refused(str(home)) == f"{path}: {os.strerror(number)}"


def test_workers_given_by_hand(home: pathlib.Path) -> None:
    """Workers on the command line win over the file, zero included."""
    (home / "spool.toml").write_text("workers = 3")
    assert configfile.load(str(home), workers=0).workers == 0
    assert configfile.load(str(home), workers=9).workers == 9
    assert configfile.load(str(home)).workers == 3


def test_executables_are_handlers(home: pathlib.Path) -> None:
    """Every program in handlers.d is a handler of its own name."""
    (home / "spool.toml").write_text(MAIL)
    paths = [
        executable(home / "handlers.d" / name) for name in ("thumb", "a-2_b")
    ]
    read = configfile.load(str(home)).handlers
    assert set(read) == {"mail", "thumb", "a-2_b"}
    for path in paths:
        assert read[path.name] == Handler(path.name, (str(path),))


def test_what_is_no_executable_is_passed_over(home: pathlib.Path) -> None:
    """As run-parts does, only plain names of programs count."""
    directory = home / "handlers.d"
    for name in ("a.sh", "b~", ".hidden", "c.dpkg-old", "ü", "h" * 33):
        executable(directory / name)
    executable(directory / "not-executable", 0o644)
    (directory / "sub").mkdir()
    (directory / "dangling").symlink_to("nowhere")
    assert configfile.load(str(home)).handlers == {}


def test_a_link_to_a_program_is_a_handler(home: pathlib.Path) -> None:
    """An administrator may link a program into handlers.d."""
    program = executable(home / "program")
    (home / "handlers.d" / "linked").symlink_to(program)
    assert set(configfile.load(str(home)).handlers) == {"linked"}


def test_a_handler_is_given_once(home: pathlib.Path) -> None:
    """A name both in spool.toml and handlers.d is an error, not a guess."""
    (home / "spool.toml").write_text(MAIL)
    path = executable(home / "handlers.d" / "mail")
    text = refused(str(home))
    assert text.startswith(f"{path}: [handler.mail] is in spool.toml too")


def test_no_handlers_directory(home: pathlib.Path) -> None:
    """handlers.d need not exist."""
    (home / "handlers.d").rmdir()
    assert configfile.load(str(home)) == Config()


def test_a_handlers_directory_that_is_a_file(home: pathlib.Path) -> None:
    """A handlers.d that cannot be listed is an error that names it."""
    (home / "handlers.d").rmdir()
    (home / "handlers.d").touch()
    assert refused(str(home)) == f"{home / 'handlers.d'}: Not a directory"


def test_default_may_be_an_executable(home: pathlib.Path) -> None:
    """The default handler may be a program of handlers.d."""
    (home / "spool.toml").write_text('default = "store"')
    executable(home / "handlers.d" / "store")
    read = configfile.load(str(home))
    assert read.default == "store" and set(read.handlers) == {"store"}


def test_default_must_exist_somewhere(home: pathlib.Path) -> None:
    """A default that is neither in spool.toml nor handlers.d is refused."""
    (home / "spool.toml").write_text('default = "sotre"')
    executable(home / "handlers.d" / "store")
    assert "'sotre' is not a handler" in refused(str(home))


def test_a_handler_on_the_command_line(home: pathlib.Path) -> None:
    """--handler takes what no pattern matches; its words are a shell's."""
    (home / "spool.toml").write_text(
        'default = "mail"\n' + MAIL + 'match = ["*.eml"]\n'
    )
    read = configfile.load(str(home), ad_hoc="gzip -9 'a b' \"$HOME\"")
    assert read.default == configfile.AD_HOC
    assert read.handlers[configfile.AD_HOC].command == (
        "gzip", "-9", "a b", "$HOME"
    )
    router = Router(read)
    assert router.route("x.eml") == "mail"
    assert router.route("x") == configfile.AD_HOC


@pytest.mark.parametrize("text", ["", "  ", "a 'b"])
def test_a_command_line_that_is_none(home: pathlib.Path, text: str) -> None:
    """A --handler without words, or with half a quote, is an error."""
    assert refused(str(home), ad_hoc=text).startswith("--handler: ")


def test_an_executable_is_no_shell(home: pathlib.Path) -> None:
    """A path with spaces stays one word of the command."""
    spaced = home / "my spool"
    (spaced / "handlers.d").mkdir(parents=True)
    path = executable(spaced / "handlers.d" / "run")
    read = configfile.load(str(spaced))
    assert read.handlers["run"].command == (str(path),)


def test_problems_names_missing_programs(home: pathlib.Path) -> None:
    """A command that is not installed is told before a job needs it."""
    (home / "spool.toml").write_text(
        MAIL + '[handler.x]\ncommand = ["no-such-program-here"]\n'
        '[handler.y]\npython = "m:f"\n'
    )
    told = configfile.problems(configfile.load(str(home)))
    assert told == [
        "[handler.x] command: no program 'no-such-program-here'"
    ]


def test_strange_paths_are_shown_inert(home: pathlib.Path) -> None:
    """A path with control characters cannot reach a terminal."""
    assert "\\x1b[2J" in refused(str(home), file=str(home / "\x1b[2J"))
