# SPDX-License-Identifier: MIT
"""Work directories of commands: fresh for each, whatever was used before."""

import os
import pathlib
from collections.abc import Callable, Iterator

import pytest

from spooler.workdirs import WorkDirs

OWNER = "0000101"


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where they lie."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def dirs(place: pathlib.Path) -> Iterator[WorkDirs]:
    """Those of one runner."""
    fd = os.open(place.parent, os.O_RDONLY)
    yield WorkDirs(fd, OWNER)
    os.close(fd)


def test_an_untouched_one_is_used_again(
    dirs: WorkDirs, place: pathlib.Path
) -> None:
    """Where nothing was done the next run works, in the same directory."""
    name = dirs.take()
    known = (place / name).stat()
    for _ in range(3):
        assert dirs.result(name) is None
        dirs.clean(name, alone=True)
        assert dirs.take() == name
        assert os.path.samestat((place / name).stat(), known)


def _nothing(path: pathlib.Path) -> None:
    """Do nothing; but somebody may still be in it."""


def _write(path: pathlib.Path) -> None:
    (path / "file").write_text("x")


def _write_and_hide(path: pathlib.Path) -> None:
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    (path / ".hidden").mkdir()
    os.utime(path, ns=times)


def _come_and_go(path: pathlib.Path) -> None:
    (path / "file").touch()
    (path / "file").unlink()


def _mode(path: pathlib.Path) -> None:
    path.chmod(0o500)


def _remove(path: pathlib.Path) -> None:
    path.rmdir()


def _replace(path: pathlib.Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.mkdir()


def _move(path: pathlib.Path) -> None:
    path.rename(path.with_name("elsewhere"))


def _link(path: pathlib.Path) -> None:
    path.rmdir()
    path.symlink_to("/")


@pytest.mark.parametrize("act", [
    _nothing, _write, _write_and_hide, _come_and_go, _mode, _remove,
    _replace, _move, _link,
])
def test_a_touched_one_is_made_anew(
    dirs: WorkDirs, place: pathlib.Path, act: Callable[[pathlib.Path], None]
) -> None:
    """Whatever a run did to its directory, the next one has an empty one of
    its own, with its mode, that was not there before."""
    name = dirs.take()
    held = os.open(place / name, os.O_RDONLY)  # or its number comes again
    act(place / name)
    assert dirs.result(name) is None
    dirs.clean(name, alone=act is not _nothing)
    following = place / dirs.take()
    assert following.is_dir() and not following.is_symlink()
    assert not os.listdir(following)
    assert following.stat().st_mode & 0o7777 == 0o700
    assert not os.path.samestat(following.stat(), os.fstat(held))
    os.close(held)


def test_a_result_is_read_from_a_used_one(
    dirs: WorkDirs, place: pathlib.Path
) -> None:
    """The value a run left is found, the first time and later."""
    for value in (1, 2):
        name = dirs.take()
        (place / name / "result").write_text(str(value))
        assert dirs.result(name) == value
        dirs.clean(name, alone=True)
    name = dirs.take()
    assert dirs.result(name) is None
