# SPDX-License-Identifier: MIT
"""A scratch spool to measure, and what every workload is told."""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from bench.figures import Report
from spooler import client
from support import Spoold, SpoolDir, wait_until

TESTS = pathlib.Path(__file__).resolve().parent.parent
CONFIG = """
workers = {workers}
durability = "relaxed"
[handler.noop]
python = "bench.jobs:noop"
[handler.kept]
python = "bench.jobs:noop"
delete_done = false
[handler.stamp]
python = "bench.jobs:stamp"
[handler.work]
python = "bench.jobs:work"
[handler.true]
command = ["true"]
concurrency = {workers}
[handler.read]
command = ["dd", "of=/dev/null", "bs=1M", "status=none"]
match = ["*.data"]
"""
LONG_S = 1800.0
SIZES = ("smoke", "short", "long")


@dataclasses.dataclass
class Setting:
    """
    What a run was asked for.

    Attributes:
        report: where figures go.
        where: directory of scratch spools; None: that of temporary files.
        size: smoke, short or long.
        jobs: asked for; None: what the size says.
        peers: names of the peers that take part; None: all that are here.
        python: the interpreter that has the peers in Python.
    """

    report: Report
    where: str | None
    size: str
    rounds: int
    workers: int
    jobs: int | None
    gap_ms: float
    peers: list[str] | None
    python: str

    @classmethod
    def of(cls, args: argparse.Namespace) -> "Setting":
        """Read the command line."""
        return cls(
            Report(), args.dir, args.size, args.rounds, args.workers,
            args.jobs, args.gap_ms, args.peers,
            os.path.abspath(args.peers_python),
        )

    def pick(self, smoke: int, short: int, long: int) -> int:
        """How many, at this size; --jobs has the last word."""
        return self.jobs or dict(zip(SIZES, (smoke, short, long)))[self.size]

    @contextlib.contextmanager
    def scratch(self) -> Iterator[pathlib.Path]:
        """A directory that is gone at the end."""
        path = tempfile.mkdtemp(prefix="spool-bench-", dir=self.where)
        try:
            yield pathlib.Path(path)
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def spool(self, more: str = "") -> Iterator["Scene"]:
        """
        A new spool.

        Args:
            more: goes before the handlers of its spool.toml.
        """
        with self.scratch() as path:
            yield Scene(path, self.workers, more)


class Scene:
    """One spool, and one daemon at a time on it."""

    def __init__(self, path: pathlib.Path, workers: int, more: str) -> None:
        self.path = path
        self.log = path / "log"
        self.dir = SpoolDir(path / "spool")
        self.dir.configure(more + CONFIG.format(workers=workers))
        self.spool = str(self.dir.path)

    @contextlib.contextmanager
    def daemon(self, *options: str, ready: bool = True) -> Iterator[Spoold]:
        """Run spoold until the block ends."""
        places = [str(TESTS), os.environ.get("PYTHONPATH", "")]
        daemon = Spoold(
            self.dir, self.path / "spoold.log", *options,
            env={"PYTHONPATH": os.pathsep.join(filter(None, places))},
        )
        try:
            if ready:
                daemon.wait_ready()
            yield daemon
        finally:
            daemon.close()

    def producer(self, durable: bool = False) -> client.Client:
        """What submits."""
        return client.Client(self.spool, durable)

    def fill(
        self, jobs: int, handler: str, *args: str, priority: int = 5
    ) -> None:
        """Submit a backlog."""
        with self.producer() as producer:
            for _ in range(jobs):
                producer.submit(handler, *args, priority=priority)

    def drain(self) -> None:
        """Let spoold work off what waits."""
        with self.daemon("--drain", ready=False) as daemon:
            status = daemon.wait(LONG_S)
            assert status == 0, daemon.log

    def ends(self, tail: str = "") -> list[int]:
        """
        When each done job ended whose name ends so: wall clock in ns.

        A rename sets the time of change.
        """
        return sorted(
            os.stat(entry.path).st_ctime_ns
            for entry in os.scandir(self.dir.path / "done")
            if "," in entry.name and entry.name.endswith(tail)
        )

    def rate(self, jobs: int) -> float:
        """Jobs a second, from the end of the first to that of the last."""
        ends = self.ends()
        if len(ends) != jobs:
            raise SystemExit(f"{len(ends)} of {jobs} jobs: {self.dir.tree()}")
        return (jobs - 1) / ((ends[-1] - ends[0]) / 1e9)

    def lines(self, count: int) -> list[list[int]]:
        """The numbers that jobs wrote down, once there are *count* lines."""
        def whole() -> bool:
            try:
                return self.log.read_bytes().count(b"\n") >= count
            except FileNotFoundError:
                return False

        wait_until(whole, LONG_S, self.dir.tree)
        return [
            [int(word) for word in line.split()]
            for line in self.log.read_text().splitlines()
        ]

    def waits_ms(
        self, rate: float, jobs: int, priority: int = 5
    ) -> list[float]:
        """
        Rename jobs in at a fixed rate; how long each waited for its start.

        The files are written before: the clock starts at the rename.
        """
        names = [f"{time.monotonic_ns()}-{number}.job"
                 for number in range(jobs)]
        for number, name in enumerate(names):
            self.dir.write(name, (
                f"Handler: stamp\nArg: {self.log}\nArg: {number}\n"
                f"Priority: {priority}\n\n"
            ).encode())
        sent = []
        start = time.monotonic_ns()
        for number, name in enumerate(names):
            due_ns = start + int(number * 1e9 / rate)
            # A steady rate is what is asked for.
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            sent.append(time.monotonic_ns())
            self.dir.publish(name)
        return [
            (begun - sent[number]) / 1e6
            for number, begun in self.lines(jobs)
        ]

    def warm(self, jobs: int = 20) -> None:
        """Let every worker import its handlers."""
        self.waits_ms(50, jobs)
        self.log.write_bytes(b"")  # workers have it open
