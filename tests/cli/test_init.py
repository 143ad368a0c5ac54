# SPDX-License-Identifier: MIT
"""spoolctl init: directories, modes, a commented spool.toml."""

import grp
import os
import pathlib
import stat
import sys

import pytest

from spooler import config
from spooler.spool import DIRECTORIES
from spooler.template import TEMPLATE

from .harness import SPOOLD, Cli

OPEN = ("tmp", "incoming", "keys")
PRIVATE = sorted(set(DIRECTORIES) - set(OPEN))


def mode_of(path: pathlib.Path) -> str:
    """Permissions of a file, in octal."""
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def modes_of(path: pathlib.Path) -> dict[str, str]:
    """Permissions of what lies in a spool."""
    return {entry.name: mode_of(entry) for entry in path.iterdir()}


def some_group() -> str:
    """A group this user may give files to; root: one that is not its own."""
    own = os.getgid()
    if os.getuid() == 0:
        return next(g.gr_name for g in grp.getgrall() if g.gr_gid != own)
    return grp.getgrgid(own).gr_name


def test_a_new_spool_is_its_owners_alone(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """Without options nobody but the owner can submit, or read anything."""
    new = tmp_path / "deep" / "er" / "new"
    done = cli("init", str(new))
    modes = modes_of(new)
    assert modes.pop("spool.toml") == "0644"
    assert modes == dict.fromkeys(DIRECTORIES, "0700")
    assert mode_of(new) == "0755"
    assert done.out == "", "stdout is for data"
    first, after = done.err.splitlines()
    assert first == f"{new}: made a new spool"
    assert f"spoold {new}" in after, "says what comes next"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_anyone_can_submit_if_told_so(
    cli: Cli, tmp_path: pathlib.Path, umask: int
) -> None:
    """--anyone lets every user write, list nothing, whatever the umask."""
    new = tmp_path / "new"
    cli("init", "--anyone", str(new), umask=umask)
    modes = modes_of(new)
    assert [modes[name] for name in OPEN] == ["3733"] * 3
    assert {modes[name] for name in PRIVATE} == {"0700"}
    assert mode_of(new) == "0755", "producers must come through"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_group_can_submit_if_told_so(
    cli: Cli, tmp_path: pathlib.Path, umask: int
) -> None:
    """--group lets its members write, list nothing, whatever the umask."""
    new, group = tmp_path / "new", some_group()
    cli("init", "--group", group, str(new), umask=umask)
    modes = modes_of(new)
    assert [modes[name] for name in OPEN] == ["3730"] * 3
    assert {modes[name] for name in PRIVATE} == {"0700"}
    assert [(new / name).group() for name in OPEN] == [group] * 3
    assert mode_of(new) == "0755", "producers must come through"


def test_the_configuration_is_commented_and_good(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """The spool.toml of a new spool explains itself, and spoold takes it."""
    new = tmp_path / "new"
    cli("init", str(new))
    text = (new / config.CONFIG_NAME).read_text()
    assert text.count("#") > 10 and "[handler." in text
    assert text == TEMPLATE
    cli(argv=[sys.executable, SPOOLD, "--check-config", str(new)])


def test_a_spool_is_completed(cli: Cli) -> None:
    """What is missing is made and named; all else stays as it is."""
    cli.configure("workers = 7\n")
    cli.put_waiting()
    (cli.path / "done").rmdir()
    (cli.path / "tmp").chmod(0o750)
    before = cli.listed("incoming")
    done = cli("init", str(cli.path))
    assert ": made done\n" in done.err
    assert cli.listed("done") == [] and cli.listed("incoming") == before
    assert "workers = 7" in (cli.path / "spool.toml").read_text()
    assert mode_of(cli.path / "tmp") == "0750"


def test_a_whole_spool_is_left_alone(cli: Cli) -> None:
    """A second init succeeds, says so, and changes nothing."""
    before = modes_of(cli.path)
    assert "whole spool already" in cli("init", str(cli.path)).err
    assert modes_of(cli.path) == before


def test_an_empty_file_system_will_do(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """A directory that holds only lost+found can become a spool."""
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    cli("init", str(tmp_path / "disk"))
    assert (tmp_path / "disk" / "incoming").is_dir()


def test_a_foreign_directory_is_refused(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """A directory with other things in it exits 73 and stays untouched."""
    foreign = tmp_path / "home"
    foreign.mkdir()
    (foreign / "\x1b[2Jthesis.tex").touch()
    done = cli("init", str(foreign), status=73)
    assert "thesis.tex" in done.err and "\x1b" not in done.err
    assert [entry.name for entry in foreign.iterdir()] == [
        "\x1b[2Jthesis.tex"
    ]


@pytest.mark.parametrize("where", ["file", "file/below", "linked"])
def test_what_cannot_be_a_spool_is_refused(
    cli: Cli, tmp_path: pathlib.Path, where: str
) -> None:
    """A file, a path below one, a link in place of tmp/: exit 73."""
    (tmp_path / "file").touch()
    (tmp_path / "linked").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked" / "tmp").symlink_to(tmp_path / "elsewhere")
    done = cli("init", str(tmp_path / where), status=73)
    assert str(tmp_path / where).removesuffix("/below") in done.err
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_missing_group_is_named(cli: Cli, tmp_path: pathlib.Path) -> None:
    """A group that does not exist exits 2, makes nothing, says what to do."""
    done = cli(
        "init", "--group", "no-such-group", str(tmp_path / "n"), status=2
    )
    assert "groupadd no-such-group" in done.err
    assert not (tmp_path / "n").exists()


def test_two_kinds_of_producers_are_one_too_many(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """--group and --anyone together exit 2 and make nothing."""
    cli(
        "init", "--group", some_group(), "--anyone", str(tmp_path / "n"),
        status=2,
    )
    assert not (tmp_path / "n").exists()


def test_init_needs_a_directory(cli: Cli) -> None:
    """init without a directory exits 2."""
    assert "DIRECTORY" in cli("init", status=2).err


def test_a_spool_can_be_made_by_its_relative_path(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """A relative path is taken from the current directory."""
    cli("init", "here", cwd=tmp_path)
    assert (tmp_path / "here" / "failed").is_dir()
