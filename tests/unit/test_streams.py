# SPDX-License-Identifier: MIT
"""What a coroutine prints, while the disk takes it and while it does not."""

import errno
import os
import pathlib
import types
from typing import Any

import pytest
from spooler.states import State
from spooler.streams import Output


@pytest.fixture
def output(tmp_path: pathlib.Path) -> Any:
    """The output of a job "stem", in a directory of its own."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    link: Any = types.SimpleNamespace(
        spool=types.SimpleNamespace(fds={State.ACTIVE: fd}),
        set_apart=lambda task: None,
    )
    task: Any = types.SimpleNamespace(
        name=types.SimpleNamespace(stem="stem"),
        handler=types.SimpleNamespace(output_limit=100),
    )
    yield Output(link, task)
    os.close(fd)


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """Let every such call fail."""
    def fail(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"spooler.streams.os.{call}", fail)


@pytest.mark.parametrize("call", ["open", "write"])
def test_trouble_with_the_disk_is_not_the_jobs(
    output: Output, tmp_path: pathlib.Path, call: str
) -> None:
    """What cannot be written waits, whole, until the disk takes it."""
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, call, errno.EIO)
        output.write("out", b"one\n")
        output.write("out", b"two\n")
        with pytest.raises(OSError):
            output.close()
    assert output.close() == (8, 0)
    assert (tmp_path / "stem.out").read_bytes() == b"one\ntwo\n"


def test_what_never_passes_is_told(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that does not pass by itself reaches the handler."""
    refuse(monkeypatch, "open", errno.EACCES)
    with pytest.raises(PermissionError):
        output.write("out", b"one\n")


def test_a_part_of_a_line_is_kept_for_the_end(
    output: Output, tmp_path: pathlib.Path
) -> None:
    """It is written at the end; what is over the limit is not."""
    output.write("err", b"x" * 60)
    output.write("err", b"y" * 60)
    assert not (tmp_path / "stem.err").exists()
    assert output.close() == (0, 100)
    assert (tmp_path / "stem.err").read_bytes() == b"x" * 60 + b"y" * 40
