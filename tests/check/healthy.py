# SPDX-License-Identifier: MIT
"""A populated spool of which nothing is wrong, and what to compare."""

import contextlib
import os
import pathlib
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from support import SpoolDir

from spooler import check, names, record, repair
from spooler.check import Finding
from spooler.configfile import load
from spooler.lock import Instances, Lock
from spooler.names import Name
from spooler.record import Record, Run
from spooler.spool import PRIVATE, Spool

CONFIG = """
[handler.backup]
command = ["true"]
attempts = 3
[handler.once]
command = ["true"]
attempts = 1
"""
JOBS = ("incoming", "active", "deferred", "hold", "done", "failed")
#: Instances that claim: one lives, one left its lock, one not even that.
LIVE, DEAD, FORGOTTEN = "alive", "dead0", "gone0"
_ID_NS = 1_760_000_000_000_000_000
DUE_NS = 2_000_000_000_000_000_000
HOUR_S = 3600.0


def claim(instance: str) -> str:
    """The claim of a worker of *instance*."""
    token = names.TOKEN_CHARS
    return f"{instance}{'0' * (names.OWNER_CHARS - 5)}{'7' * token}"


def run(number: int, kind: str = "exit", status: int | None = 75) -> Run:
    """One run in a record."""
    return Run(number, _ID_NS, 0.002, kind, status, "so it ended", False)


class Later:
    """The module time, as it will be in a while."""

    def __init__(self, seconds: float) -> None:
        """Be *seconds* ahead."""
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def time(self) -> float:
        """The wall clock."""
        return time.time() + self._seconds

    def time_ns(self) -> int:
        """The same in ns."""
        return time.time_ns() + round(self._seconds * 1e9)


@contextlib.contextmanager
def later(seconds: float) -> Iterator[None]:
    """Let check and repair see files as they will be in a while."""
    clock = Later(seconds)
    try:
        check.time = repair.time = clock  # type: ignore[attr-defined]
        yield
    finally:
        check.time = repair.time = time  # type: ignore[attr-defined]


class Healthy(SpoolDir):
    """Jobs in every state, with all that may lie beside them."""

    def __init__(self, path: pathlib.Path) -> None:
        """Make it at *path*; the live instance's lock is held."""
        super().__init__(path)
        self.configure(CONFIG)
        self._number = 0
        locks = path / PRIVATE / "locks"
        (locks / f"{DEAD}.lock").touch(0o600)
        self._lock = Lock(str(locks / f"{LIVE}.lock"))
        self._incoming()
        self._deferred()
        self._held()
        self._active()
        self._final()
        (path / "tmp" / "being-written").write_bytes(b"half of a")

    def close(self) -> None:
        """Let the live instance die."""
        self._lock.release()

    def id(self) -> str:
        """A new id, the same ones in every spool."""
        self._number += 1
        return names.mint_id(_ID_NS + self._number, self._number)

    def put(
        self, state: str, tail: str = "backup.job", *,
        told: dict[str, Any] | None = None, beside: str | None = None,
        out: bytes = b"", err: bytes = b"", **fields: Any,
    ) -> Name:
        """
        Lay a job into a directory; no two hold the same bytes.

        Args:
            told: fields of its record; None: it has none.
            beside: the directory of record and output, if not *state*.
            fields: of its name.
        """
        fields.setdefault("priority", 5)
        fields.setdefault("id", self.id())
        name = Name(tail=tail, **fields)
        self._number += 1
        handler = tail.removesuffix(".job") if "." in tail else "backup"
        data = f"Handler: {handler}\n\nbody {self._number}\n"
        (self.path / state / str(name)).write_bytes(data.encode())
        place = beside or state
        for kind, data_beside in (("out", out), ("err", err)):
            if data_beside:
                self.beside(place, name, kind).write_bytes(data_beside)
        if told is not None:
            sizes = {"out_bytes": len(out), "err_bytes": len(err)}
            self.record(place, name, **{**sizes, **told})
        return name

    def beside(self, state: str, name: Name, kind: str) -> pathlib.Path:
        """The path of a record or of output."""
        return self.path / state / f"{name.stem}.{kind}"

    def record(self, state: str, name: Name, **told: Any) -> pathlib.Path:
        """Write a record."""
        path = self.beside(state, name, "result")
        path.write_bytes(record.encode(Record(**{"id": name.id, **told})))
        return path

    def put_done(self, **more: Any) -> Name:
        """Lay a job that was done."""
        more = {"runs": 1, "verdict": "ok", "micros": 1516, **more}
        return self.put("done", **more)

    def put_failed(self, **more: Any) -> Name:
        """Lay a job that failed, with its record."""
        more = {
            "runs": 3, "verdict": "exit1", "micros": 99,
            "told": {"runs": (run(1), run(2), run(3, status=1))}, **more,
        }
        return self.put("failed", **more)

    def put_retry(self, state: str = "deferred", **more: Any) -> Name:
        """Lay a job that backs off, with record and output."""
        more = {
            "runs": 1, "verdict": "exit75", "due_ns": DUE_NS, "out": b"try",
            "told": {"runs": (run(1),)}, **more,
        }
        return self.put(state, beside="deferred", **more)

    def _incoming(self) -> None:
        self.put("incoming")
        self.put("incoming", "scan of today, page 1.pdf")
        self.put("incoming", "n.job", handler="backup", due_ns=DUE_NS)
        self.put("incoming", resubmitted=True)
        self.put("incoming", requeued=True)
        self.put("incoming", runs=1, beside="deferred", out=b"one",
                 told={"runs": (run(1),)})
        for twin in "", "0a1":
            self.put("incoming", id=names.mint_id(_ID_NS, 1), twin=twin)
        self.drop("photo.jpg", b"not admitted yet")
        self.drop(b"odd \xff\n;$(false).txt", b"neither")
        self.drop("letter.job", b"Handler: backup\n\nDear Ann\n")

    def _deferred(self) -> None:
        self.put("deferred", due_ns=DUE_NS)
        self.put_retry()
        self.put_retry(runs=2, requeued=True, twin="00v", err=b"why")

    def _held(self) -> None:
        self.put("hold")
        self.put("hold", "put aside.txt", priority=9)
        self.put_retry("hold")

    def _active(self) -> None:
        self.put("active", runs=1, claim=claim(LIVE), out=b"so far")
        second = self.put("active", runs=2, claim=claim(LIVE))
        self.record("deferred", second, runs=(run(1),))
        owner = claim(LIVE)[:names.OWNER_CHARS]
        (self.path / "active" / f"{owner}.out").touch()
        work = self.path / PRIVATE / "work" / f"{LIVE}-1"
        work.mkdir()
        (work / "scratch").write_bytes(b"of a command")

    def _final(self) -> None:
        self.put_done()
        self.put_done(out=b"out", err=b"err", told={"value": 7})
        self.put_done(tail="a, b.txt", requeued=True, told={})
        job_id = self.id()
        self.put_done(id=job_id, told={"value": 1})
        self.put_done(id=job_id, twin="0b2", told={"value": 2})
        self.put_failed()
        self.put_failed(verdict="noroute", runs=1, told={}, tail="x.odd")
        bad = self.put_failed(verdict="bad", runs=1, told={})
        link = self.path / "failed" / str(bad)
        link.unlink()
        link.symlink_to("/etc/passwd")

    # What is compared.

    def tree(self) -> dict[str, tuple[Any, ...]]:
        """Every file and directory: inode, mode, owner and content."""
        out = {".": _facts(self.path)}
        for place, directories, files in os.walk(self.path):
            for entry in directories + files:
                path = pathlib.Path(place, entry)
                shown = str(path.relative_to(self.path))
                if shown != "run/daemon.lock":
                    out[shown] = _facts(path)
        return out

    def job_contents(self) -> Counter[bytes]:
        """What the job files hold, each inode once."""
        seen: dict[int, bytes] = {}
        for state in JOBS:
            for entry in os.scandir(self.path / state):
                if entry.is_file(follow_symlinks=False) and not any(
                    map(names.stem_of, (
                        entry.name, entry.name.removesuffix(".new")
                    ))
                ):
                    data = pathlib.Path(entry.path).read_bytes()
                    seen[entry.inode()] = data
        return Counter(seen.values())


def _facts(path: pathlib.Path) -> tuple[Any, ...]:
    status = path.lstat()
    held: Any = None
    if stat.S_ISLNK(status.st_mode):
        held = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        held = path.read_bytes()
    return status.st_ino, oct(status.st_mode), status.st_uid, held


@contextlib.contextmanager
def opened(
    place: SpoolDir
) -> Iterator[tuple[Spool, Callable[[str], bool]]]:
    """The open spool, and who is dead, as spoolctl tells it."""
    with Spool(str(place.path)) as spool:
        instances = Instances(
            os.path.join(spool.path, PRIVATE), spool.private_fd
        )
        try:
            yield spool, lambda owner: instances.is_dead(
                owner[:names.INSTANCE_CHARS]
            )
        finally:
            instances.close()


def findings(place: SpoolDir) -> list[Finding]:
    """What check finds."""
    with opened(place) as (spool, is_dead):
        return list(check.check(spool, is_dead))


def mend(place: SpoolDir) -> list[str]:
    """Repair, when nothing can be under way any more; what it says."""
    with opened(place) as (spool, is_dead):
        config = load(spool.path)
        return list(repair.repair(spool, config, is_dead))
