# SPDX-License-Identifier: MIT
"""What must hold behind an attack, however it was made."""

import collections
import hashlib
import os
import pathlib
import stat
import time
from collections.abc import Iterable

from hostile.sentinel import Sentinel
from hostile.stage import Stage
from support import Spoold, wait_until

from spooler import names
from spooler.client import Client

_TOLD = (
    "READY=1", "STATUS=", "STOPPING=1", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=",
)
_READ_MAX = 1 << 20
#: What would be made if a name, an argument or a file were run.
RAN = "RAN"


def assert_inert(text: bytes, where: str) -> None:
    """Nothing in *text* moves a cursor, or a reader's eye."""
    for line in text.decode("utf-8").split("\n"):
        assert line.isprintable(), f"{where}: {line!r}"


def assert_log(daemon: Spoold, lines: int, width: int) -> None:
    """The log is inert, and not flooded; systemd was told no lies."""
    text = daemon.log_path.read_bytes()
    assert_inert(text, "log")
    assert b"Traceback" not in text
    assert b"in trouble" not in text
    assert text.count(b"\n") <= lines, text[-2000:]
    assert max(map(len, text.split(b"\n"))) <= width
    assert daemon.notify.count("READY=1") == 1
    for line in daemon.notify.lines:
        assert line.startswith(_TOLD) and line.isprintable(), line


def contents(on: Stage) -> Iterable[bytes]:
    """All that anybody could read of a spool, and of what was logged."""
    for path in on.directory.rglob("*"):
        if on.outside in path.parents:
            continue
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as stream:
                yield stream.read(_READ_MAX)


def assert_nothing_got_out(on: Stage, sentinel: Sentinel) -> None:
    """Nothing but the spool was touched, and nothing ran that is data."""
    sentinel.assert_untouched()
    sentinel.assert_unseen(*contents(on))
    for where in (os.getcwd(), on.path, on.directory, on.outside, "/"):
        assert not os.path.exists(os.path.join(where, RAN))


def sha256(path: pathlib.Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fingerprint(path: pathlib.Path) -> tuple[object, ...]:
    """What changes if anybody touches *path*."""
    status = os.lstat(path)
    times = status.st_mtime_ns, status.st_ctime_ns
    if stat.S_ISDIR(status.st_mode):
        return status.st_mode, status.st_uid, status.st_ino, *times
    data = ""
    if stat.S_ISREG(status.st_mode) and status.st_size < _READ_MAX:
        data = sha256(path)
    return (
        status.st_mode, status.st_uid, status.st_ino, status.st_size,
        status.st_nlink, data, *times,
    )


def assert_same(
    found: collections.Counter[str], wanted: collections.Counter[str]
) -> None:
    """What ran is what had to run."""
    assert not (more := found - wanted), f"ran and must not: {more}"
    assert not (less := wanted - found), f"did not run: {less}"


def good_jobs(on: Stage, count: int, every_s: float) -> list[float]:
    """Submit good jobs of priority 9; how long each waited for its start."""
    with Client(str(on.path), durable=False) as client:
        ids = set()
        for _ in range(count):
            ids.add(client.submit("note", "good", priority=9))
            time.sleep(every_s)

        def waits() -> list[float]:
            return [
                (line["at_ns"] - names.submitted_ns(line["id"])) / 1e9
                for line in on.ran() if line["id"] in ids
            ]

        wait_until(lambda: len(waits()) == count, 60, what=on.tree)
        return waits()
