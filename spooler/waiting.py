# SPDX-License-Identifier: MIT
"""
Wait for jobs: one thread and one watch, however many are waited for.

Events are hints, looks are facts: whoever begins to wait for a job whose
submission this watcher did not see is looked for, after the watch began; a
look also finds what events lost, and what was removed.  Without events it
looks again and again.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable

from spooler import ending, outbox
from spooler.ending import FINAL, Ending
from spooler.names import STEM_CHARS
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.watch import Moves

Tell = Callable[[Ending], None]

POLL_S = 0.2  #: between looks where there are no events
_REST_S = 5.0  #: between looks for what events did not tell
_SHARE = 20  #: of the time that looks may take
_IDLE_S = 30.0  #: without anything to wait for, until the thread ends
#: For so many at most an end is read in the thread that hears of it: two
#: wake-ups less.  For more it would leave events to the kernel for too long.
_FEW = 16

_lock = threading.Lock()


class Closed(Exception):
    """The watcher has come to its end; take another one."""


def watcher(path: str) -> "Watcher":
    """
    The one watcher of this process for the spool at *path*.

    Raises:
        SpoolError, OSError: the spool cannot be opened.
    """
    with _lock:
        found = outbox.watchers.get(path)
        if isinstance(found, Watcher) and found.is_current():
            return found
        made = Watcher(path)
        outbox.watchers[path] = made
        return made


def add(path: str, job_id: str, tell: Tell) -> "Watcher":
    """Have *tell* called with the end of a job; returns who will do so."""
    while True:
        found = watcher(path)
        try:
            found.add(job_id, tell)
            return found
        except Closed:
            pass  # RACE: it ended just now; it is not in the table any more


class Watcher:
    """Hears of the jobs of one spool that end."""

    def __init__(self, path: str) -> None:
        """Open the spool and begin to watch it."""
        self._path = path
        self._spool = Spool(path)
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._waits: dict[str, list[Tell]] = {}
        #: Submitted under our eyes; where it ended, once it did.
        self._expected: dict[str, tuple[State, str] | None] = {}
        self._to_look_for: set[str] = set()
        self._to_tell: list[Ending | tuple[State, str]] = []
        self._missed: dict[str, int] = {}
        self._look_at = 0.0
        self._used_at = time.monotonic()
        self.closed = False
        self._moves: Moves | None = None
        try:
            self._moves = Moves(
                [self._spool.fds[state] for state in FINAL], self._overhear
            )
        except OSError:
            pass  # looks will do
        self._thread = threading.Thread(
            target=self._run, name="spooler-waits", daemon=True
        )
        self._thread.start()

    def is_current(self) -> bool:
        """Whether it watches what lies at the path now."""
        if self.closed or not self._thread.is_alive():
            return False
        try:
            self._spool.in_place(State.DONE)
        except OSError:
            return False
        return True

    def expect(self, job_id: str) -> None:
        """A job of that id is going to be submitted."""
        if self._moves is not None:
            self._expected[job_id] = None

    def forget(self, job_id: str) -> None:
        """Nobody can come to wait for that job any more."""
        self._expected.pop(job_id, None)

    def expects(self, job_id: str) -> bool:
        """Whether its end is going to be heard, or was: no need to look."""
        return job_id in self._expected

    def add(self, job_id: str, tell: Tell) -> None:
        """
        Have *tell* called, once, in a thread of the watcher.

        Raises:
            Closed: too late.
        """
        with self._lock:
            if self.closed:
                raise Closed
            # Before the look at what was heard, for _hear does it the other
            # way round.
            self._waits.setdefault(job_id, []).append(tell)
            self._used_at = time.monotonic()
            if job_id not in self._expected:
                self._to_look_for.add(job_id)
            else:
                ended = self._expected[job_id]
                if ended is None:
                    return  # it will be heard of
                self._to_tell.append(ended)
        self._wake()

    def discard(self, job_id: str, tell: Tell) -> None:
        """Do not call *tell* any more; it may be doing so right now."""
        with self._lock:
            tells = self._waits.get(job_id, [])
            if tell in tells:
                tells.remove(tell)
            if not tells:
                self._waits.pop(job_id, None)

    def lose(self, job_id: str) -> None:
        """Somebody here removed the job."""
        with self._lock:
            self._to_tell.append(ending.lost(job_id))
        self._wake()

    def close(self) -> None:
        """End the thread; whoever still waits is told that it is lost."""
        with self._lock:
            self.closed = True
        self._wake()
        moves = self._moves
        if threading.current_thread() is not self._thread and (
            moves is None or not moves.is_here
        ):
            self._thread.join()

    def _wake(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._wake_w >= 0:  # else its thread has ended
                os.write(self._wake_w, b"!")

    # In watchdog's thread.

    def _overhear(self, number: int, left: bool, entry: str) -> bool:
        """Take what was heard if that is soon done; whether it was."""
        job_id = entry[2:STEM_CHARS]
        if left or "," not in entry:
            return True
        if job_id not in self._expected and job_id not in self._waits:
            return True  # who comes to wait for it looks for it
        if len(self._waits) > _FEW:
            return False
        try:
            return self._take_end(job_id, FINAL[number], entry)
        except OSError:
            return False  # the watcher's thread meets it too

    def _take_end(self, job_id: str, state: State, entry: str) -> bool:
        """Take note of an end; False if it is not there to be read."""
        if job_id in self._expected:
            self._expected[job_id] = state, entry
        # RACE: who adds itself after this line finds it there.
        if job_id not in self._waits:
            return True
        ended = ending.read(self._spool, state, entry)
        if ended is None:
            return False
        self._tell(ended)
        return True

    # In the watcher's thread.

    def _run(self) -> None:
        trouble = None
        try:
            while not self._is_over():
                self._turn()
        except OSError as error:
            trouble = error
        finally:
            with self._lock:
                self.closed = True
            with _lock:
                if outbox.watchers.get(self._path) is self:
                    del outbox.watchers[self._path]
            for job_id in list(self._waits):
                self._tell(Ending(job_id, None, trouble=trouble))
            if self._moves is not None:
                self._moves.close()
            with self._lock:
                os.close(self._wake_w)
                self._wake_w = -1
            os.close(self._wake_r)
            self._spool.close()

    def _is_over(self) -> bool:
        with self._lock:
            if not self._waits and not self.closed:
                idle = time.monotonic() - self._used_at
                self.closed = idle >= _IDLE_S
            return self.closed

    def _turn(self) -> None:
        fds = [self._wake_r]
        if self._moves is not None:
            fds.append(self._moves.wake_fd)
        ready, _, _ = select.select(fds, [], [], self._wait_s())
        if self._wake_r in ready:
            os.read(self._wake_r, 4096)
        if self._moves is not None:
            self._hear(self._moves)
        with self._lock:
            told, self._to_tell = self._to_tell, []
        for item in told:
            if isinstance(item, Ending):
                self._tell(item)
            else:
                self._read(*item)
        now = time.monotonic()
        if self._to_look_for or (self._waits and now >= self._look_at):
            self._look()

    def _wait_s(self) -> float:
        now = time.monotonic()
        if not self._waits:
            # Nobody wakes us who comes to wait for what is to be heard of.
            return min(_REST_S, max(0.0, self._used_at + _IDLE_S - now))
        return max(0.0, self._look_at - now)

    def _hear(self, moves: Moves) -> None:
        for number, left, entry in moves.take():
            if not left and "," in entry:
                self._read(FINAL[number], entry)
        gone = moves.gone
        if gone:
            self._moves = None
            moves.close()
        if gone or moves.take_lost():
            with self._lock:
                self._expected.clear()
                self._to_look_for.update(self._waits)

    def _look(self) -> None:
        """Look for all that are waited for."""
        started = time.monotonic()
        with self._lock:
            wanted = set(self._waits)
            self._to_look_for.clear()
            self._look_at = started + _REST_S
        places: dict[str, tuple[State, str]] = {}
        for state in FLOW:
            for entry in self._spool.scan(state):
                job_id = entry.name[2:STEM_CHARS]
                if job_id in wanted and "," in entry.name:
                    places[job_id] = state, entry.name
        for job_id, (state, name) in places.items():
            self._missed.pop(job_id, None)
            if state in FINAL:
                self._read(state, name)
        for job_id in wanted - set(places):
            self._missed[job_id] = self._missed.get(job_id, 0) + 1
            if self._missed[job_id] >= ending.LOOKS:
                self._tell(ending.lost(job_id))
        took = time.monotonic() - started
        rest = _REST_S if self._moves is not None else POLL_S
        if self._missed:
            rest = ending.LOOK_S
        # Not over what a read that came too late asked for.
        self._look_at = min(
            self._look_at, time.monotonic() + max(rest, took * _SHARE)
        )

    def _read(self, state: State, entry: str) -> None:
        job_id = entry[2:STEM_CHARS]
        if not self._take_end(job_id, state, entry):
            # RACE: it was sent back or purged meanwhile; the next look
            # tells.
            self._expected.pop(job_id, None)
            self._look_at = time.monotonic() + ending.LOOK_S

    def _tell(self, ended: Ending) -> None:
        with self._lock:
            tells = self._waits.pop(ended.job_id, [])
            self._used_at = time.monotonic()
        self._missed.pop(ended.job_id, None)
        for tell in tells:
            with contextlib.suppress(RuntimeError):  # its loop was closed
                tell(ended)


os.register_at_fork(after_in_child=outbox.watchers.clear)
