# SPDX-License-Identifier: MIT
"""
The jobs that wait: heard of, found, admitted, and due again.

Events and scans both end in ``take_in``; what comes of it are the lanes the
dispatcher takes from, the jobs that are put off, and the jobs that no
handler can run.
"""

import logging
import os
import selectors
import time
from collections import deque
from collections.abc import Iterator

from spooler import fsops, names
from spooler.config import Config
from spooler.deferred import Deferred
from spooler.index import Lanes
from spooler.intake import Intake
from spooler.names import Name
from spooler.route import Router
from spooler.scale import Scale
from spooler.spool import Spool
from spooler.states import State
from spooler.sweep import SLICE_S, Sweep
from spooler.watch import PENDING_MAX, Watch

log = logging.getLogger(__name__)

_POLL_S = 1.0  #: between scans where there are no events
_EVENT_SLICE = 2000
_REJECT_SLICE = 50
_REJECTS_MAX = 1000
_SLOW_MAX = 50_000


class Arrivals:
    """
    What the daemon knows of waiting jobs.

    Attributes:
        lanes: the waiting jobs, by handler.
        deferred: those that were put off.
        intake: what was left alone in ``incoming/``.
    """

    def __init__(
        self, spool: Spool, config: Config, selector: selectors.BaseSelector
    ) -> None:
        self._spool = spool
        self._selector = selector
        self._watch: Watch | None = None
        self._deaf = False
        self._events: deque[str] = deque()
        self._slow: deque[str] = deque()
        self._slowly: set[str] = set()
        self._slow_lost = False
        self._complete = False
        self._rejects: deque[str] = deque()
        self.intake = Intake(spool)
        self.deferred = Deferred(spool, config, self.queue)
        self._scale = Scale(spool.fds[State.INCOMING])
        self._incoming = Sweep(
            spool, State.INCOMING, self._begin, self._found, self._end
        )
        self.use(config)

    def use(self, config: Config) -> None:
        """Route by *config* from now on; everything is scanned anew."""
        self._every_s = config.rescan_s
        self._weigh = config.max_bytes > 0
        self._router = Router(config)
        self.deferred.use(config)
        self._handlers = config.handlers
        self.lanes = Lanes(config.handlers)
        self._ends = 0
        self._rejects.clear()
        # A scan under way has filled the old lanes.
        self._incoming.restart()

    def open_watch(self) -> None:
        """Ask for events; do without where there are none."""
        try:
            self._watch = Watch(self._spool.fds[State.INCOMING])
        except OSError as error:
            self._watch = None
            if not self._deaf:
                log.warning(
                    "no events from incoming/ (%s); scanning every %gs"
                    " instead", fsops.why(error), self.every_s,
                )
            self._deaf = True
            return
        if self._deaf:
            log.info("events from incoming/ are to be had again")
            self._deaf = False
            self.request_scan()
        self._selector.register(
            self._watch.wake_fd, selectors.EVENT_READ, self._hear
        )

    def close(self) -> None:
        """Ask for no more events."""
        if self._watch is not None:
            self._selector.unregister(self._watch.wake_fd)
            self._watch.close()
            self._watch = None

    @property
    def watching(self) -> bool:
        """Whether the file system tells of arrivals."""
        return self._watch is not None

    @property
    def every_s(self) -> float:
        """Seconds between scans."""
        if self._watch is not None:
            return self._every_s
        return min(self._every_s, _POLL_S)

    def _hear(self) -> None:
        assert (watch := self._watch) is not None
        heard = watch.take()
        # More than can be looked at soon is left to a scan.
        room = max(0, PENDING_MAX - len(self._events))
        self._events.extend(heard[:room])
        if watch.take_lost() or len(heard) > room:
            log.warning("events were lost; scanning incoming/")
            self.request_scan()
        if watch.gone:
            self.close()
            self.open_watch()
            self.request_scan()

    def work(self) -> None:
        """
        Take in what was heard of, scan a slice, send back what is due.

        Raises:
            OSError: the spool is in trouble; the next call goes on.
        """
        self.take_heard()
        self._take_slowly()
        if self.lanes.wants_scan() and not self._incoming.running:
            self._incoming.request()
        self._incoming.step(self.every_s)
        self.deferred.work(self.every_s)

    def take_heard(self) -> bool:
        """Take in what was heard of; False if that was nothing."""
        heard = min(_EVENT_SLICE, len(self._events))
        for _ in range(heard):
            # Off the queue only once it is taken in.
            if self._weigh:
                self._scale.weigh(self._events[0])
            self._take_in(self._events[0])
            self._events.popleft()
        return heard > 0

    def wait_s(self) -> float:
        """Seconds until there is work for the next turn."""
        if self._events or self._slow or self._rejects:
            return 0.0
        wait = min(self._incoming.wait_s(), self.deferred.wait_s())
        resolve_s = self.intake.resolve_s()
        return wait if resolve_s is None else min(wait, resolve_s)

    def request_scan(self) -> None:
        """Scan ``incoming/`` soon."""
        self._incoming.request()

    @property
    def complete(self) -> bool:
        """Whether everything on disk has been seen once."""
        self._complete |= (
            self._incoming.complete and self.deferred.complete
            and not self._slow
        )
        return self._complete

    @property
    def pending(self) -> int:
        """About how many jobs wait or are deferred."""
        heard = len(self._events) + len(self._slow)
        return self.lanes.total + self.deferred.total + heard

    @property
    def pending_bytes(self) -> int:
        """About what they take on disk; 0 unless there is a limit to it."""
        return self._scale.total + self.deferred.bytes

    def _begin(self) -> None:
        self._ends = 0
        self._scale.begin()
        self.intake.begin_scan()
        self.lanes.begin_scan()

    def _end(self) -> None:
        self._scale.end()
        # What it found and is not taken in yet belongs to it.
        self._ends = len(self._slow)
        if not self._ends:
            self.lanes.end_scan()

    def _found(self, chunk: list["os.DirEntry[str]"]) -> None:
        files = [
            entry.name for entry in chunk
            if not entry.is_dir(follow_symlinks=False)
        ]
        if len(files) < len(chunk):
            for name in {entry.name for entry in chunk}.difference(files):
                self.intake.take_in(name, True)
        if self._weigh:
            for entry in chunk:
                self._scale.weigh(entry.name)
        plain, others = names.plain_groups(files)
        for handler, group in plain.items():
            if handler in self._handlers:
                self.lanes.by_handler[handler].fresh.add_all(group)
            else:
                others += group
        for name in others:
            self._take_in(name)

    def _take_in(self, entry: str) -> None:
        handler = names.plain_handler(entry)
        if handler in self._handlers:
            self.lanes.by_handler[handler].fresh.add(entry)  # as most are
        elif entry in self._slowly:
            return
        elif len(self._slow) < _SLOW_MAX:
            self._slow.append(entry)
            self._slowly.add(entry)
        else:
            self._slow_lost = True

    def _take_slowly(self) -> None:
        """Take in what needs more than a look: it delays no other work."""
        until = time.monotonic() + SLICE_S
        while self._slow and time.monotonic() < until:
            found = self.intake.take_in(self._slow[0], False)
            self._slowly.discard(self._slow.popleft())
            self._took(found)
            self._ends -= 1
            if self._ends == 0:
                self.lanes.end_scan()
        for found in self.intake.resolve():
            self._took(found)
        if self._slow_lost and not self._slow:
            self._slow_lost = False
            self.request_scan()

    def _took(self, found: tuple[str, Name] | None) -> None:
        for text, due_ns in self.intake.delayed:
            self.deferred.add(text, due_ns)
        self.intake.delayed.clear()
        if found is not None:
            self.queue(*found)

    def queue(self, text: str, name: Name) -> None:
        """A job waits in ``incoming/`` under its name *text*."""
        handler = self._router.handler_of(name)
        if handler is not None and handler in self._handlers:
            self.lanes.add(text, name, handler)
        elif len(self._rejects) < _REJECTS_MAX:
            self._rejects.append(text)
        else:
            self.request_scan()  # finds it once there is room

    def take_rejects(self) -> Iterator[str]:
        """Some of the jobs that no handler can run."""
        for _ in range(min(_REJECT_SLICE, len(self._rejects))):
            yield self._rejects[0]
            self._rejects.popleft()

    def is_drained(self) -> bool:
        """
        Nothing waits, and nothing is backing off, by the disk's word.

        Jobs that their producers put off, and that never ran, do not count.
        """
        if len(self.lanes) or self._rejects or self._events or self._slow:
            return False
        for entry in self._spool.scan(State.INCOMING):
            if names.why_illegal(entry.name) or entry.is_dir(
                follow_symlinks=False
            ):
                continue
            if entry.name not in self.intake.strays:
                self.request_scan()
                return False
        for entry in self._spool.scan(State.DEFERRED):
            name = names.parse(entry.name)
            if name is not None and name.runs:
                return False
        return True
