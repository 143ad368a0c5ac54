# SPDX-License-Identifier: MIT
"""
The worker processes: started, fed, heard, replaced.

Our own supervision, because the standard pools break or hang when a worker
is killed.  Workers are started by exec, never forked from this process,
which has threads.
"""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from spooler.board import Board
from spooler.chain import Chain, Chains
from spooler.config import Config
from spooler.foster import Child
from spooler.leftover import INSTANCE_VARIABLE, SPOOL_VARIABLE
from spooler.names import b32
from spooler.wire import Unpacker, pack

KINDS = "python", "asyncio", "command"  #: of workers
#: A worker that dies before it was ready is replaced after this, doubled
#: each time: a broken interpreter must not be started in a loop.
_RESPAWN_S = 0.5
_RESPAWN_MAX_S = 30.0
#: What systemd told the daemon, and no handler may use.
_OURS = frozenset((
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS",
    "LISTEN_PID", "LISTEN_FDNAMES", "INVOCATION_ID", "JOURNAL_STREAM",
))

#: What all of them are read into, one after the other.
_room = memoryview(bytearray(1 << 18))


class Worker:
    """
    One worker process as the daemon sees it.

    Attributes:
        owner: what its claims carry.
        kind: of KINDS.
        outstanding: hints it was given and has not answered, with their
            handlers, oldest first.
        counts: how many of them, by handler.
        chains: of a command runner: how they follow each other.
        started: of commands and coroutines: what the runner told of each,
            by hint.
        filing: commands of a runner that died, which have ended and whose
            verdicts it was told to file, by hint.
        retiring: it gets no further jobs.
        condemned: hints of those because of which we killed it.
        killed_for: why we killed it: ``timeout``, ``killed``, ``gone`` or
            ``nonsense``.
        gone_at: monotonic moment when it hung up and its process lived on.
        idle_since: monotonic moment since when it does nothing about what
            it was given.
    """

    def __init__(
        self,
        owner: str,
        kind: str,
        process: "subprocess.Popen[bytes]",
        sock: socket.socket,
        board: Board,
    ) -> None:
        self.owner = owner
        self.kind = kind
        self.process = process
        self.socket = sock
        self.board = board
        self.ready = False
        self.retiring = False
        self.killed_for: str | None = None
        self.gone_at: float | None = None
        self.idle_since: float | None = None
        self.outstanding: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.chains = Chains()
        self.started: dict[str, Child] = {}
        self.filing: dict[str, Child] = {}
        self.condemned: set[str] = set()
        self._unpacker = Unpacker()
        self._unsent = bytearray()

    @property
    def busy(self) -> bool:
        """Whether it must be looked at again soon."""
        return bool(self.outstanding) or self.gone_at is not None

    def has_ended(self) -> bool:
        """Whether its process is over; it is not reaped yet."""
        # A child that a handler forked holds the socket: its end is no sign.
        return os.waitid(
            os.P_PID, self.process.pid,
            os.WEXITED | os.WNOHANG | os.WNOWAIT,
        ) is not None

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; never blocks."""
        self._unsent += pack(message)
        self.flush()

    def flush(self) -> bool:
        """Send what is queued; True if all is sent."""
        while self._unsent:
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                return False
            except OSError:
                self._unsent.clear()  # it died; its exit tells
                return True
            del self._unsent[:sent]
        return True

    def receive(self) -> list[list[Any]] | None:
        """The reports that arrived; None when the process is gone."""
        try:
            size = self.socket.recv_into(_room)
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        if not size:
            return None
        out = []
        for message in self._unpacker.feed(_room[:size]):
            out += message.get("reports", ())
        return out

    def slots(self, handler: str) -> int:
        """How many slots jobs of *handler* take here."""
        if self.kind == "python":
            return min(1, self.counts.get(handler, 0))
        if self.kind == "asyncio":
            return self.counts.get(handler, 0)
        return self.chains.slots.get(handler, 0)

    def give(
        self, hints: list[str], handler: str, chain: Chain | None = None
    ) -> None:
        """
        Hint at jobs; the worker claims them in this order.

        Args:
            chain: of a command runner: that they follow; None: a new one.
        """
        number = 0
        if self.kind == "command":
            chain = chain or self.chains.begin(handler)
            number = chain.number
        self.take_on(hints, handler, chain)
        self.send({"jobs": hints, "handler": handler, "chain": number})

    def take_on(
        self, hints: list[str], handler: str, chain: Chain | None
    ) -> None:
        """Book jobs that the worker is to answer."""
        for hint in hints:
            self.outstanding[hint] = handler
        self.counts[handler] = self.counts.get(handler, 0) + len(hints)
        if chain is not None:
            self.chains.give(chain, hints)

    def give_ended(self, child: Child, code: int) -> None:
        """Let a runner file how a command of another ended."""
        self.take_on(
            [child.hint], child.handler, self.chains.begin(child.handler)
        )
        self.filing[child.hint] = child
        self.send({"ended": {
            "hint": child.hint, "active": child.active,
            "handler": child.handler, "pid": child.pid, "code": code,
            "work": child.work, "started_ns": child.started_ns,
            "clock_ns": child.clock_ns, "ended_by": child.ended_by,
        }})

    def answered(self, hint: str) -> str | None:
        """Strike off a hint; returns its handler, None if it was not ours."""
        handler = self.outstanding.pop(hint, None)
        if handler is not None:
            self.counts[handler] -= 1
            self.chains.answered(hint)
            self.started.pop(hint, None)
            self.filing.pop(hint, None)
        return handler

    def all_answered(
        self, hints: list[str], micros: list[int]
    ) -> dict[str, tuple[list[str], list[int]]]:
        """Strike off many; returns them by handler, "" if not ours."""
        out: dict[str, tuple[list[str], list[int]]] = {}
        for hint, took in zip(hints, micros):
            if self.kind == "python":
                handler = self.outstanding.pop(hint, "")
                if handler:
                    self.counts[handler] -= 1
            else:
                handler = self.answered(hint) or ""
            group = out.get(handler)
            if group is None:
                group = out[handler] = [], []
            group[0].append(hint)
            group[1].append(took)
        return out

    def stop(self) -> None:
        """Take up nothing more, finish what runs, exit."""
        self.retiring = True
        self.board.stop()
        self.send({"stop": True})

    def kill(self, why: str | None = None) -> None:
        """End the process now."""
        self.killed_for = self.killed_for or why
        self.kill_group()
        if self.process.returncode is None:
            # Not by Popen, which would reap it: see has_ended.
            os.kill(self.process.pid, signal.SIGKILL)

    def kill_group(self) -> None:
        """End what a Python handler left in its worker's process group."""
        # Not yet reaped, so the group's number is nobody else's.
        if self.kind != "command" and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of a dead worker."""
        self.socket.close()
        self.board.close()


@dataclasses.dataclass
class Backoff:
    """How long the start of a kind of worker has to wait."""

    wait_s: float = 0.0
    until: float = 0.0


class Pool:
    """All workers of one daemon."""

    def __init__(
        self, spool_path: str, instance: str, lock_fd: int, config: Config,
        groups: str | None,
    ) -> None:
        self._path = spool_path
        self._instance = instance
        self._lock_fd = lock_fd
        self._groups = groups
        self._made = 0
        self.config = config
        self.workers: dict[int, Worker] = {}  #: by socket descriptor
        self._backoff = {kind: Backoff() for kind in KINDS}

    def start(self, kind: str) -> Worker | None:
        """
        Start a worker; None while starts of this kind are backing off.

        Raises:
            OSError: no process or descriptor to be had.
        """
        if time.monotonic() < self._backoff[kind].until:
            return None
        self._made = (self._made + 1) % 1024
        owner = self._instance + b32(self._made, 2)
        board_fd = Board.create()
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                [
                    # -P: not the directory we happen to be in.
                    sys.executable, "-P", "-m", "spooler.workermain", kind,
                    str(theirs.fileno()), str(board_fd), str(os.getpid()),
                ],
                pass_fds=(theirs.fileno(), board_fd, self._lock_fd),
                stdin=subprocess.DEVNULL,
                env=self._environ(),
                start_new_session=True,
            )
            board = Board(board_fd)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(board_fd)
        ours.setblocking(False)
        worker = Worker(owner, kind, process, ours, board)
        worker.send({
            "owner": owner,
            "spool": self._path,
            "groups": self._groups,
            "config": dataclasses.asdict(self.config),
        })
        self.workers[ours.fileno()] = worker
        return worker

    def _environ(self) -> dict[str, str]:
        environ = worker_environ()
        # What a Python handler starts inherits it, and is known by it.
        environ[INSTANCE_VARIABLE] = self._instance
        # What a handler submits goes to the spool that runs it.
        environ[SPOOL_VARIABLE] = self._path
        return environ

    def of_kind(self, kind: str) -> list[Worker]:
        """The live workers of a kind that may get jobs."""
        return [
            worker for worker in self.workers.values()
            if worker.kind == kind and not worker.retiring
            and worker.gone_at is None
        ]

    def is_ready(self, worker: Worker) -> None:
        """A worker came up: the next start need not wait."""
        worker.ready = True
        self._backoff[worker.kind] = Backoff()

    def reap(self, worker: Worker) -> int:
        """
        Take a worker out whose process has ended.

        Returns:
            Its exit status, negative for a signal.
        """
        del self.workers[worker.socket.fileno()]
        worker.close()
        # Still a zombie, so its group's number is nobody else's.
        worker.kill_group()
        code = worker.process.wait()
        if not worker.ready:
            backoff = self._backoff[worker.kind]
            backoff.wait_s = min(
                _RESPAWN_MAX_S, max(_RESPAWN_S, backoff.wait_s * 2)
            )
            backoff.until = time.monotonic() + backoff.wait_s
        return code

    def respawn_wait_s(self, kind: str) -> float:
        """Seconds until a worker of this kind may be started."""
        return max(0.0, self._backoff[kind].until - time.monotonic())

    def is_hopeless(self, kind: str) -> bool:
        """Whether so many died before they were ready that few are tried."""
        return self._backoff[kind].wait_s >= _RESPAWN_MAX_S

    def renew(self, config: Config) -> None:
        """Let every worker finish and exit; new ones get *config*."""
        self.config = config
        for worker in self.workers.values():
            worker.stop()

    def kill_all(self) -> None:
        """End every worker now."""
        for worker in self.workers.values():
            worker.kill()


def worker_environ() -> dict[str, str]:
    """Our environment, but for what systemd told us alone."""
    return {
        name: value for name, value in os.environ.items()
        if name not in _OURS
    }


def describe_exit(code: int) -> str:
    """A worker's exit in words."""
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exited with status {code}"
