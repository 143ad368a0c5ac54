# SPDX-License-Identifier: MIT
"""
Seven healthy jobs beside one that dies, on one spoold.

Four of the seven run already and go on for more than a second; each of them
waits for a FIFO, so that nothing polls.  The other three arrive while the
bad one runs.
"""

import dataclasses
import itertools
import os
import pathlib
import re
import signal
import time

from deaths.table import DEATHS, Death, environment
from support import Found, Spoold, SpoolDir, is_alive, wait_until

from spooler import check, names
from spooler.leftover import INSTANCE_VARIABLE
from spooler.lock import Instances
from spooler.spool import PRIVATE, Spool

PYTHON_WORKERS = 4
LONG_S = 1.0
_CONFIG = """
workers = 4
[handler.healthy]
python = "deaths.ways:healthy"
[handler.cat]
command = ["cat"]
concurrency = 4
[handler.hold]
python = "deaths.ways:hold"
[handler.shhold]
command = ["sh", "-c", 'read x <"$1"; echo "$x"', "sh"]
concurrency = 4
"""


@dataclasses.dataclass
class Long:
    """A healthy job that runs until its FIFO is written to."""

    name: str
    fifo: pathlib.Path
    entry: str  #: in ``active/``, with the token of its first claim
    since: float
    job_id: str


class Ward:
    """A spoold with healthy jobs, into which bad ones are dropped."""

    def __init__(self, path: pathlib.Path) -> None:
        """Start it below *path*."""
        self.path = path
        self.spool = SpoolDir(path / "spool")
        tables = "".join(death.table() for death in DEATHS)
        self.spool.configure(_CONFIG + tables)
        self.daemon = Spoold(self.spool, path / "log", env=environment())
        self._number = itertools.count()
        self._long: list[Long] = []
        self.neighbours = 0
        self.harmed = False  #: a test in it failed
        try:
            self.daemon.wait_ready()
            self.instance = self.spool.status()["instance"]
        except BaseException:
            self.daemon.close()
            raise

    def close(self) -> None:
        """Let the healthy end, and stop; nothing may be left behind."""
        try:
            for long in self._long:
                self._end(long)
        finally:
            self.daemon.close()
        assert not self.spool.listed("active")

    def abandon(self) -> None:
        """End all of it, whatever state it is in."""
        for pid in (self.daemon.pid, *self._marked()):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.daemon.process.wait()
        self.daemon.notify.close()

    def die(self, death: Death) -> None:
        """Let one job die; hold everything to its promises."""
        self.harmed = True
        self._keep_long()
        bad = f"{death.handler}.{next(self._number)}.job"
        self.spool.drop_job(bad.removesuffix(".job"), death.handler)
        short = self._drop_short()
        self._judge(self.spool.wait(bad, "failed"), death)
        for name in short:
            self._healthy(self.spool.wait(name))
        for long in self._long:
            assert self._runs_on(long), f"{long}: {self.spool.tree()}"
        self._nothing_left()
        self._is_clean()
        self._end_long()
        self._at_strength()
        self.harmed = False

    def _drop_short(self) -> list[str]:
        number = next(self._number)
        jobs = [("a", "healthy"), ("b", "cat"), ("c", "healthy")]
        for letter, handler in jobs:
            self.spool.drop_job(
                f"{letter}{number}", handler, body=b"healthy\n"
            )
        self.neighbours += len(jobs)
        return [f"{letter}{number}.job" for letter, _ in jobs]

    def _keep_long(self) -> None:
        """See that two Python jobs and two commands are running."""
        while len(self._long) < 4:
            python = sum(long.name.startswith("py") for long in self._long)
            handler = "hold" if python < 2 else "shhold"
            number = next(self._number)
            name = f"{'py' if python < 2 else 'sh'}{number}"
            fifo = self.path / f"fifo.{number}"
            os.mkfifo(fifo)
            self.spool.drop_job(name, handler, str(fifo))
            found = self.spool.wait(f"{name}.job", "active")
            self._long.append(Long(
                f"{name}.job", fifo, found.entry, time.monotonic(),
                found.name.id,
            ))
            self.neighbours += 1

    def _runs_on(self, long: Long) -> bool:
        return (self.spool.path / "active" / long.entry).exists()

    def _end_long(self) -> None:
        """End those that ran for long enough; each must have run once."""
        for long in list(self._long):
            if time.monotonic() - long.since > LONG_S:
                self._long.remove(long)
                self._end(long)

    def _end(self, long: Long) -> None:
        def write() -> bool:
            try:
                fd = os.open(long.fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return False  # claimed, but not reading yet
            os.write(fd, b"healthy\n")
            os.close(fd)
            return True

        wait_until(write, 10, lambda: f"{long.name} reads: {self.what()}")
        self._healthy(self.spool.wait(long.name))

    def _healthy(self, job: Found) -> None:
        assert job.name.runs == 1, f"{job}: {job.record}"
        assert job.kinds == [("ok", None)], job.record
        if job.name.told_handler == "hold":
            assert job.record["value"] == 1
        else:
            assert job.out == b"healthy\n"

    def _judge(self, bad: Found, death: Death) -> None:
        """It has its attempts, not one more, and the truth is told."""
        record = bad.record
        assert bad.name.runs == death.runs, record
        assert [run["run"] for run in record["runs"]] == list(
            range(1, death.runs + 1)
        )
        assert set(bad.kinds) <= death.verdicts, record
        assert re.search(death.reason, bad.reason), record
        if death.output is not None:
            assert len(bad.out) == death.output
        assert len(self.spool.all(bad.name.tail)) == 1

    def _marked(self) -> dict[int, tuple[str, list[bytes]]]:
        """Every process of this spoold: its command, its environment."""
        mark = f"{INSTANCE_VARIABLE}={self.instance}".encode()
        found = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/environ", "rb") as stream:
                    environ = stream.read().split(b"\0")
                with open(f"/proc/{entry}/cmdline", "rb") as stream:
                    words = stream.read().replace(b"\0", b" ")
            except OSError:
                continue
            if mark in environ:
                found[int(entry)] = words.decode(errors="replace"), environ
        return found

    def strays(self) -> dict[int, str]:
        """What runs that is neither a worker nor a healthy job."""
        known = {
            f"SPOOL_JOB_ID={long.job_id}".encode() for long in self._long
        }
        return {
            pid: words for pid, (words, environ) in self._marked().items()
            if " -m spooler.workermain " not in words
            and known.isdisjoint(environ)
        }

    def _workers(self, kind: str) -> int:
        mark = f" -m spooler.workermain {kind} "
        return sum(mark in words for words, _ in self._marked().values())

    def _nothing_left(self) -> None:
        wait_until(
            lambda: not self.strays(), 5,
            lambda: f"left behind: {self.strays()}; {self.what()}",
        )
        wait_until(lambda: not self._litter(), 5, self._litter)

    def _litter(self) -> str:
        """What lies in a work directory."""
        work = self.spool.path / "run" / "work"
        for name in os.listdir(work):
            try:
                for entry in os.listdir(work / name):
                    return f"{name}/{entry}"
            except FileNotFoundError:
                pass  # it is being made anew
        return ""

    def _at_strength(self) -> None:
        """Every worker was replaced: as many jobs as ever run at once."""
        assert self.daemon.process.poll() is None, self.daemon.log
        wait_until(
            lambda: self._workers("python") == PYTHON_WORKERS
            and self._workers("command") == 1,
            10, lambda: f"workers are back: {self._marked()}",
        )
        for name in self._drop_short():
            self._healthy(self.spool.wait(name))

    def _is_clean(self) -> None:
        with Spool(str(self.spool.path)) as spool:
            instances = Instances(
                os.path.join(spool.path, PRIVATE), spool.private_fd
            )
            try:
                wrong = list(check.check(
                    spool, lambda owner: instances.is_dead(
                        owner[:names.INSTANCE_CHARS]
                    ),
                ))
            finally:
                instances.close()
        assert not wrong, wrong

    def what(self) -> str:
        """What there is to see, for messages."""
        return f"{self.spool.tree()}; log: {self.daemon.log[-2000:]}"
