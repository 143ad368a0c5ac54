# SPDX-License-Identifier: MIT
"""
The ways to break a spool.

Each function makes one violation in a healthy spool and returns the path,
below the spool, that must be named.
"""

import functools
import os
import pathlib
import socket
import stat
from collections.abc import Callable
from typing import Any

from check.healthy import DUE_NS, Healthy, claim, run

from spooler import record
from spooler.names import Name
from spooler.record import Record

Sow = Callable[[Healthy], str]
IS_ROOT = os.getuid() == 0
NOBODY = 65534


def _write(path: pathlib.Path, data: bytes = b"precious") -> str:
    path.write_bytes(data)
    return f"{path.parent.name}/{path.name}"


# I1


def mode(name: str, bits: int) -> Sow:
    """Give a directory or file another mode."""
    def sow(spool: Healthy) -> str:
        path = spool.path / name
        if name == "handlers.d":
            path.mkdir()
        path.chmod(bits)
        return name
    return sow


def owner(name: str) -> Sow:
    """Give a directory or file to somebody else."""
    def sow(spool: Healthy) -> str:
        path = spool.path / name
        if name == "handlers.d":
            path.mkdir(0o755)
        os.chown(path, NOBODY, NOBODY)
        return name
    return sow


def handler(bits: int, uid: int = -1, link: bool = False) -> Sow:
    """Put a handler into handlers.d that somebody else can change."""
    def sow(spool: Healthy) -> str:
        directory = spool.path / "handlers.d"
        directory.mkdir(0o755)
        path = directory / "print"
        real = spool.path.parent / "print" if link else path
        real.write_bytes(b"#!/bin/sh\n")
        if link:
            path.symlink_to(real)
        real.chmod(bits)
        os.chown(real, uid, uid)
        return "handlers.d/print"
    return sow


def linked(name: str) -> Sow:
    """Let a link stand for what decides what runs."""
    def sow(spool: Healthy) -> str:
        path = spool.path / name
        elsewhere = spool.path.parent / f"elsewhere-{name}"
        if path.exists():
            path.rename(elsewhere)
        else:
            elsewhere.mkdir(0o755)
        path.symlink_to(elsewhere)
        return name
    return sow


# I2


def stray(state: str, name: str) -> Sow:
    """Put a file that is no job into a directory of jobs."""
    return lambda spool: _write(spool.path / state / name)


def stray_directory(state: str) -> Sow:
    """Put a directory among jobs."""
    def sow(spool: Healthy) -> str:
        (spool.path / state / "photos").mkdir()
        _write(spool.path / state / "photos" / "one.jpg")
        return f"{state}/photos"
    return sow


def stray_fields(state: str, fields: str) -> Sow:
    """Put a file whose name is nearly one of the grammar."""
    def sow(spool: Healthy) -> str:
        return _write(spool.path / state / f"4.{spool.id()}{fields}")
    return sow


def directory_as_job(state: str, **fields: Any) -> Sow:
    """Put a directory under the name of a job."""
    def sow(spool: Healthy) -> str:
        name = Name(5, spool.id(), "album", **fields)
        (spool.path / state / str(name)).mkdir()
        return f"{state}/{name}"
    return sow


# I3


def form(state: str, told: bool = False, **fields: Any) -> Sow:
    """Lay a job under a name that its directory does not call for."""
    def sow(spool: Healthy) -> str:
        more = {"told": {"runs": (run(1),)}, "out": b"old"} if told else {}
        return f"{state}/{spool.put(state, **more, **fields)}"
    return sow


# I4


_FORMS: dict[str, dict[str, Any]] = {
    "incoming": {}, "hold": {}, "deferred": {"due_ns": DUE_NS},
    "active": {"runs": 1, "claim": claim("alive")},
    "done": {"runs": 1, "verdict": "ok"},
    "failed": {"runs": 1, "verdict": "exit1"},
}


def twice(first: str, second: str) -> Sow:
    """Let two jobs have one id; the first place is the one named."""
    def sow(spool: Healthy) -> str:
        job_id = spool.id()
        one = spool.put(first, id=job_id, **_FORMS[first])
        spool.put(
            second, id=job_id, **_FORMS[second],
            priority=5 if first != second else 7,
        )
        if first == second:  # in no order, but only two can be named
            return f"{first}/*{job_id}*"
        return f"{first}/{one}"
    return sow


def one_inode(first: str, second: str) -> Sow:
    """Leave a job under two names, as a crash can."""
    def sow(spool: Healthy) -> str:
        job_id = spool.id()
        one = spool.put(first, id=job_id, **_FORMS[first])
        two = Name(5, job_id, "backup.job", **_FORMS[second])
        os.link(
            spool.path / first / str(one), spool.path / second / str(two)
        )
        return f"{first}/{one}"
    return sow


# I5


def interrupted(instance: str, tail: str = "backup.job", runs: int = 1) -> Sow:
    """Leave a job whose spoold died, with what it wrote so far."""
    def sow(spool: Healthy) -> str:
        name = spool.put(
            "active", tail, runs=runs, claim=claim(instance), out=b"so far"
        )
        return f"active/{name}"
    return sow


# I6


def lonely(state: str, kind: str, twin: str = "") -> Sow:
    """Leave a record or output without a job."""
    def sow(spool: Healthy) -> str:
        job_id = spool.id()
        if twin:  # the job it might be taken for is there
            spool.put(state, id=job_id, **_FORMS[state])
        name = Name(5, job_id, "x", twin=twin)
        data = b"lines" if kind != "result" else record.encode(
            Record(job_id, runs=(run(1),))
        )
        return _write(spool.beside(state, name, kind), data)
    return sow


# I7


def bad_record(
    change: Callable[[bytes], bytes], state: str = "failed",
) -> Sow:
    """Spoil the bytes of a record."""
    def sow(spool: Healthy) -> str:
        put = {
            "failed": spool.put_failed, "deferred": spool.put_retry,
            "done": spool.put_done,
            "hold": functools.partial(spool.put, "hold"),
        }[state]
        path = spool.beside(state, put(told={"runs": (run(1),)}), "result")
        return _write(path, change(path.read_bytes()))
    return sow


def future_version(_: bytes) -> bytes:
    """A whole record of a version that is yet to come."""
    data = record.encode(Record("0" * 20)).replace(b'"v":1', b'"v":2')
    covered = data[:data.index(b',"check":"')]
    check = record._checksum(covered)
    return covered + b',"check":"' + check + b'"}\n'


def others_record(state: str) -> Sow:
    """Lay the record of one job beside another."""
    def sow(spool: Healthy) -> str:
        name = spool.put_done() if state == "done" else spool.put_failed()
        path = spool.record(state, name, id="0" * 20)
        return f"{state}/{path.name}"
    return sow


def record_is(kind: str) -> Sow:
    """Put something else than a file where a record belongs."""
    def sow(spool: Healthy) -> str:
        path = spool.beside("done", spool.put_done(), "result")
        path.mkdir() if kind == "directory" else path.symlink_to("nowhere")
        return f"done/{path.name}"
    return sow


def wrong_size(state: str, kind: str, size: int | None, told: int = 5) -> Sow:
    """Let output have another size than its record says; None: no output."""
    def sow(spool: Healthy) -> str:
        put = {
            "done": spool.put_done, "failed": spool.put_failed,
            "deferred": spool.put_retry,
        }[state]
        name = put(out=b"", told={f"{kind}_bytes": told})
        path = spool.beside(state, name, kind)
        if size is not None:
            path.write_bytes(b"x" * size)
        return f"{state}/{path.name}"
    return sow


# I8


def dropped(name: str) -> Sow:
    """Drop a file under a name that is no job's."""
    return lambda spool: f"incoming/{spool.drop(name, b'precious')}"


def dropped_fields(fields: str) -> Sow:
    """Drop a file under a name that begins as the grammar says."""
    return lambda spool: dropped(f"4.{spool.id()}{fields}")(spool)


def special(kind: int) -> Sow:
    """Drop something else than a file."""
    def sow(spool: Healthy) -> str:
        path = spool.path / "incoming" / f"special-{kind}"
        if kind == stat.S_IFSOCK:
            # A path below the spool may be too long for one.
            here = os.open(path.parent, os.O_RDONLY)
            try:
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.bind(f"/proc/self/fd/{here}/{path.name}")
            finally:
                os.close(here)
        elif kind == stat.S_IFIFO:
            os.mkfifo(path)
        elif kind == stat.S_IFDIR:
            path.mkdir()
        else:
            path.symlink_to("/etc/passwd")
        return f"incoming/{path.name}"
    return sow


def unreadable(bits: int, uid: int | None, gid: int | None) -> Sow:
    """
    Drop a file that the spool's owner may not read.

    Args:
        uid, gid: of the file; None: those of the spool, which, when we are
            root, becomes somebody else's.
    """
    def sow(spool: Healthy) -> str:
        name = spool.drop("a; touch pwned; $(touch pwned).txt", b"secret")
        if IS_ROOT:
            for place, directories, files in os.walk(spool.path):
                for entry in (".", *directories, *files):
                    os.lchown(os.path.join(place, entry), NOBODY, NOBODY)
        path = spool.path / "incoming" / name
        path.chmod(bits)
        if uid is not None or gid is not None:
            os.chown(path, -1 if uid is None else uid,
                     -1 if gid is None else gid)
        return f"incoming/{name}"
    return sow


# I9


def unfinished(kind: str = "file") -> Sow:
    """Leave something in tmp/; it is to be looked at in two days."""
    def sow(spool: Healthy) -> str:
        (spool.path / "tmp" / "being-written").unlink(missing_ok=True)
        path = spool.path / "tmp" / "left over.txt"
        if kind == "directory":
            path.mkdir()
        elif kind == "link":
            path.symlink_to(spool.path / "spool.toml")
        else:
            path.write_bytes(b"half of it")
        return f"tmp/{path.name}"
    return sow
