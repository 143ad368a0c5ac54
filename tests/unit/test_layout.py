# SPDX-License-Identifier: MIT
"""Making the directories of a spool."""

import errno
import grp
import os
import pathlib
import shutil
import stat
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem
from spooler import config, configfile, layout
from spooler.errors import EX_CANTCREAT, EX_USAGE, SpoolError
from spooler.spool import DIRECTORIES, Spool
from spooler.template import TEMPLATE

EVERYTHING = [*DIRECTORIES, config.CONFIG_NAME]


@pytest.fixture
def umask() -> Iterator[None]:
    """Work under a umask that takes everything away."""
    old = os.umask(0o777)
    yield
    os.umask(old)


def mode_of(path: pathlib.Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.lstat().st_mode)


def own_group() -> str:
    """The name of the group this process runs as."""
    try:
        return grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        pytest.skip(f"group {os.getegid()} has no name here")


def refused(path: pathlib.Path, status: int, **keys: Any) -> str:
    """Make a spool that must not be made; the error's text."""
    with pytest.raises(SpoolError) as caught:
        layout.create(str(path), **keys)
    assert caught.value.status == status
    return str(caught.value)


def test_a_new_spool(tmp_path: pathlib.Path) -> None:
    """Everything is made, told, and can be opened."""
    path = tmp_path / "a" / "spool"
    assert layout.create(str(path)) == EVERYTHING
    assert sorted(os.listdir(path)) == sorted(EVERYTHING)
    assert configfile.load(str(path)) == config.parse(TEMPLATE)
    with Spool(str(path)) as spool:
        assert spool.path == str(path)


@pytest.mark.parametrize(
    "keys, want",
    [({}, 0o700), ({"anyone": True}, 0o3733),
     ({"group": "", "anyone": True}, 0o3733), ({"group": ""}, 0o3730)],
    ids=["owner", "anyone", "anyone and group", "group"],
)
def test_modes(
    tmp_path: pathlib.Path, keys: dict[str, Any], want: int
) -> None:
    """Producers may write where they are let; nobody else anywhere."""
    if "group" in keys:
        keys = {**keys, "group": own_group()}
    path = tmp_path / "spool"
    layout.create(str(path), **keys)
    for name in DIRECTORIES:
        is_open = name in layout.OPEN_DIRECTORIES
        assert mode_of(path / name) == (want if is_open else 0o700), name
    if "group" in keys:
        assert (path / "tmp").stat().st_gid == os.getegid()
    assert mode_of(path / "spool.toml") & 0o133 == 0


def test_the_group_may_submit(tmp_path: pathlib.Path) -> None:
    """The two open directories belong to the producers' group."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory to any group")
    group = next(g for g in grp.getgrall() if g.gr_gid != os.getegid())
    path = tmp_path / "spool"
    layout.create(str(path), group=group.gr_name)
    for name in DIRECTORIES:
        belongs = (path / name).stat().st_gid == group.gr_gid
        assert belongs is (name in layout.OPEN_DIRECTORIES), name
    assert mode_of(path / "incoming") == 0o3730


def test_the_umask_does_not_matter(
    tmp_path: pathlib.Path, umask: None
) -> None:
    """The modes are those promised whatever umask init runs under."""
    path = tmp_path / "spool"
    path.mkdir()
    path.chmod(0o755)
    layout.create(str(path), anyone=True)
    assert mode_of(path / "tmp") == mode_of(path / "incoming") == 0o3733
    assert mode_of(path / "done") == 0o700


def test_an_empty_directory_is_taken(tmp_path: pathlib.Path) -> None:
    """A directory that is empty but for lost+found can become a spool."""
    (tmp_path / "lost+found").mkdir()
    assert layout.create(str(tmp_path)) == EVERYTHING


def test_twice_makes_nothing(tmp_path: pathlib.Path) -> None:
    """A whole spool is left as it is, its jobs and its settings."""
    layout.create(str(tmp_path), anyone=True)
    (tmp_path / "incoming" / "job").write_text("x")
    (tmp_path / "spool.toml").write_text("workers = 3")
    (tmp_path / "handlers.d").mkdir()
    (tmp_path / "notes").touch()
    assert layout.create(str(tmp_path)) == []
    assert (tmp_path / "incoming" / "job").read_text() == "x"
    assert (tmp_path / "spool.toml").read_text() == "workers = 3"
    assert mode_of(tmp_path / "incoming") == 0o3733


@pytest.mark.parametrize("missing", EVERYTHING)
def test_what_is_missing_is_made_again(
    tmp_path: pathlib.Path, missing: str
) -> None:
    """A spool that lost a directory or its file is completed."""
    layout.create(str(tmp_path))
    target = tmp_path / missing
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    assert layout.create(str(tmp_path)) == [missing]
    with Spool(str(tmp_path)):
        assert sorted(os.listdir(tmp_path)) == sorted(EVERYTHING)


@pytest.mark.parametrize(
    "found",
    [["notes.txt"], ["tmp", "notes.txt"], ["incoming", ".git"],
     ["a\x1b[2J"]],
    ids=["file", "tmp and file", "checkout", "escape"],
)
def test_a_foreign_directory_is_refused(
    tmp_path: pathlib.Path, found: list[str]
) -> None:
    """A directory with other things in it is left exactly as it was."""
    for name in found:
        (tmp_path / name).mkdir()
    text = refused(tmp_path, EX_CANTCREAT)
    assert "not empty and not a spool" in text and text.isprintable()
    assert sorted(os.listdir(tmp_path)) == sorted(found)


def test_the_error_names_what_is_there(tmp_path: pathlib.Path) -> None:
    """Three foreign entries at most are named."""
    for name in "dbca":
        (tmp_path / name).touch()
    assert "(holds a, b, c)" in refused(tmp_path, EX_CANTCREAT)


def test_a_file_in_the_way(tmp_path: pathlib.Path) -> None:
    """Neither the spool nor a directory of it can replace a file."""
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refused(tmp_path / "file", EX_CANTCREAT)
    refused(tmp_path / "file" / "spool", EX_CANTCREAT)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "active").touch()
    text = refused(tmp_path / "spool", EX_CANTCREAT)
    assert text == f"{tmp_path}/spool/active: is not a directory"


def test_a_link_is_no_directory(tmp_path: pathlib.Path) -> None:
    """A link where a directory belongs is refused and not followed."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "tmp").symlink_to(tmp_path / "elsewhere")
    text = refused(tmp_path / "spool", EX_CANTCREAT, anyone=True)
    assert "spool/tmp: is not a directory" in text
    assert mode_of(tmp_path / "elsewhere") & 0o3000 == 0


def test_an_unknown_group(tmp_path: pathlib.Path) -> None:
    """A group that does not exist is named, and nothing is made."""
    text = refused(tmp_path / "spool", EX_USAGE, group="no-such-group")
    assert "no-such-group" in text and "groupadd" in text
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize(
    "name, number",
    [("mkdir", errno.ENOSPC), ("mkdir", errno.EACCES),
     ("mkdir", errno.EROFS), ("chmod", errno.EPERM), ("open", errno.ENOSPC),
     ("listdir", errno.EIO)],
)
def test_what_the_kernel_refuses(
    tmp_path: pathlib.Path, broken: Callable[..., Any], name: str,
    number: int,
) -> None:
    """An error of the kernel is passed on in its words, status 73."""
    (tmp_path / "spool").mkdir()
    broken(os, name, number)
    text = refused(tmp_path / "spool", EX_CANTCREAT)
    assert os.strerror(number) in text and str(tmp_path / "spool") in text


def test_after_a_full_disk_it_is_completed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
    broken: Callable[..., Any],
) -> None:
    """A spool half made because the disk was full is completed later."""
    path = tmp_path / "spool"
    path.mkdir()
    broken(os, "mkdir", errno.ENOSPC, skip=4)  # the first: the spool's
    refused(path, EX_CANTCREAT)
    monkeypatch.undo()
    assert layout.create(str(path)) == EVERYTHING[3:]


def test_on_a_fake_disk(fs: FakeFilesystem) -> None:
    """The same works on any file system the calls mean the same on."""
    assert layout.create("/var/spool/jobs", anyone=True) == EVERYTHING
    assert stat.S_IMODE(os.stat("/var/spool/jobs/tmp").st_mode) == 0o3733
    assert layout.create("/var/spool/jobs") == []


@pytest.mark.parametrize("more", [{"group": ""}, {"anyone": True}])
def test_what_is_missing_is_made_as_the_rest(
    tmp_path: pathlib.Path, more: dict[str, Any]
) -> None:
    """A spool from before there were keys, or without one, stays as open."""
    path = tmp_path / "spool"
    if "group" in more:
        more = {"group": grp.getgrgid(os.getgid()).gr_name}
    layout.create(str(path), **more)
    before = (path / "keys").stat()
    (path / "keys").rmdir()
    assert layout.create(str(path)) == ["keys"]
    after = (path / "keys").stat()
    assert (after.st_mode, after.st_gid) == (before.st_mode, before.st_gid)
    for name in layout.OPEN_DIRECTORIES:
        (path / name).rmdir()
    layout.create(str(path))
    assert mode_of(path / "keys") == 0o700
