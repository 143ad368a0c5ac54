# SPDX-License-Identifier: MIT
"""
Hear of files that arrive in a directory: the home of watchdog.

Events are hints; scans are facts.  Only arrivals are asked for: watchdog
holds back departures for half a second to pair them with arrivals, and
everything behind them waits, so a spool that asked for them would see each
job 300 ms late.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

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
_LEAVES = Mask(_MASK | InotifyConstants.IN_DELETE)
_GONE = Mask(
    InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_UNMOUNT
)
#: More arrivals than this between two looks are left to a scan.
PENDING_MAX = 200_000


class _Bell:
    """A pipe that is readable while there is something to take."""

    def __init__(self) -> None:
        self.wake_fd, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._rung = False
        self._lost = False
        self._gone = False
        self._closed = False
        self._inotify = InotifyFD()

    def _begin(self, watched: Mapping[int, "_Ear"], mask: Mask) -> None:
        try:
            for dir_fd, ear in watched.items():
                wd = self._inotify.add_callback(
                    f"/proc/self/fd/{dir_fd}".encode(), mask, ear,
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

    def hush(self) -> None:
        """Take note that all that was rung for is taken."""
        try:
            os.read(self.wake_fd, 4096)
        except BlockingIOError:
            pass
        # RACE: what is put in after this line rings again; what was put in
        # before is in the queue already.
        self._rung = False

    def ring(self, lost: bool = False, gone: bool = False) -> None:
        """Something is there to be taken; called in watchdog's thread."""
        self._lost |= lost
        self._gone |= gone
        if not self._rung and not self._closed:
            self._rung = True
            try:
                os.write(self._wake_w, b"!")
            except BlockingIOError:
                pass  # full: it is ringing

    def take_lost(self) -> bool:
        """Whether arrivals were lost since the last call: scan."""
        lost, self._lost = self._lost, False
        return lost

    @property
    def gone(self) -> bool:
        """Whether a directory or the watcher itself is no more."""
        return self._gone or not self._inotify.is_alive()

    @property
    def is_here(self) -> bool:
        """Whether the calling thread is watchdog's."""
        return threading.current_thread() is self._inotify

    def close(self) -> None:
        """Stop watching; not in watchdog's thread."""
        self._closed = True
        self._inotify.stop()
        self._inotify.join(5)
        self._close_pipe()

    def _close_pipe(self) -> None:
        os.close(self.wake_fd)
        os.close(self._wake_w)


Overhear = Callable[[int, bool, str], bool]


class _Ear:
    """Takes what watchdog tells of one directory, in its thread."""

    def __init__(
        self, bell: _Bell, heard: "deque[tuple[int, bool, str]]", key: int,
        overhear: Overhear | None = None,
    ) -> None:
        self._bell = bell
        self._heard = heard
        self._key = key
        self._overhear = overhear

    def on_event(self, event: InotifyEvent) -> None:
        """Take note of one arrival or departure."""
        if event.mask & _GONE:
            self._bell.ring(gone=True)
            return
        if event.mask & InotifyConstants.IN_ISDIR:
            return  # never a job; the next scan reports it
        left = bool(event.mask & InotifyConstants.IN_DELETE)
        name = os.fsdecode(event.name)
        if self._overhear is not None and self._overhear(
            self._key, left, name
        ):
            return
        if len(self._heard) >= PENDING_MAX:
            self._bell.ring(lost=True)
        else:
            self._heard.append((self._key, left, name))
            self._bell.ring()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The directory was removed or unmounted."""
        self._bell.ring(gone=True)

    def on_queue_overflow(self) -> None:
        """The kernel dropped events."""
        self._bell.ring(lost=True)


class Watch(_Bell):
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
        super().__init__()
        self._heard: deque[tuple[int, bool, str]] = deque()
        self._begin({dir_fd: _Ear(self, self._heard, 0)}, _MASK)

    def take(self) -> list[str]:
        """The names that arrived since the last call; never directories."""
        self.hush()
        out = []
        while self._heard:
            out.append(self._heard.popleft()[2])
        return out


class Moves(_Bell):
    """
    Arrivals and removals in several directories, in their order.

    Attributes:
        wake_fd: readable when there is something to take.
    """

    def __init__(
        self, dir_fds: Sequence[int], overhear: Overhear | None = None
    ) -> None:
        """
        Begin to watch; raises as Watch does.

        Args:
            overhear: called in watchdog's thread with each of what take
                gives; it is not given by take if that returns True.  It
                raises nothing.
        """
        super().__init__()
        self._heard: deque[tuple[int, bool, str]] = deque()
        self._begin({
            dir_fd: _Ear(self, self._heard, number, overhear)
            for number, dir_fd in enumerate(dir_fds)
        }, _LEAVES)

    def take(self) -> list[tuple[int, bool, str]]:
        """
        What moved since the last call.

        Returns:
            The number of the directory, whether it was removed there rather
            than arrived, and the name.
        """
        self.hush()
        out = []
        while self._heard:
            out.append(self._heard.popleft())
        return out
