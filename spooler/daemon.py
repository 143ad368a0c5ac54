# SPDX-License-Identifier: MIT
"""
spoold: watch, index, dispatch, supervise, in one loop.

The only module that knows spool, watch and pool together.  Each turn of the
loop does a bounded piece of everything that is due, then waits for the next
event or timer.
"""

import collections
import dataclasses
import logging
import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import Any

from spooler import fsops, names, recover, settle
from spooler.config import Config, Router
from spooler.control import Server, ask
from spooler.crew import Crew
from spooler.dispatch import Dispatcher, slots_of
from spooler.errors import ConfigError, SpoolError
from spooler.index import Lanes, Timetable
from spooler.intake import Intake
from spooler.lock import DAEMON_LOCK, LOCKS, Instances, Lock
from spooler.names import Name
from spooler.notify import Notifier
from spooler.pool import Pool, Worker
from spooler.spool import PRIVATE, Spool
from spooler.states import State
from spooler.sweep import Sweep
from spooler.text import inert
from spooler.watch import Watch

log = logging.getLogger(__name__)

_LIMIT_CHECK_S = 0.25
_TROUBLE_WAIT_S = 1.0
_POLL_S = 1.0  #: between scans where there are no events
_RECOVER_EVERY_S = 5.0
_DUE_SLICE = 500
_REJECT_SLICE = 50
_HURRY_S = 5.0
_ABORT_S = 3.0  #: from giving up on running jobs to killing their workers


@dataclasses.dataclass
class Stop:
    """A stop under way: when patience ends, and whether it has."""

    deadline: float
    aborted_at: float | None = None


class Daemon:
    """One run of spoold on one spool."""

    def __init__(
        self, path: str, load: Callable[[], Config], drain: bool = False
    ) -> None:
        """
        Open the spool, take its lock, recover what was left, watch it.

        Args:
            load: reads the configuration; called again on SIGHUP.
            drain: exit once nothing is left to do.

        Raises:
            SpoolError: another spoold serves this spool, or there is none.
            OSError: the spool is in trouble.
        """
        self._load = load
        self._drain = drain
        self.config = load()
        self.spool = Spool(path)
        self._private = os.path.join(self.spool.path, PRIVATE)
        self._make_private()
        try:
            self._daemon_lock = Lock(os.path.join(self._private, DAEMON_LOCK))
        except BlockingIOError:
            raise SpoolError(self._held()) from None
        self._instances = Instances(self._private, self.spool.private_fd)
        self.instance, self._instance_lock = self._instances.new()
        self._selector = selectors.DefaultSelector()
        self._pool = Pool(
            self.spool.path, self.instance, self._instance_lock.fd,
            self.config,
        )
        self._intake = Intake(self.spool)
        self._timetable = Timetable()
        self._rejects: collections.deque[str] = collections.deque()
        self._router = Router(self.config)
        self._dispatcher = self._new_dispatcher()
        self.crew = Crew(
            self.spool, self._pool, self._dispatcher, self._timetable,
            self._listen_to, self._forget_worker,
        )
        self._incoming = Sweep(
            self.spool, State.INCOMING, self._begin_incoming, self._take_in,
            self._end_incoming,
        )
        self._deferred = Sweep(
            self.spool, State.DEFERRED, self._timetable.begin_scan,
            self._take_deferred, self._timetable.end_scan,
        )
        self._watch: Watch | None = None
        self._stop: Stop | None = None
        self._signals: collections.deque[int] = collections.deque()
        self._trouble_until = 0.0
        self._trouble: str | None = None
        self._recover_at = 0.0
        self._stuck_wait: float | None = None
        self._started_ns = time.time_ns()
        self._notifier = Notifier(dict(os.environ))

    def _make_private(self) -> None:
        for name in (LOCKS, "work"):
            try:
                os.mkdir(name, 0o700, dir_fd=self.spool.private_fd)
            except FileExistsError:
                pass

    def _held(self) -> str:
        text = f"{inert(self.spool.path)}: another spoold serves this spool"
        try:
            answer = ask(self.spool.private_fd, {"verb": "status"}, 1.0)
        except OSError:
            answer = None
        if answer:
            text += f" (pid {answer['pid']})"
        return text + "; one spool has one spoold"

    def _new_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            self.config, self._pool, Lanes(self.config.handlers)
        )

    # Setting up.

    def run(self) -> int:
        """Serve until told to stop; returns the exit status."""
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda n, _: self._signals.append(n))
        self._selector.register(
            wake_r, selectors.EVENT_READ, lambda: os.read(wake_r, 4096)
        )
        self._open_watch()  # before the first scan: nothing falls between
        server = self._open_control()
        self._recover()
        try:
            while not (self._incoming.complete and self._deferred.complete):
                self._guard(self._scan)
                if self._trouble:
                    self._wait(_TROUBLE_WAIT_S)
                self._take_signals()
                if self._stop is not None:
                    break
            log.info(
                "spoold ready: spool=%s instance=%s workers=%d handlers=%s",
                inert(self.spool.path), self.instance,
                slots_of(self.config), ",".join(self.config.handlers) or "-",
            )
            self._notifier.send("READY=1")
            while not self._finished():
                self._turn()
        finally:
            self._pool.kill_all()
            if server is not None:
                server.close()
            if self._watch is not None:
                self._watch.close()
        log.info("spoold ends")
        self._instance_lock.release()
        self._instances.forget(self.instance)
        return 1 if self._drain and self.crew.tally.failed else 0

    def _open_watch(self) -> None:
        try:
            self._watch = Watch(self.spool.fds[State.INCOMING])
        except OSError as error:
            self._watch = None
            log.warning(
                "no events from incoming/ (%s); scanning every %gs instead",
                fsops.why(error), self._every_s(),
            )
            return
        self._selector.register(
            self._watch.wake_fd, selectors.EVENT_READ, self._take_events
        )

    def _open_control(self) -> Server | None:
        try:
            return Server(
                self.spool.private_fd, self._selector, self._answer
            )
        except OSError as error:
            log.error("no control socket: %s", fsops.why(error))
            return None

    def _every_s(self) -> float:
        every = self.config.rescan_s
        return every if self._watch is not None else min(every, _POLL_S)

    # One turn of the loop.

    def _turn(self) -> None:
        self._take_signals()
        now = time.monotonic()
        if self._stop is None:
            if now >= self._trouble_until:
                self._guard(self._work)
        else:
            self._stopping(now)
        self.crew.check_limits()
        self._stuck_wait = self._dispatcher.share_stuck()
        self._report_status()
        self._wait(self._wait_s())

    def _work(self) -> None:
        if now_due(self._recover_at):
            self._recover()
        self._scan()
        self._retry_due()
        self._reject()
        self.crew.fill()
        self._dispatcher.dispatch()

    def _guard(self, work: Callable[[], None]) -> None:
        """Do *work*; trouble with the spool pauses claims, nothing else."""
        try:
            work()
        except OSError as error:
            text = fsops.why(error)
            if text != self._trouble:
                log.error("spool in trouble: %s; claims pause", text)
            self._trouble = text
            self._trouble_until = time.monotonic() + _TROUBLE_WAIT_S
            return
        if self._trouble is not None:
            log.info("spool is well again: claims go on")
            self._trouble = None

    def _wait(self, seconds: float | None) -> None:
        for key, _ in self._selector.select(seconds):
            key.data()

    def _wait_s(self) -> float | None:
        now = time.monotonic()
        waits = [3600.0]
        if self._notifier.watchdog_s:
            waits.append(self._notifier.watchdog_s)
        if self._stop is not None:
            waits.append(0.05 if self._stop.aborted_at else 0.2)
        elif now < self._trouble_until:
            waits.append(self._trouble_until - now)
        else:
            waits.append(self._incoming.wait_s())
            waits.append(self._deferred.wait_s())
            if self._rejects:
                waits.append(0.0)
            due_ns = self._timetable.next_due_ns()
            if due_ns is not None:
                # Due times are wall clock, which may jump: look once a
                # second, however far away.
                waits.append(min(1.0, (due_ns - time.time_ns()) / 1e9))
            for kind in ("python", "command"):
                wait = self._pool.respawn_wait_s(kind)
                if wait:
                    waits.append(wait)
        if self._stuck_wait is not None:
            waits.append(self._stuck_wait)
        if any(worker.outstanding for worker in self._pool.workers.values()):
            waits.append(_LIMIT_CHECK_S)
        return max(0.0, min(waits))

    # Jobs in.

    def _take_events(self) -> None:
        watch = self._watch
        if watch is None:
            return
        for entry in watch.take():
            self._guard(lambda: self._take_in(entry, False))
        if watch.take_lost():
            log.warning("events were lost; scanning incoming/")
            self._incoming.request()
        if watch.gone:
            self._selector.unregister(watch.wake_fd)
            watch.close()
            self._watch = None
            self._open_watch()
            self._incoming.request()

    def _scan(self) -> None:
        lanes = self._dispatcher.lanes
        if lanes.wants_scan() and not self._incoming.running:
            self._incoming.request()
        if self._timetable.wants_scan() and not self._deferred.running:
            self._deferred.request()
        self._incoming.step(self._every_s())
        self._deferred.step(self._every_s())

    def _begin_incoming(self) -> None:
        self._intake.begin_scan()
        self._dispatcher.lanes.begin_scan()

    def _end_incoming(self) -> None:
        self._dispatcher.lanes.end_scan()

    def _take_in(self, entry: str, is_dir: bool) -> None:
        found = self._intake.take_in(entry, is_dir)
        for text, due_ns in self._intake.delayed:
            self._timetable.add(text, due_ns)
        self._intake.delayed.clear()
        if found is not None:
            self._queue(*found)

    def _queue(self, text: str, name: Name) -> None:
        handler = self._router.handler_of(name)
        if handler in self.config.handlers:
            self._dispatcher.lanes.add(text, name, handler or "")
        elif len(self._rejects) < names.MAX_RUNS:
            self._rejects.append(text)  # the rest is found by a later scan

    def _take_deferred(self, entry: str, is_dir: bool) -> None:
        name = names.parse(entry)
        if name is not None and not is_dir:
            self._timetable.add(entry, name.due_ns or 0)

    def _retry_due(self) -> None:
        for _ in range(_DUE_SLICE):
            due_ns = self._timetable.next_due_ns()
            if due_ns is None or due_ns > time.time_ns():
                return
            text = self.spool.retry(self._timetable.pop())
            name = names.parse(text) if text is not None else None
            if text is not None and name is not None:
                self._queue(text, name)

    def _reject(self) -> None:
        """File jobs that no handler can run, with the reason."""
        for _ in range(_REJECT_SLICE):
            if not self._rejects:
                return
            hint = self._rejects.popleft()
            active = self.spool.claim(hint, f"{self.instance}00")
            if active is None:
                continue
            outcome = recover.judge_unroutable(
                self.spool, self.config, active
            )
            settled = settle.settle(
                self.spool, active, outcome, None, None,
                self.config.durability != "relaxed", time.time_ns(), 0.0,
            )
            self.crew.book(
                settled.state, hint, settled.name, 0, outcome.text
            )
        self._incoming.request()

    # Recovery.

    def _recover(self) -> None:
        """Take back what dead instances left; live ones are left alone."""
        self._recover_at = time.monotonic() + _RECOVER_EVERY_S
        dead = [
            name for name in self._instances.listed()
            if name != self.instance and self._instances.is_dead(name)
        ]
        if not dead and self._incoming.complete:
            return
        # An instance without a lock file is dead as well.
        live = set(self._instances.listed()) - set(dead)

        def is_dead(owner: str) -> bool:
            return owner[:names.INSTANCE_CHARS] not in live

        for active, name in recover.orphans(self.spool, is_dead):
            state, moved = recover.recover(
                self.spool, self.config, active, name
            )
            log.warning(
                "%s: interrupted in run %d; now %s", name.id, name.runs,
                state.value if moved else "gone",
            )
            recovered = names.parse(moved) if moved is not None else None
            if state is State.FAILED:
                self.crew.tally.count(state)
            elif moved is not None and recovered is not None:
                self._queue(moved, recovered)
        recover.tidy(self.spool, is_dead)
        for name_ in dead:
            self._instances.forget(name_)

    # Workers.

    def _listen_to(self, worker: Worker) -> None:
        self._selector.register(
            worker.socket, selectors.EVENT_READ,
            lambda: self.crew.hear(worker),
        )

    def _forget_worker(self, worker: Worker) -> None:
        self._selector.unregister(worker.socket)

    # Signals, stop and reload.

    def _take_signals(self) -> None:
        while self._signals:
            number = self._signals.popleft()
            if number == signal.SIGHUP:
                self._reload()
            elif self._stop is not None:
                self._stop.deadline = 0.0  # a second one: hurry
            else:
                patience = self.config.stop_timeout_s
                if number == signal.SIGINT:
                    patience = min(patience, _HURRY_S)
                self._begin_stop(patience)

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            config = self._load()
        except (ConfigError, OSError) as error:
            log.error("not reloaded, the old configuration stays: %s", error)
        else:
            self.config = config
            self._router = Router(config)
            self._pool.renew(config)
            self._dispatcher = self._new_dispatcher()
            self.crew.dispatcher = self._dispatcher
            self._rejects.clear()
            self._incoming.request()
            log.info("reloaded: handlers=%s", ",".join(config.handlers))
        self._notifier.send("READY=1")

    def _begin_stop(self, patience_s: float) -> None:
        self._notifier.send("STOPPING=1")
        self._dispatcher.stopped = True
        self._stop = Stop(time.monotonic() + patience_s)
        for worker in self._pool.workers.values():
            worker.stop()
        log.info(
            "stopping: %d jobs run, waiting up to %gs", len(
                self.crew.running()), patience_s,
        )

    def _stopping(self, now: float) -> None:
        stop = self._stop
        assert stop is not None
        if stop.aborted_at is None and now >= stop.deadline:
            stop.aborted_at = now
            for worker in self._pool.workers.values():
                if worker.kind == "python":
                    worker.kill()
                else:
                    worker.send({"abort": True})
        elif stop.aborted_at is not None and now > stop.aborted_at + _ABORT_S:
            self._pool.kill_all()

    def _finished(self) -> bool:
        if self._stop is not None:
            return not self._pool.workers
        if self._drain and self._is_drained():
            self._begin_stop(self.config.stop_timeout_s)
            return not self._pool.workers
        return False

    def _is_drained(self) -> bool:
        """Nothing incoming, active, or backing off, by the disk's word."""
        if len(self._dispatcher.lanes) or self._rejects or self._trouble:
            return False
        if any(worker.outstanding for worker in self._pool.workers.values()):
            return False
        for entry in self.spool.scan(State.INCOMING):
            if entry.name not in self._intake.strays:
                self._incoming.request()
                return False
        return not any(
            self._is_work(state)
            for state in (State.ACTIVE, State.DEFERRED)
        )

    def _is_work(self, state: State) -> bool:
        for entry in self.spool.scan(state):
            name = names.parse(entry.name)
            # Deferred by its producer, and never run: not of this drain.
            if name is not None and (state is State.ACTIVE or name.runs):
                return True
        return False

    # Telling how it is.

    def _report_status(self) -> None:
        if self._notifier.watchdog_s:
            self._notifier.send("WATCHDOG=1")
        if self._trouble is not None:
            self._notifier.status(f"in trouble: {self._trouble}")
            return
        tally = self.crew.tally
        self._notifier.status(
            f"{len(self._dispatcher.lanes)} waiting,"
            f" {len(self.crew.running())} running, {tally.done} done,"
            f" {tally.failed} failed"
        )

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer spoolctl."""
        if request["verb"] == "kill":
            return {"v": 1, "killed": self.crew.kill(request["id"])}
        if request["verb"] != "status":
            return {"v": 1, "error": "unknown verb"}
        return {
            "v": 1, "pid": os.getpid(), "instance": self.instance,
            "started_ns": self._started_ns,
            "trouble": self._trouble or self.crew.trouble,
            "watching": self._watch is not None,
            "stopping": self._stop is not None,
            "slots": slots_of(self.config),
            "running": self.crew.running(),
            "limits": {
                name: [
                    self._dispatcher.running(name),
                    self._dispatcher.limit(name),
                ]
                for name in self.config.handlers
            },
            "strays": [
                {"name": inert(entry), "why": why}
                for entry, why in list(self._intake.strays.items())[:20]
            ],
            "stray_count": len(self._intake.strays),
            "done": self.crew.tally.done,
            "failed": self.crew.tally.failed,
        }


def now_due(at: float) -> bool:
    """Whether a monotonic moment has come."""
    return time.monotonic() >= at
