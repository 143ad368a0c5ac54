# SPDX-License-Identifier: MIT
"""
The daemon and its workers without processes: the real Daemon, Arrivals,
Dispatcher, Crew, Pool and Link, over real sockets, one step at a time.
"""

import collections
import contextlib
import os
import signal
import socket
from typing import Any

from spooler import arrivals, daemon, fsops, leftover, lock
from spooler.board import Board
from spooler.settle import DEFER, DONE, FAIL, RETRY, Outcome
from spooler.states import State
from spooler.worker import RECEIVE_BYTES, Link, Task

from .kernel import Process

#: Kinds that workers report, by effect.
KINDS = {DONE: "ok", RETRY: "error", DEFER: "defer", FAIL: "fail"}
_BOOT_TURNS = 200


class Watch:
    """Stands in for watchdog: the world tells what arrived."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.names: list[str] = []
        self.lost = False
        self.gone = False

    def ring(self) -> None:
        """Wake the daemon."""
        os.eventfd_write(self.wake_fd, 1)

    def take(self) -> list[str]:
        """What arrived since the last call."""
        os.eventfd_read(self.wake_fd)
        out, self.names = self.names, []
        self._world.heard(out)
        return out

    def take_lost(self) -> bool:
        """Whether arrivals were lost."""
        lost, self.lost = self.lost, False
        return lost

    def close(self) -> None:
        """Hear no more."""
        os.close(self.wake_fd)


class Lock:
    """Stands in for flock: held as long as its holders live."""

    def __init__(self, world: Any, path: str) -> None:
        self._world, self._path = world, path
        self.fd = -1
        holder = world.locks.get(path)
        if holder is not None:
            alone = path.endswith(lock.DAEMON_LOCK)
            if holder.alive if alone else holder.lives:
                raise BlockingIOError(f"{path} is held")
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        world.locks[path] = world.kernel.process

    def release(self) -> None:
        """Let it go."""
        self._world.locks.pop(self._path, None)


class Core(daemon.Daemon):
    """The real daemon, which never waits."""

    def boot(self) -> None:
        """What ``run`` does before its loop."""
        self._arrivals.open_watch()
        self._guard(self._recover)
        for _ in range(_BOOT_TURNS):
            if self._arrivals.complete:
                return
            self._guard(self._arrivals.work)
        raise AssertionError("the first scan does not end")

    def turn(self) -> bool:
        """One turn of the loop; True when it was the last."""
        if self._finished():
            return True
        self._turn()
        return False

    def end(self) -> None:
        """What ``run`` does after its loop."""
        self._instance_lock.release()
        self._instances.forget(self.instance)

    def tell(self, number: int) -> None:
        """Send it a signal."""
        self._signals.append(number)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop is not None

    def outstanding(self) -> set[str]:
        """The hints its workers have."""
        return {
            hint for worker in self._pool.workers.values()
            for hint in worker.outstanding
        }

    def _wait(self, seconds: float | None) -> None:
        super()._wait(0)

    def close(self) -> None:
        """Close what the kernel closes when it dies, however far it came."""
        mine = vars(self)
        if "_pool" in mine:
            for worker in self._pool.workers.values():
                worker.close()
        for part in ("_selector", "_instances", "spool"):
            if part in mine:
                mine[part].close()
        if "_arrivals" in mine:
            vars(self._arrivals).clear()  # no scan is left half done
        mine.clear()


class Station(Process):
    """The process of one spoold."""

    def __init__(self, world: Any) -> None:
        super().__init__("daemon")
        self.world = world
        self.core: Core | None = None
        self.hands: list[Hand] = []
        self.watch: Watch | None = None
        self.owner = ""

    @property
    def daemon(self) -> "Station":
        """Itself: it can claim, too."""
        return self

    @property
    def booted(self) -> bool:
        """Whether it has a name."""
        return bool(self.owner)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self.core is not None and self.core.stopping

    @property
    def lives(self) -> bool:
        """Whether any process of the instance does."""
        return self.alive or any(hand.alive for hand in self.hands)

    def boot(self) -> None:
        """Start."""
        self.core = Core.__new__(Core)
        try:
            self.core.__init__(self.world.path, lambda: self.world.config)
        except OSError:
            self.alive = False  # systemd starts another
            return
        self.owner = self.core.instance + "00"
        self.core.boot()

    def turn(self) -> None:
        """Do one turn, and end after the last."""
        assert self.core is not None
        ended = self.core.turn()
        if ended:
            self.alive = False
            with contextlib.suppress(OSError):
                self.core.end()

    def let_go(self) -> None:
        """Its ends of the sockets close, and its workers get to know."""
        if self.watch is not None:
            self.watch.close()
            self.watch = None
        if self.core is not None:
            self.core.close()
            self.core = None


class Hand(Process):
    """
    The process of one Python worker.

    Attributes:
        task: the job it runs; None: it is idle.
    """

    returncode: int | None = None

    def __init__(
        self, world: Any, station: Station, sock_fd: int, board_fd: int
    ) -> None:
        super().__init__("worker")
        self.world, self.daemon = world, station
        self.pid = (1 << 30) + len(world.kernel.workers)
        world.kernel.workers[self.pid] = self
        self.owner = ""
        self._socket = socket.socket(fileno=os.dup(sock_fd))
        self._socket.setblocking(False)
        self._board = Board(board_fd)
        self._link: Link | None = None
        self._hints: collections.deque[tuple[str, str]] = collections.deque()
        self.task: Task | None = None
        self._stop = False

    # As a Popen object.

    def kill(self) -> None:
        """End it by signal."""
        self.returncode = -signal.SIGKILL
        self.die()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status."""
        return 0 if self.returncode is None else self.returncode

    # As a worker.

    def boot(self) -> None:
        """Receive the first message, and say that it is ready."""
        hello = self._messages()
        if not hello:
            return
        self._link = Link(self._socket, hello.pop(0))
        self._link.random = self.world.kernel.dice
        self.owner = self._link.owner
        self._link.report("ready")
        self._link.flush()

    @property
    def booted(self) -> bool:
        """Whether it has said so."""
        return self._link is not None

    def _messages(self) -> list[dict[str, Any]]:
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        if not data:
            self._stop = True
            return []
        unpacker = self._link.unpacker if self._link else self.world.unpacker()
        return list(unpacker.feed(data))

    def _receive(self) -> None:
        for message in self._messages():
            if "stop" in message:
                self._stop = True
            else:
                for hint in message["jobs"]:
                    self._hints.append((hint, message["handler"]))

    def take(self) -> None:
        """Claim the next job it was told of, or end if it shall."""
        link = self._link
        assert link is not None
        if link.owed:
            link.pay()
        if link.owed or self.task is not None:
            link.flush()
            return
        self.task_job = None
        self._receive()
        if self._stop or self._board.stopping():
            link.flush()
            self.alive = False
            return
        if self._hints:
            hint, handler = self._hints.popleft()
            self._board.begin(hint, self.world.kernel.clock.monotonic_ns())
            self.task = link.take(hint, handler)
        if not self._hints and self.task is None:
            self._board.end()
        link.flush()

    def settle(self, effect: str, out: bytes, micros: int) -> None:
        """File the verdict of what it runs."""
        link, task = self._link, self.task
        assert link is not None and task is not None
        job = self.task_job
        assert job is not None
        self._write(task, out)
        job.effect, job.begun[job.runs] = effect, effect
        self.task = None
        if effect == DONE and not out and not job.taken:
            if link.settle_plain(
                task.hint, task.active, task.handler, micros
            ):
                task.job.close()
                self._finish()
                return
        link.settle(task, Outcome(
            effect, KINDS[effect], task.started_ns, micros, text="because",
            out_bytes=len(out), delay_s=1.0 if effect == DEFER else None,
            tags=task.tags,
        ))
        self._finish()

    def _finish(self) -> None:
        assert self._link is not None
        if not self._hints:
            self._board.end()
        self._link.flush()

    def _write(self, task: Task, out: bytes) -> None:
        """As the capture of a Python worker does."""
        if not out:
            return
        assert self._link is not None
        fd = self._link.spool.fds[State.ACTIVE]
        while True:
            try:
                fsops.unlink(fd, f"{self.owner}.out")
                file = fsops.create(fd, f"{self.owner}.out")
                try:
                    fsops.write_all(file, out)
                finally:
                    os.close(file)
                fsops.rename(
                    fd, f"{self.owner}.out", fd, f"{task.name.stem}.out"
                )
                return
            except OSError:
                continue  # trouble passes, and the run was not in vain

    def take_file(self) -> None:
        """Let the handler delete the job file it was given."""
        if self._link is not None and self.task is not None:
            self.takes = True
            fsops.unlink(
                self._link.spool.fds[State.ACTIVE], self.task.active
            )
            self.takes = False

    def let_go(self) -> None:
        """Its ends of socket and board close."""
        self._socket.close()
        self._board.close()
        if self._link is not None:
            if self.task is not None:
                self.task.job.close()
            self._link.spool.close()


def stand_ins(world: Any) -> list[tuple[Any, str, Any]]:
    """What the daemon is to use instead of processes, flock and inotify."""

    def watch(_: int) -> Watch:
        station = world.kernel.process
        station.watch = Watch(world)
        return station.watch

    def held(path: str) -> Lock:
        return Lock(world, path)

    return [
        (arrivals, "Watch", watch), (daemon, "Lock", held),
        (lock, "Lock", held), (leftover, "kill", lambda *_: 0),
    ]
