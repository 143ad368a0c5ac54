# SPDX-License-Identifier: MIT
"""Output files of commands: new for each, whatever was used before."""

import fcntl
import os
import pathlib
from collections.abc import Callable, Iterator

import pytest

from spooler.capture import Capture, Captures
from spooler.recover import is_capture

OWNER = "0000101"
LIMIT = 100
ONE, TWO = "4.00000000000000000001", "4.00000000000000000002"


@pytest.fixture
def shelf(tmp_path: pathlib.Path) -> Iterator[Captures]:
    """Output files in a directory."""
    fd = os.open(tmp_path, os.O_RDONLY)
    made = Captures(fd, OWNER)
    yield made
    made.close()
    os.close(fd)


def lying(path: pathlib.Path) -> list[str]:
    """What lies in a directory."""
    return sorted(os.listdir(path))


def inodes(capture: Capture) -> list[int]:
    """Of both files."""
    return [os.fstat(fd).st_ino for fd in capture.fds]


def test_empty_files_are_used_again(
    shelf: Captures, tmp_path: pathlib.Path
) -> None:
    """What nothing was written to serves the next run, under its name; in
    between it is known as an owner's, and nothing is left at the end."""
    first = shelf.begin(ONE, LIMIT)
    assert lying(tmp_path) == [f"{ONE}.err", f"{ONE}.out"]
    known = inodes(first)
    assert first.close(alone=True) == (0, 0)
    assert len(lying(tmp_path)) == 2
    assert all(map(is_capture, lying(tmp_path)))
    second = shelf.begin(TWO, LIMIT)
    assert lying(tmp_path) == [f"{TWO}.err", f"{TWO}.out"]
    assert inodes(second) == known
    os.write(second.fds[1], b"late\n")
    assert second.close(alone=True) == (0, 5)
    assert lying(tmp_path) == [f"{TWO}.err"]
    assert second.last_error(5) == "late"


def _spoil_mode(capture: Capture, path: pathlib.Path) -> None:
    os.fchmod(capture.fds[0], 0o600)


def _spoil_flags(capture: Capture, path: pathlib.Path) -> None:
    fcntl.fcntl(capture.fds[1], fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)


def _spoil_append(capture: Capture, path: pathlib.Path) -> None:
    fcntl.fcntl(capture.fds[0], fcntl.F_SETFL, 0)


def _spoil_name(capture: Capture, path: pathlib.Path) -> None:
    (path / f"{ONE}.out").unlink()


def _spoil_link(capture: Capture, path: pathlib.Path) -> None:
    os.link(path / f"{ONE}.err", path / "another")


def _spoil_file(capture: Capture, path: pathlib.Path) -> None:
    os.rename(path / f"{ONE}.out", path / "moved")
    (path / f"{ONE}.out").touch(0o640)


@pytest.mark.parametrize("spoil", [
    _spoil_mode, _spoil_flags, _spoil_append, _spoil_name, _spoil_link,
    _spoil_file, None,
])
def test_changed_files_are_not_used_again(
    shelf: Captures, tmp_path: pathlib.Path,
    spoil: Callable[[Capture, pathlib.Path], None] | None,
) -> None:
    """Files are let go of that a run renamed, removed, linked, or gave
    another mode or flags, or that somebody may still have open."""
    first = shelf.begin(ONE, LIMIT)
    held = [os.dup(fd) for fd in first.fds]  # or a new one has its number
    if spoil is not None:
        spoil(first, tmp_path)
    assert first.close(alone=spoil is not None) == (0, 0)
    assert not any(map(is_capture, lying(tmp_path)))
    second = shelf.begin(TWO, LIMIT)
    known = {os.fstat(fd).st_ino for fd in held}
    assert known.isdisjoint(inodes(second))
    assert os.fstat(second.fds[0]).st_mode & 0o777 == 0o640
    for fd in held:
        os.close(fd)
    second.drop()


def test_output_that_is_there_is_not_replaced(
    shelf: Captures, tmp_path: pathlib.Path
) -> None:
    """A run whose output has the name of another's is told so, with new
    files and with used ones, and leaves nothing; only anew replaces it."""
    for used in (False, True):
        if used:
            shelf.begin(TWO, LIMIT).close(alone=True)
        for kind in ("out", "err"):
            there = tmp_path / f"{ONE}.{kind}"
            there.write_text("kept")
            with pytest.raises(FileExistsError):
                shelf.begin(ONE, LIMIT)
            assert there.read_text() == "kept"
            assert lying(tmp_path) == [there.name]
            there.unlink()
    (tmp_path / f"{ONE}.out").write_text("left by a run cut short")
    assert shelf.anew(ONE, LIMIT).close(alone=False) == (0, 0)


def test_files_that_were_removed_are_made_anew(
    shelf: Captures, tmp_path: pathlib.Path
) -> None:
    """Kept files that somebody removed serve no run."""
    for gone in ("*.out", "*.err", "*"):
        shelf.begin(ONE, LIMIT).close(alone=True)
        for path in tmp_path.glob(gone):
            path.unlink()
        second = shelf.begin(TWO, LIMIT)
        assert lying(tmp_path) == [f"{TWO}.err", f"{TWO}.out"]
        second.drop()


def test_output_is_cut_at_its_limit(shelf: Captures) -> None:
    """Of too much output the beginning is kept, of any limit."""
    shelf.begin(ONE, LIMIT).close(alone=True)
    second = shelf.begin(TWO, 10)
    os.write(second.fds[0], b"x" * LIMIT)
    assert second.close(alone=True) == (10, 0)
