# SPDX-License-Identifier: MIT
"""
Other queues that run Python functions, each as its manual has it.

Redis keeps everything in memory, without persistence: the fastest it can be.
A job of a peer writes down when it ran; that costs it some microseconds.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator

from bench.figures import Unable
from support import wait_until

RUN_S = 120.0
#: What every peer's module begins with.
TASKS = '''
import functools, os, struct, time
@functools.cache
def log():  # in the process that runs jobs: uWSGI closes what was open
    return os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def mark():
    os.write(log(), struct.pack("q", time.monotonic_ns()))
'''
_UWSGI_HEADER = struct.Struct("<BHB")


def _environment() -> dict[str, str]:
    """Ours, without the path on which our tests hide packages of others."""
    environ = dict(os.environ)
    environ.pop("PYTHONPATH", None)
    environ.pop("PYTHONPYCACHEPREFIX", None)
    return environ


@dataclasses.dataclass(frozen=True)
class Task:
    """What a peer is to do: so many jobs, in this scratch directory."""

    scratch: pathlib.Path
    python: str
    jobs: int
    workers: int

    @property
    def log(self) -> pathlib.Path:
        """Where jobs write down when they ran."""
        return self.scratch / "log"

    @property
    def redis(self) -> str:
        """The socket of Redis."""
        return str(self.scratch / "redis.sock")

    def module(self, text: str) -> None:
        """Write the peer's module, ``tasks``."""
        head = TASKS.format(log=str(self.log))
        (self.scratch / "tasks.py").write_text(head + text)

    def call(self, code: str) -> None:
        """Run Python beside that module."""
        done = subprocess.run(
            [self.python, "-c", code], cwd=self.scratch, env=_environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        if done.returncode:
            raise Unable(done.stderr.strip().rpartition("\n")[2])

    @contextlib.contextmanager
    def running(self, *argv: str, count: int = 1) -> Iterator[None]:
        """Run *count* of a program until the block ends."""
        with open(self.scratch / "output", "ab") as output:
            processes = [
                subprocess.Popen(
                    argv, cwd=self.scratch, stdin=subprocess.DEVNULL,
                    stdout=output, stderr=output, env=_environment(),
                ) for _ in range(count)
            ]
        try:
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    @contextlib.contextmanager
    def with_redis(self) -> Iterator[None]:
        """Run Redis on a socket of its own."""
        with self.running(
            "redis-server", "--port", "0", "--unixsocket", self.redis,
            "--save", "", "--appendonly", "no",
        ):
            wait_until(lambda: os.path.exists(self.redis))
            yield

    def rate(self) -> float:
        """Wait until all jobs have run; jobs a second."""
        size = self.jobs * 8

        def ran() -> bool:
            return self.log.exists() and self.log.stat().st_size >= size

        try:
            wait_until(ran, RUN_S)
        except AssertionError:
            raise Unable(f"not done in {RUN_S:g} s: {self._tail()}") from None
        ends = sorted(struct.unpack(f"{self.jobs}q",
                                    self.log.read_bytes()[:size]))
        return (self.jobs - 1) / ((ends[-1] - ends[0]) / 1e9)

    def _tail(self) -> str:
        return (self.scratch / "output").read_text(errors="replace")[-500:]


@dataclasses.dataclass(frozen=True)
class Peer:
    """
    A queue to compare with.

    Attributes:
        modules: what its interpreter must have.
        programs: what must be on the path.
        install: the command that installs it.
        jobs_max: more take too long.
    """

    name: str
    modules: tuple[str, ...]
    programs: tuple[str, ...]
    install: str
    jobs_max: int
    rate: Callable[[Task], float]

    def lacks(self, python: str) -> str | None:
        """Say what is not installed, and how it would be."""
        missing = [name for name in self.programs if not shutil.which(name)]
        for module in self.modules:
            done = subprocess.run(
                [python, "-c", f"import {module}"], capture_output=True,
                env=_environment(),
            )
            if done.returncode:
                missing.append(module)
        if not missing:
            return None
        return f"no {', '.join(missing)}; install: {self.install}"


def _celery(task: Task) -> float:
    task.module(f'''
from celery import Celery
url = "redis+socket://{task.redis}"
app = Celery("tasks", broker=url, backend=url)
@app.task
def noop():
    mark()
''')
    with task.with_redis():
        task.call(f"import tasks\nfor _ in range({task.jobs}):"
                  " tasks.noop.delay()")
        with task.running(
            task.python, "-m", "celery", "-A", "tasks", "worker", "-c",
            str(task.workers), "--loglevel", "ERROR",
        ):
            return task.rate()


def _rq(task: Task) -> float:
    task.module("def noop():\n    mark()\n")
    with task.with_redis():
        task.call(
            f"import redis, rq, tasks\n"
            f"queue = rq.Queue(connection=redis.Redis("
            f"unix_socket_path={task.redis!r}))\n"
            f"for _ in range({task.jobs}): queue.enqueue(tasks.noop)"
        )
        with task.running(
            task.python, "-m", "rq.cli", "worker", "--quiet", "--url",
            f"unix://{task.redis}", count=task.workers,
        ):
            return task.rate()


def _huey(task: Task) -> float:
    task.module(f'''
from huey import RedisHuey
huey = RedisHuey(url="unix://{task.redis}")
@huey.task()
def noop():
    mark()
''')
    with task.with_redis():
        task.call(f"import tasks\nfor _ in range({task.jobs}): tasks.noop()")
        with task.running(
            task.python, "-m", "huey.bin.huey_consumer", "tasks.huey", "-q",
            "-k", "process", "-w", str(task.workers),
        ):
            return task.rate()


def _dramatiq(task: Task) -> float:
    task.module(f'''
import dramatiq
from dramatiq.brokers.redis import RedisBroker
dramatiq.set_broker(RedisBroker(url="unix://{task.redis}"))
@dramatiq.actor
def noop():
    mark()
''')
    with task.with_redis():
        task.call(f"import tasks\nfor _ in range({task.jobs}):"
                  " tasks.noop.send()")
        with task.running(
            task.python, "-m", "dramatiq", "tasks", "--processes",
            str(task.workers), "--threads", "1", "--path",
            str(task.scratch),
        ):
            return task.rate()


def _uwsgi(task: Task) -> float:
    spool = task.scratch / "spool"
    spool.mkdir()
    task.module('''
import uwsgi
def noop(env):
    mark()
    return uwsgi.SPOOL_OK
uwsgi.spooler = noop
''')
    body = b"".join(
        len(word).to_bytes(2, "little") + word for word in (b"a", b"x")
    )
    data = _UWSGI_HEADER.pack(17, len(body), 0) + body
    for number in range(task.jobs):
        name = f"uwsgi_spoolfile_on_here_1_{number}_0_{time.time_ns()}"
        (spool / name).write_bytes(data)
    with task.running(
        "uwsgi", "--plugin", "python3", "--master",
        "--socket", str(task.scratch / "uwsgi.sock"),
        "--spooler", str(spool), "--spooler-processes", str(task.workers),
        "--spooler-frequency", "1", "--pythonpath", str(task.scratch),
        "--spooler-import", "tasks", "--disable-logging", "--die-on-term",
    ):
        return task.rate()


#: In the order of the report.
PYTHON = (
    Peer("uwsgi", (), ("uwsgi",),
         "apt install uwsgi-core uwsgi-plugin-python3", 20_000, _uwsgi),
    Peer("celery", ("celery", "redis"), ("redis-server",),
         "pip install 'celery[redis]' packaging; apt install redis-server",
         3000, _celery),
    Peer("rq", ("rq", "redis"), ("redis-server",),
         "pip install rq; apt install redis-server", 300, _rq),
    Peer("huey", ("huey", "redis"), ("redis-server",),
         "pip install huey redis; apt install redis-server", 3000, _huey),
    Peer("dramatiq", ("dramatiq", "redis"), ("redis-server",),
         "pip install 'dramatiq[redis]'; apt install redis-server", 3000,
         _dramatiq),
)
