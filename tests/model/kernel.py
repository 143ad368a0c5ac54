# SPDX-License-Identifier: MIT
"""
The system calls of the code under test, one at a time: each can be the last
of its process, can fail, or can meet another process in between.

The calls are real and the directories are; clock, dice and the order of a
listing are drawn, so that a history plays out the same way again.
"""

import contextlib
import dataclasses
import errno
import functools
import importlib
import os
import pkgutil
import random
import secrets
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import spooler
from spooler import fsops

START_NS = 1_000_000_000 * 10 ** 9
_STEP_NS = 1000
_WRITE_MIN = 100


class Crash(BaseException):
    """The process this happens to is no more."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """
    What happens to one process while it does one thing.

    Attributes:
        kind: ``crash`` before a changing call, which ``error`` makes fail;
            ``meet``: before any call another process does *what*.
        at: which call, 1 for the first.
        number: the errno.
        what: done by another process.
    """

    kind: str = "none"
    at: int = 0
    number: int = errno.ENOSPC
    what: Any = None


CALM = Plan()


class Process:
    """
    Whoever makes calls: it lives until it ends or is killed.

    Attributes:
        kind: ``producer person operator daemon worker``.
        writes: the jobs it is about to write, for the ledger to know.
        takes: whether it deletes the job file it was given.
        task_job: the job it claimed.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.alive = True
        self.busy = False
        self.writes: list[Any] = []
        self.takes = False
        self.task_job: Any = None

    def die(self) -> None:
        """End it; what it holds is let go once its call has returned."""
        if self.alive:
            self.alive = False
            if not self.busy:
                self.let_go()

    def let_go(self) -> None:
        """Close what the kernel closes at the end of a process."""


@dataclasses.dataclass
class Frame:
    """One thing a process is doing."""

    process: Process
    plan: Plan
    calls: int = 0
    changes: int = 0
    met: bool = False


class Clock:
    """Time, which passes with every look at it."""

    def __init__(self) -> None:
        self._passed_ns = 0

    def pass_by(self, seconds: float) -> None:
        """Let time go by."""
        self._passed_ns += round(seconds * 1e9)

    def time_ns(self) -> int:
        """Wall clock."""
        self._passed_ns += _STEP_NS
        return START_NS + self._passed_ns

    def time(self) -> float:
        """Wall clock in seconds."""
        return self.time_ns() / 1e9

    def monotonic_ns(self) -> int:
        """Monotonic clock."""
        self._passed_ns += _STEP_NS
        return 10 ** 9 + self._passed_ns

    CLOCK_BOOTTIME = 7

    def clock_gettime_ns(self, clock: int) -> int:
        """The only clock that is asked for by its number."""
        assert clock == self.CLOCK_BOOTTIME
        return self.monotonic_ns()

    def monotonic(self) -> float:
        """Monotonic clock in seconds."""
        return self.monotonic_ns() / 1e9


class Kernel:
    """
    Calls of the processes of one world.

    Attributes:
        stack: what is being done, the innermost last.
        halfway: between link and unlink, when nobody is met: without
            RENAME_NOREPLACE a move is not one call.
        meet: lets another process do what a plan says.
        observer: is told of every change: ``created moved linked unlinked``.
    """

    def __init__(self, seed: int, noreplace: bool) -> None:
        self.workers: dict[int, Any] = {}  #: processes, by pid
        self.dice = random.Random(seed)
        self.noreplace = noreplace
        self.clock = Clock()
        self.stack: list[Frame] = []
        self.meet: Callable[[Any], None] = lambda _: None
        self.observer: Any = None
        self.struck: dict[str, int] = {}
        self.calls = 0
        self.deaths = 0
        self.halfway = False

    @property
    def process(self) -> Process | None:
        """Who makes the call."""
        return self.stack[-1].process if self.stack else None

    def run(
        self, process: Process, work: Callable[[], Any], plan: Plan = CALM
    ) -> Any:
        """
        Let *process* do *work*.

        Returns:
            What it returns; None if the process died of the plan.
        """
        if not process.alive or process.busy:
            return None
        process.busy = True
        self.stack.append(Frame(process, plan))
        try:
            return work()
        except Crash:
            self.deaths += 1
            self.halfway = False
            return None
        finally:
            self.stack.pop()
            process.busy = False
            if not process.alive:
                process.let_go()

    def before(self, changes: bool) -> None:
        """Stand before a call: anything may happen."""
        if not self.stack:
            return
        frame = self.stack[-1]
        if not frame.process.alive:
            raise Crash
        self.calls += 1
        frame.calls += 1
        frame.changes += changes
        plan = frame.plan
        if plan.kind == "meet":
            if frame.calls >= plan.at and not self.halfway and not frame.met:
                frame.met = True
                self._strike("met")
                self.meet(plan.what)
                if not frame.process.alive:
                    raise Crash
        elif changes and frame.changes == plan.at:
            if plan.kind == "crash":
                self._strike(f"{frame.process.kind} killed")
                frame.process.alive = False
                raise Crash
            if plan.kind == "error":
                self._strike("failed")
                raise OSError(plan.number, os.strerror(plan.number))

    def _strike(self, what: str) -> None:
        self.struck[what] = self.struck.get(what, 0) + 1


def decoded(name: Any) -> str:
    """A name as text."""
    return os.fsdecode(name)


class Calls:
    """Stands in for ``os`` in the modules under test."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def rename(self, src: Any, dst: Any, **fds: int) -> None:
        """Make and tell of a rename that may replace."""
        self._kernel.before(True)
        os.rename(src, dst, **fds)
        self._kernel.observer.moved(
            fds["src_dir_fd"], decoded(src), fds["dst_dir_fd"], decoded(dst)
        )

    def link(self, src: Any, dst: Any, **keys: Any) -> None:
        """Make and tell of a second name."""
        self._kernel.before(True)
        os.link(src, dst, **keys)
        self._kernel.halfway = True
        self._kernel.observer.linked(
            keys["src_dir_fd"], decoded(src), keys["dst_dir_fd"], decoded(dst)
        )

    def unlink(self, name: Any, *, dir_fd: int) -> None:
        """Remove a name and tell of it."""
        self._kernel.before(True)
        self._kernel.halfway = False
        os.unlink(name, dir_fd=dir_fd)
        self._kernel.observer.unlinked(dir_fd, decoded(name))

    def open(
        self, path: Any, flags: int, mode: int = 0o777, *,
        dir_fd: int | None = None,
    ) -> int:
        """Open, and tell of a file that was made."""
        self._kernel.before(bool(flags & os.O_CREAT))
        fd = os.open(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_CREAT and dir_fd is not None:
            self._kernel.observer.created(dir_fd, decoded(path))
        return fd

    def write(self, fd: int, data: Any) -> int:
        """Write half of what is worth halving."""
        self._kernel.before(True)
        return os.write(fd, data[:max(_WRITE_MIN, len(data) // 2)])

    def fsync(self, fd: int) -> None:
        """Flush nothing: power cuts are not tried here."""
        self._kernel.before(True)

    def stat(self, *args: Any, **keys: Any) -> os.stat_result:
        """Look at an entry."""
        self._kernel.before(False)
        return os.stat(*args, **keys)

    def mkdir(self, *args: Any, **keys: Any) -> None:
        """Make a directory."""
        self._kernel.before(True)
        os.mkdir(*args, **keys)

    def rmdir(self, *args: Any, **keys: Any) -> None:
        """Remove a directory."""
        self._kernel.before(True)
        os.rmdir(*args, **keys)

    def listdir(self, path: Any = ".") -> list[str]:
        """List in an order of our own."""
        self._kernel.before(False)
        found = sorted(os.listdir(path))
        self._kernel.dice.shuffle(found)
        return found

    def scandir(self, path: Any = ".") -> "_Listing":
        """List in an order of our own."""
        self._kernel.before(False)
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        self._kernel.dice.shuffle(found)
        return _Listing(found)

    def urandom(self, size: int) -> bytes:
        """Throw our own dice."""
        return self._kernel.dice.randbytes(size)

    def waitid(self, kind: int, pid: int, flags: int) -> Any:
        """Whether a worker has ended; there are no other children."""
        if kind != os.P_PID or pid not in self._kernel.workers:
            raise ChildProcessError(errno.ECHILD, "no child processes")
        return None if self._kernel.workers[pid].alive else (pid,)

    def kill(self, pid: int, number: int) -> None:
        """End a worker."""
        self._kernel.workers[pid].kill()

    def pidfd_open(self, pid: int, flags: int = 0) -> int:
        """No process here has a number."""
        raise ProcessLookupError(errno.ESRCH, "no such process")

    def killpg(self, pid: int, number: int) -> None:
        """No process here has a number."""
        raise ProcessLookupError(errno.ESRCH, "no such process")


class _Listing:
    def __init__(self, entries: list[Any]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Any]:
        return self._entries

    def __enter__(self) -> Iterator[Any]:
        return self._entries

    def __exit__(self, *_: object) -> None:
        pass


class Dice:
    """Stands in for ``secrets`` and ``random``."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel.dice, name)

    def randbits(self, bits: int) -> int:
        """As in secrets."""
        return self._kernel.dice.getrandbits(bits)

    def Random(self) -> random.Random:  # noqa: N802 - as in random
        """A generator of its own."""
        return self._kernel.dice


@functools.cache
def _uses() -> list[tuple[types.ModuleType, str, types.ModuleType]]:
    """Where the program uses a module that is stood in for."""
    for found in pkgutil.iter_modules(spooler.__path__):
        importlib.import_module(f"spooler.{found.name}")
    real = (os, time, secrets, random, subprocess)
    return [
        (module, name, value)
        for path, module in list(sys.modules.items())
        if path.startswith("spooler.")
        for name, value in vars(module).items()
        if isinstance(value, types.ModuleType) and value in real
    ]


@contextlib.contextmanager
def installed(
    kernel: Kernel, popen: Any, more: list[tuple[Any, str, Any]]
) -> Iterator[None]:
    """Put *kernel* under every module of the program."""
    stand_ins = {
        os: Calls(kernel), time: kernel.clock, secrets: Dice(kernel),
        random: Dice(kernel), subprocess: popen,
    }
    puts = [(module, name, stand_ins[value])
            for module, name, value in _uses()]
    puts += [
        (fsops, "_renameat2", _renameat2(kernel, fsops._renameat2)), *more
    ]
    replaced = [(owner, name, getattr(owner, name))
                for owner, name, _ in puts]
    for owner, name, value in puts:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in replaced:
            setattr(owner, name, value)


def _renameat2(
    kernel: Kernel, real: Callable[..., int]
) -> Callable[[int, bytes, int, bytes], int]:
    def call(src_fd: int, src: bytes, dst_fd: int, dst: bytes) -> int:
        if not kernel.noreplace:
            return errno.EINVAL
        kernel.before(True)
        number = real(src_fd, src, dst_fd, dst)
        if number == 0:
            kernel.observer.moved(
                src_fd, decoded(src), dst_fd, decoded(dst)
            )
        return number

    return call
