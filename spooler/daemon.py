# SPDX-License-Identifier: MIT
"""
spoold: watch, index, dispatch, supervise, in one loop.

The only module that knows spool, watch and pool together.  Each turn of the
loop does a bounded piece of everything that is due, then waits for the next
event or timer.
"""

import collections
import contextlib
import functools
import logging
import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import Any

from spooler import check, fsops, names, report
from spooler.arrivals import Arrivals
from spooler.asking import holder
from spooler.cgroup import delegated
from spooler.config import Config
from spooler.control import Server
from spooler.crew import Crew
from spooler.dispatch import Dispatcher, slots_of
from spooler.errors import ConfigError, SpoolError
from spooler.foster import become_subreaper
from spooler.health import TROUBLE_WAIT_S, Health
from spooler.ledger import Ledger
from spooler.lock import DAEMON_LOCK, Instances, Lock
from spooler.notify import Notifier
from spooler.pool import KINDS, Pool, Worker
from spooler.rejects import Rejects
from spooler.rescue import Rescue
from spooler.spool import PRIVATE, PRIVATE_DIRECTORIES, Displaced, Spool
from spooler.stop import Stop
from spooler.states import State
from spooler.text import inert
from spooler.upkeep import Upkeep

log = logging.getLogger(__name__)

_LIMIT_CHECK_S = 0.25
_FOSTER_CHECK_S = 0.05
_HURRY_S = 5.0
_LET_GO_S = 3.0


class Daemon:
    """One run of spoold on one spool."""

    def __init__(
        self, path: str, load: Callable[[], Config], drain: bool = False,
        notifier: Notifier | None = None,
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
        check.insist_on_modes(self.spool)
        for name in PRIVATE_DIRECTORIES:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.spool.private_fd)
        private = os.path.join(self.spool.path, PRIVATE)
        try:
            self._daemon_lock = Lock(os.path.join(private, DAEMON_LOCK))
        except BlockingIOError:
            raise SpoolError(
                f"{inert(self.spool.path)}: another spoold serves this spool"
                f"{holder(self.spool.private_fd)}; one spool has one spoold"
            ) from None
        self._instances = Instances(private, self.spool.private_fd)
        self.instance, self._instance_lock = self._instances.new()
        self._selector = selectors.DefaultSelector()
        self._pool = Pool(
            self.spool.path, self.instance, self._instance_lock.fd,
            self.config, delegated(),
        )
        self._arrivals = Arrivals(self.spool, self.config, self._selector)
        self._ledger = Ledger(self._arrivals.deferred.put_off, self.config)
        self._health = Health()
        self._dispatcher = self._new_dispatcher()
        self.crew = Crew(
            self.spool, self._pool, self._dispatcher, self._ledger,
            self._health, self._listen_to, self._selector.unregister,
        )
        self._rescue = Rescue(self.spool, self._instances, self.instance)
        self._rejects = Rejects(
            self.spool, self._arrivals, self._ledger, f"{self.instance}00"
        )
        self._upkeep = Upkeep(
            self.spool, self.config, self.instance, self._arrivals,
            self._health,
        )
        self._stop: Stop | None = None
        self._signals: collections.deque[int] = collections.deque()
        self._stuck_wait: float | None = None
        self._fostering = False
        self._started_ns = time.time_ns()
        self._notifier = notifier or Notifier(dict(os.environ))

    def _new_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            self.config, self._pool, self._arrivals.lanes,
            self._ledger.breakers,
        )

    def run(self) -> int | None:
        """
        Serve until told to stop.

        Returns:
            The exit status; None: another spool lies at the path by now.
        """
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        for number in (
            signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD
        ):
            signal.signal(number, lambda n, _: self._signals.append(n))
        self._selector.register(
            wake_r, selectors.EVENT_READ, lambda: os.read(wake_r, 4096)
        )
        become_subreaper()
        # Before the first scan: nothing falls between.
        self._arrivals.open_watch()
        server = self._open_control()
        self._notifier.extend()
        self._guard(self._recover)
        try:
            while not self._arrivals.complete:
                self._guard(self._arrivals.work)
                self._report_status()
                if self._health.hurt:
                    self._wait(TROUBLE_WAIT_S)
                self._take_signals()
                if self._stop is not None:
                    break
            self._guard(self._upkeep.work)
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
            self._arrivals.close()
            self._selector.close()
            signal.set_wakeup_fd(-1)
            os.close(wake_r)
            os.close(wake_w)
        self._close()
        if self._stop is not None and self._stop.reopen:
            return None
        log.info("spoold ends")
        left = self._ledger.failed or self._dispatcher.starved()
        return 1 if self._drain and left else 0

    def _close(self) -> None:
        self._instance_lock.release()
        with contextlib.suppress(OSError):  # the next start forgets it
            self._instances.forget(self.instance)
        self._instances.close()
        self._daemon_lock.release()
        self.spool.close()

    def _open_control(self) -> Server | None:
        try:
            return Server(
                self.spool.private_fd, self._selector, self._answer
            )
        except OSError as error:
            log.error("no control socket: %s", fsops.why(error))
            return None

    def _turn(self) -> None:
        self._take_signals()
        if self._stop is not None:
            self._stop.step()
        elif self._health.may_work():
            self._guard(self._work)
        self._guard(self.crew.bury, heals=False)
        self._fostering = self.crew.look_after()
        self.crew.check_limits()
        self._stuck_wait = self._dispatcher.share_stuck()
        self._report_status()
        self._wait(self._wait_s())

    def _work(self) -> None:
        self._upkeep.begin()
        self._recover()
        for entry, why in self.crew.refused.items():
            self._arrivals.intake.refuse(entry, why)
        self.crew.refused.clear()
        self._arrivals.work()
        self._rejects.file(self.config)
        self.crew.fill()
        self._upkeep.work()
        self._dispatch()

    def _dispatch(self) -> None:
        self._dispatcher.paused = self._upkeep.paused
        if self._health.may_claim():
            self._dispatcher.dispatch()

    def _start_heard(self) -> None:
        """Start what was just heard of before all else of a turn."""
        if self._arrivals.take_heard():
            self._dispatch()

    def _guard(self, work: Callable[[], None], heals: bool = True) -> None:
        """Do *work*; trouble with the spool pauses claims, nothing else."""
        try:
            work()
        except OSError as error:
            self._health.fails(error)
            if isinstance(error, Displaced) and self._stop is None:
                self._let_go()
        else:
            if heals:
                self._health.works()
        finally:
            with contextlib.suppress(OSError):
                self._upkeep.relieve()

    def _let_go(self) -> None:
        """
        Give up directories that are not at the path any more.

        At once if a whole spool is there now; else after a while, for what
        we hold open keeps a file system from being mounted anew.
        """
        try:
            Spool(self.spool.path).close()
        except (SpoolError, OSError):
            if self._health.hurt_s() < _LET_GO_S:
                return  # it may come back yet
        log.warning("the spool is let go; what lies there is served next")
        self._begin_stop(self.config.stop_timeout_s, reopen=True)

    def _wait(self, seconds: float | None) -> None:
        if self._stop is None and (lull_s := self._dispatcher.lull_s()):
            time.sleep(lull_s)
        for key, _ in self._selector.select(seconds):
            key.data()
        if self._stop is None and self._health.may_work():
            self._guard(self._start_heard, heals=False)

    def _wait_s(self) -> float | None:
        waits = [3600.0]
        sick = self._health.wait_s()
        if sick is not None:
            waits.append(sick)
        telling = self._notifier.wait_s()
        if telling is not None:
            waits.append(telling)
        if self._stop is not None:
            waits.append(self._stop.wait_s())
        elif sick is None:
            waits.append(self._arrivals.wait_s())
            waits.append(self._rescue.wait_s())
            waits.append(self._upkeep.wait_s())
            paused = self._dispatcher.paused_wait_s()
            if paused is not None:
                waits.append(paused)
            waits += filter(None, map(self._pool.respawn_wait_s, KINDS))
        if self._stuck_wait is not None:
            waits.append(self._stuck_wait)
        if self._fostering:
            waits.append(_FOSTER_CHECK_S)
        if any(worker.busy for worker in self._pool.workers.values()):
            waits.append(_LIMIT_CHECK_S)
        return max(0.0, min(waits))

    def _recover(self) -> None:
        """Take back what dead instances left."""
        for state, moved in self._rescue.look(
            self.config, not self._arrivals.complete
        ):
            self._ledger.count(state)
            name = names.parse(moved)
            if state is State.INCOMING and name is not None:
                self._arrivals.queue(moved, name)

    def _listen_to(self, worker: Worker) -> None:
        hear = functools.partial(self.crew.hear, worker)
        self._selector.register(worker.socket, selectors.EVENT_READ, hear)

    def _take_signals(self) -> None:
        while self._signals:
            number = self._signals.popleft()
            if number == signal.SIGCHLD:
                self.crew.reap_orphans()
            elif number == signal.SIGHUP:
                self._reload()
            elif self._stop is not None:
                self._stop.hurry()
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
            self._pool.renew(config)
            self._arrivals.use(config)
            self._ledger.use(config)
            self._upkeep.use(config)
            self._dispatcher = self._new_dispatcher()
            self.crew.use(self._dispatcher)
            log.info("reloaded: handlers=%s", ",".join(config.handlers))
        self._notifier.send("READY=1")

    def _begin_stop(self, patience_s: float, reopen: bool = False) -> None:
        if not reopen:
            self._notifier.stopping()
        self._dispatcher.stopped = True
        self._stop = Stop(self._pool, patience_s, reopen)
        count = self.crew.running_count()
        log.info("stopping: %d jobs run, waiting up to %gs", count, patience_s)

    def _finished(self) -> bool:
        if self._stop is not None:
            # Whose worker or runner died just now.
            self._guard(self.crew.abandon, heals=False)
            self._guard(self.crew.bury, heals=False)
            return not self._pool.workers
        if self._drain:
            self._guard(self._stop_if_drained, heals=False)
        return self._stop is not None and not self._pool.workers

    def _stop_if_drained(self) -> None:
        """Stop once nothing is incoming, active or backing off, or can run."""
        if self._health.trouble or not self.crew.is_idle():
            return
        if starved := self._dispatcher.starved():
            log.error("no %s worker starts: what waits is left", starved)
        if starved or self._arrivals.is_drained():
            self._begin_stop(self.config.stop_timeout_s)

    def _report_status(self) -> None:
        self._notifier.alive()
        if self._stop is not None:
            if self._stop.patient:
                self._notifier.extend()
        elif not self._arrivals.complete and not self._health.hurt:
            self._notifier.extend()
        if self._notifier.listened_to:
            self._notifier.status(report.status_line(
                self.crew, self._arrivals, self._ledger, self._health,
                self._upkeep, self._stop is not None,
            ))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer spoolctl."""
        if request["verb"] == "kill":
            return {"v": 1, "killed": self.crew.kill(request["id"])}
        if request["verb"] == "marks":
            self._guard(self._upkeep.look_at_marks, heals=False)
            self._ledger.forgive(request.get("resumed", ()))
            return {"v": 1, "marks": sorted(self._upkeep.paused)}
        if request["verb"] == "tasks":
            return {"v": 1, "tasks": report.tasks(self.config)}
        if request["verb"] != "status":
            return {"v": 1, "error": "unknown verb"}
        return {
            "v": 1, "pid": os.getpid(), "instance": self.instance,
            "started_ns": self._started_ns,
            "stopping": self._stop is not None,
            **report.status(
                self.crew, self._arrivals, self._dispatcher, self._ledger,
                self._health, self._upkeep,
            ),
        }
