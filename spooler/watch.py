# SPDX-License-Identifier: MIT
"""
Hear of files that arrive in a directory: the home of watchdog.

Events are hints; scans are facts.  Only arrivals are asked for: watchdog
holds back departures for half a second to pair them with arrivals, and
everything behind them waits, so a spool that asked for them would see each
job 300 ms late.
"""

import os
from collections import deque

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

_MASK = Mask(
    InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
_GONE = Mask(
    InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_UNMOUNT
)
#: More arrivals than this between two looks are left to a scan.
PENDING_MAX = 200_000


class Watch:
    """
    Arrivals in one directory.

    Attributes:
        wake_fd: readable when there is something to take.
    """

    def __init__(self, dir_fd: int) -> None:
        """
        Begin to watch; what arrives from now on is not missed.

        Raises:
            OSError: watching is not possible (limit reached, or the file
                system has no events): scan on a timer instead.
        """
        self.wake_fd, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._names: deque[str] = deque()
        self._rung = False
        self._lost = False
        self._gone = False
        self._closed = False
        self._inotify = InotifyFD()
        try:
            wd = self._inotify.add_callback(
                f"/proc/self/fd/{dir_fd}".encode(), _MASK, self,
                CallbackId(1),
            )
            if wd == -1:  # watchdog says nothing of EACCES
                raise PermissionError("inotify: permission denied")
        except OSError:
            self._inotify.close()
            self._close_pipe()
            raise
        self._inotify.daemon = True
        self._inotify.start()

    def take(self) -> list[str]:
        """The names that arrived since the last call; never directories."""
        try:
            os.read(self.wake_fd, 4096)
        except BlockingIOError:
            pass
        # RACE: a name put in after this line rings again; one put in before
        # is in the queue already.
        self._rung = False
        out = []
        while self._names:
            out.append(self._names.popleft())
        return out

    def take_lost(self) -> bool:
        """Whether arrivals were lost since the last call: scan."""
        lost, self._lost = self._lost, False
        return lost

    @property
    def gone(self) -> bool:
        """Whether the directory or the watcher itself is no more."""
        return self._gone or not self._inotify.is_alive()

    def close(self) -> None:
        """Stop watching."""
        self._closed = True
        self._inotify.stop()
        self._inotify.join(5)
        self._close_pipe()

    def _close_pipe(self) -> None:
        os.close(self.wake_fd)
        os.close(self._wake_w)

    def _ring(self) -> None:
        if not self._rung and not self._closed:
            self._rung = True
            try:
                os.write(self._wake_w, b"!")
            except BlockingIOError:
                pass  # full: it is ringing

    # Called by watchdog, in its thread.

    def on_event(self, event: InotifyEvent) -> None:
        """Take note of one arrival."""
        if event.mask & _GONE:
            self._gone = True
        elif event.mask & InotifyConstants.IN_ISDIR:
            return  # never a job; the next scan reports it
        elif len(self._names) >= PENDING_MAX:
            self._lost = True
        else:
            self._names.append(os.fsdecode(event.name))
        self._ring()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The directory was removed or unmounted."""
        self._gone = True
        self._ring()

    def on_queue_overflow(self) -> None:
        """The kernel dropped events."""
        self._lost = True
        self._ring()
