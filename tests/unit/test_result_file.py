# SPDX-License-Identifier: MIT
"""What a command left as its value, and whose fault it is if it cannot be
read."""

import errno
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from spooler import command, fsops


@pytest.fixture
def work(tmp_path: pathlib.Path) -> Iterator[int]:
    """A work directory with a value in it."""
    (tmp_path / command.RESULT).write_text('{"a": 1}')
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file be unreadable, as it never is for root."""

    def read_file(*args: Any) -> bytes:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fsops, "read_file", read_file)


def test_a_value_that_we_may_read_and_cannot_is_asked_for_again(
    work: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trouble is the disk's: the value is not given up."""
    assert command.result(work) == {"a": 1}
    refuse(monkeypatch)
    with pytest.raises(OSError):
        command.result(work)


def test_a_value_that_the_command_took_from_us_is_none(
    work: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its job would wait for a verdict for ever."""
    refuse(monkeypatch)
    os.chmod(tmp_path / command.RESULT, 0)
    assert command.result(work) is None


def test_a_link_is_no_value(work: int, tmp_path: pathlib.Path) -> None:
    """What it points to may be anybody's."""
    (tmp_path / command.RESULT).unlink()
    (tmp_path / command.RESULT).symlink_to("/etc/hostname")
    assert command.result(work) is None
