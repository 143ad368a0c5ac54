# SPDX-License-Identifier: MIT
"""The publish protocol: every step, in order, before a submit is confirmed."""

import errno
import os
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from spooler import client, fsops, layout, publish
from spooler.errors import SpoolError, SubmitUnknown


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the disk, in order."""
    done: list[str] = []
    real_sync, real_rename, real_open = fsops.sync, fsops.rename, os.open
    real_write, real_syncfs = fsops.write_all, fsops.sync_file_system

    def where(fd: int) -> str:
        path = os.readlink(f"/proc/self/fd/{fd}")
        kind = "directory" if os.path.isdir(path) else "file"
        in_tmp = "/tmp" == os.path.dirname(path)[-4:]
        return f"{kind} in tmp" if in_tmp else kind

    def sync(fd: int) -> None:
        done.append(f"sync {where(fd)}")
        real_sync(fd)

    def rename(*args: Any) -> bool:
        done.append("rename")
        return real_rename(*args)

    def write_all(fd: int, data: bytes) -> None:
        done.append("write")
        real_write(fd, data)

    def syncfs(fd: int) -> None:
        done.append("syncfs")
        real_syncfs(fd)

    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags == fsops.NOFOLLOW_READ and kwargs.get("dir_fd") is not None:
            done.append("look")
        return real_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(fsops, "sync", sync)
    monkeypatch.setattr(fsops, "rename", rename)
    monkeypatch.setattr(fsops, "write_all", write_all)
    monkeypatch.setattr(fsops, "sync_file_system", syncfs)
    monkeypatch.setattr(publish.os, "open", opening)
    return done


@pytest.fixture
def spool(tmp_path: pathlib.Path) -> pathlib.Path:
    """A spool that nobody serves."""
    layout.create(str(tmp_path / "q"))
    return tmp_path / "q"


def test_a_durable_submit_takes_every_step(
    spool: pathlib.Path, steps: list[str]
) -> None:
    """File, name, and the directory of the new name, before it is told."""
    with client.Client(str(spool)) as producer:
        producer.submit("x")
    assert steps == [
        "write", "sync file in tmp", "rename", "sync directory", "look",
    ]


def test_who_may_not_read_the_directory_flushes_the_file_again(
    spool: pathlib.Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its new name, each time: that commits the rename as well."""
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fsops, "open_dir", refused)
    with client.Client(str(spool)) as producer:
        producer.submit("x")
        producer.submit("x")
    assert steps == 2 * [
        "write", "sync file in tmp", "rename", "sync file", "look",
    ]


def test_a_relaxed_submit_leaves_the_flushes_out(
    spool: pathlib.Path, steps: list[str]
) -> None:
    """It costs a write and a rename, and promises no more."""
    with client.Client(str(spool), durable=False) as producer:
        producer.submit("x")
    assert steps == ["write", "rename"]


def test_a_batch_flushes_before_and_after_its_renames(
    spool: pathlib.Path, steps: list[str]
) -> None:
    """Two flushes for all, and none is renamed before the first."""
    with client.Client(str(spool)) as producer:
        producer.submit_many([("x", (), b"")] * 3)
    assert steps == [
        "write", "write", "write", "syncfs", "rename", "rename", "rename",
        "syncfs", "look",
    ]


def test_on_btrfs_a_commit_confirms(
    spool: pathlib.Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log may forget a file that is renamed while it is flushed."""
    monkeypatch.setattr(publish, "_is_btrfs", lambda fd: True)
    with client.Client(str(spool)) as producer:
        producer.submit("x")
    assert steps == ["write", "sync file in tmp", "rename", "syncfs", "look"]


@pytest.mark.parametrize("failing, confirmed", [
    (1, False), (2, None),
])
def test_what_a_failed_flush_means(
    spool: pathlib.Path, monkeypatch: pytest.MonkeyPatch, failing: int,
    confirmed: bool | None,
) -> None:
    """Before the rename nothing was submitted; after it that is unknown."""
    real: Callable[[int], None] = fsops.sync
    count = 0

    def sync(fd: int) -> None:
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(fsops, "sync", sync)
    with client.Client(str(spool)) as producer:
        with pytest.raises(SpoolError) as caught:
            producer.submit("x")
    waiting = os.listdir(spool / "incoming")
    if confirmed is None:
        assert isinstance(caught.value, SubmitUnknown)
        assert len(waiting) == 1 and caught.value.job_id in waiting[0]
    else:
        assert not isinstance(caught.value, SubmitUnknown)
        assert "nothing was submitted" in str(caught.value)
        assert waiting == os.listdir(spool / "tmp") == []


def test_a_file_system_that_died_confirms_nothing(
    spool: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers 0 to every flush is found out by the last look."""
    real = os.open

    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags == fsops.NOFOLLOW_READ:
            raise OSError(errno.EIO, "Input/output error")
        return real(path, flags, *args, **kwargs)

    with client.Client(str(spool)) as producer:
        monkeypatch.setattr(publish.os, "open", opening)
        with pytest.raises(SubmitUnknown):
            producer.submit("x")


def test_whoever_waits_for_room_submits_once(
    spool: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again after waits that grow, and stops with the first
    success; other errors are not waited out."""
    waits: list[float] = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    closed = spool / "gate"
    closed.write_text("closed for lunch\n")

    with client.Client(str(spool), durable=False) as producer:
        def attempt() -> str:
            if len(waits) == 12:
                closed.unlink()
            return producer.submit("x")

        assert client.when_room(attempt)
        with pytest.raises(ValueError):
            client.when_room(lambda: producer.submit("not a name"))
    assert len(waits) == 12 and len(os.listdir(spool / "incoming")) == 1
    assert max(waits) <= 5.0 and max(waits) > 0.5 and len(set(waits)) == 12
