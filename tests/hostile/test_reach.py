# SPDX-License-Identifier: MIT
"""What the kernel keeps from a producer, by the modes init gives."""

import errno
import os
import pathlib
import socket
from collections.abc import Callable, Iterator

import pytest
from hostile.racers import exchange
from hostile.stage import Stage, stage
from hostile.users import Child

from spooler.client import Client

_REFUSED = errno.EACCES, errno.EPERM
_PRIVATE = ("active", "deferred", "hold", "done", "failed", "run")


def _connect(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(str(path))


def _attempts(
    path: pathlib.Path, job: str
) -> Iterator[tuple[str, Callable[[], object]]]:
    """What a producer may not; *job* is another's, waiting."""
    mine = str(path / "tmp" / "mine")
    theirs = str(path / "incoming" / job)
    for name in ("tmp", "incoming", *_PRIVATE):
        where = path / name
        yield f"list {name}", lambda where=where: os.listdir(where)
        yield f"chmod {name}", lambda where=where: os.chmod(where, 0o777)
        yield f"rename {name}", (
            lambda where=where: os.rename(where, path / "moved")
        )
    for name in _PRIVATE:
        where = path / name / "x"
        yield f"move into {name}", lambda to=where: os.rename(mine, to)
        yield f"link into {name}", lambda to=where: os.link(mine, to)
        yield f"link out of {name}", (
            lambda to=where: os.symlink("/etc/passwd", to)
        )
        yield f"mkdir in {name}", lambda to=where: os.mkdir(to)
        yield f"stat in {name}", lambda to=where: os.stat(to)
    for name in ("spool.toml", "handlers.d", "x"):
        where = path / name
        yield f"write {name}", lambda to=where: open(to, "w")
        yield f"replace {name}", lambda to=where: os.rename(mine, to)
    yield "ask spoold", lambda: _connect(path / "run" / "control")
    yield "take the lock", lambda: open(path / "run" / "daemon.lock")
    yield "read another's job", lambda: open(theirs)
    yield "write another's job", lambda: open(theirs, "a")
    yield "cut another's job", lambda: os.truncate(theirs, 0)
    yield "open another's job to all", lambda: os.chmod(theirs, 0o666)
    yield "remove another's job", lambda: os.unlink(theirs)
    yield "replace another's job", lambda: os.rename(mine, theirs)
    yield "move another's job", lambda: os.rename(theirs, mine + "2")
    yield "rename another's job", lambda: os.rename(theirs, theirs + "2")
    yield "swap another's job", lambda: exchange(mine, theirs)
    yield "link another's job", lambda: os.link(theirs, mine + "3")


def _try_all(path: pathlib.Path, job: str) -> dict[str, str]:
    """What succeeded, or failed for another reason than permissions."""
    (path / "tmp" / "mine").write_text("mine")
    wrong = {}
    for what, attempt in _attempts(path, job):
        try:
            attempt()
            wrong[what] = "succeeded"
        except OSError as error:
            if error.errno not in _REFUSED:
                wrong[what] = str(error)
    return wrong


def _is_protected() -> bool:
    try:
        with open("/proc/sys/fs/protected_hardlinks") as stream:
            return stream.read().strip() == "1"
    except OSError:
        return False


@pytest.mark.parametrize("producers", ["anyone", "group"])
def test_a_producer_reaches_nothing_but_its_own(producers: str) -> None:
    """It cannot list, read, change, replace, move or link what is others'."""
    with stage("", group=producers == "group") as on:
        if not on.users.apart:
            pytest.skip(f"no other user: {on.users.why_alone}")
        job = _anothers(on)
        before = (on.path / "incoming" / job).read_bytes()
        wrong = on.hostile(lambda: _try_all(on.path, job)).result()
        # spool(5) tells of both.
        if not _is_protected():
            wrong.pop("link another's job", None)
        if on.is_for_group:
            wrong.pop("read another's job", None)
        assert wrong == {}
        assert on.listed("incoming") == [job]
        assert (on.path / "incoming" / job).read_bytes() == before
        assert on.listed("tmp") == ["mine"]
        count = len(list(_attempts(on.path, job)))
        print(f"hostile reach, {producers}: {count} attempts, all refused")


def _anothers(on: Stage) -> str:
    """A waiting job of a user that is neither; its name."""
    uid = on.users.server + 1

    def submit() -> None:
        with Client(str(on.path), durable=False) as client:
            client.submit("note", "another's")

    if on.is_for_group:
        submit()  # root passes through
    else:
        Child(uid, submit).result()
    (job,) = on.listed("incoming")
    return job
