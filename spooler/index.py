# SPDX-License-Identifier: MIT
"""
What the daemon remembers of waiting jobs: a bounded window on the disk.

Pure.  A million waiting files must not be a million Python objects, so a
window keeps the names that come first and knows that there are more; a scan
refills it when it runs low.
"""

import heapq
from collections.abc import Iterable

from spooler import names
from spooler.names import Name

WINDOW_MAX = 50_000
TOTAL_MAX = 100_000
_WINDOW_MIN = 2_000


class Window:
    """
    The smallest keys of a set that may be larger than memory.

    Keys are taken in order.  Beyond the horizon there are keys on disk that
    the window does not hold; a key beyond it is therefore not taken in,
    or it would come out before them.
    """

    def __init__(self, limit: int) -> None:
        """Keep about *limit* keys; nothing comes out before a scan."""
        self.limit = limit
        self._heap: list[str] = []
        self._held: set[str] = set()
        self._staged: list[str] = []
        self._horizon: str | None = ""
        self._scanning = False
        self._cut_at: str | None = None  #: horizon of what is staged
        self._recut = False
        self._beyond = 0  #: keys seen and not held, since a scan ended
        self._passed = 0  #: the same in the scan under way

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def total(self) -> int:
        """About how many there are, beyond the horizon too."""
        return len(self._heap) + self._beyond

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def add(self, key: str) -> None:
        """Take in a key that was seen; a known one is passed over."""
        if key in self._held:
            return
        if self._horizon is None or key < self._horizon:
            self._held.add(key)
            heapq.heappush(self._heap, key)
            over = len(self._heap) - self.limit
            if over > self.limit:
                self._heap, self._horizon = self._cut(self._heap)
                self._beyond += over
                self._passed += over
                self._recut = True
        elif self._scanning and (self._cut_at is None or key < self._cut_at):
            self._held.add(key)
            self._staged.append(key)
            over = len(self._staged) - self.limit
            if over > self.limit:
                self._staged, self._cut_at = self._cut(self._staged)
                self._passed += over
        elif self._scanning:
            self._passed += 1
        else:
            self._beyond += 1

    def add_all(self, keys: list[str]) -> None:
        """Take in many keys; the same as to add each."""
        held, horizon = self._held, self._horizon
        new = [key for key in dict.fromkeys(keys) if key not in held]
        if horizon is None or not self._scanning:
            near, far = new, []
        else:
            near = [key for key in new if key < horizon]
            far = [key for key in new if key >= horizon]
        for key in near:
            self.add(key)
        if self._cut_at is not None:
            cut_at, seen = self._cut_at, len(far)
            far = [key for key in far if key < cut_at]
            self._passed += seen - len(far)
        held.update(far)
        self._staged += far
        over = len(self._staged) - self.limit
        if over > self.limit:
            self._staged, self._cut_at = self._cut(self._staged)
            self._passed += over

    def _cut(self, keys: list[str]) -> tuple[list[str], str]:
        keys.sort()  # a sorted list is a heap
        self._held.difference_update(keys[self.limit:])
        horizon = keys[self.limit]
        del keys[self.limit:]
        return keys, horizon

    @property
    def is_short(self) -> bool:
        """Whether the last scan found more than it can hold."""
        return bool(self._horizon)

    def peek(self) -> str | None:
        """The smallest key; None if there is none."""
        return self._heap[0] if self._heap else None

    def pop(self) -> str:
        """Take the smallest key out; it stays known until forgotten."""
        return heapq.heappop(self._heap)

    def take(self, count: int) -> list[str]:
        """Take out up to *count* of the smallest keys."""
        heap, pop = self._heap, heapq.heappop
        return [pop(heap) for _ in range(min(count, len(heap)))]

    def forget(self, *keys: str) -> None:
        """Keys that were popped are no longer on disk under these names."""
        self._held.difference_update(keys)

    def wants_scan(self) -> bool:
        """Whether it runs low while there is more on disk."""
        return (
            self._horizon is not None
            and not self._scanning
            and len(self._heap) < self.limit // 2
        )

    def begin_scan(self) -> None:
        """Every key on disk is going to be added."""
        self._scanning = True
        # What a scan cut short had found is to be found again.
        self._held.difference_update(self._staged)
        self._staged, self._cut_at, self._recut = [], None, False
        self._passed = 0

    def end_scan(self) -> None:
        """Every key on disk has been added."""
        self._scanning = False
        self._beyond = self._passed
        if self._recut:
            # So much came in below the old horizon that the rest must wait.
            self._beyond += len(self._staged)
            self._held.difference_update(self._staged)
            self._staged = []
            return
        self._heap.extend(self._staged)
        heapq.heapify(self._heap)
        self._staged = []
        self._horizon = self._cut_at


class Lane:
    """
    The waiting jobs of one handler, retries and fresh ones taken in turn.

    Otherwise a pile of retries, which are older, would starve new jobs.
    """

    def __init__(self, handler: str, limit: int) -> None:
        self.handler = handler
        self.fresh = Window(limit)
        self.again = Window(limit)
        self._turn_again = True

    def __len__(self) -> int:
        return len(self.fresh) + len(self.again)

    def add(self, text: str, runs: int) -> None:
        """Take in the job *text* that was claimed *runs* times before."""
        (self.again if runs else self.fresh).add(text)

    def _window(self) -> Window:
        if self._turn_again and self.again:
            return self.again
        return self.fresh if self.fresh else self.again

    def peek(self) -> str | None:
        """
        The first of its jobs, by which lanes are compared.

        The other class may be in turn; were that one told, an old retry of
        low priority would hold up urgent jobs behind those of other lanes.
        """
        return min(filter(None, (
            self.fresh.peek(), self.again.peek()
        )), default=None)

    def take(self, count: int) -> list[str]:
        """Up to *count* jobs, in the order they are to start."""
        if not self.again:
            out = self.fresh.take(count)
            self._turn_again ^= len(out) % 2 == 1
            return out
        out = []
        while len(out) < count and len(self):
            out.append(self._window().pop())
            self._turn_again = not self._turn_again
        return out

    def forget(self, *texts: str) -> None:
        """The jobs left ``incoming/``."""
        self.fresh.forget(*texts)
        self.again.forget(*texts)

    def windows(self) -> tuple[Window, Window]:
        """Both of them."""
        return self.fresh, self.again


class Lanes:
    """The waiting jobs, by handler."""

    def __init__(self, handlers: Iterable[str]) -> None:
        listed = list(handlers)
        limit = min(
            WINDOW_MAX, max(_WINDOW_MIN, TOTAL_MAX // max(1, len(listed)))
        )
        self._limit = limit
        self.by_handler = {name: Lane(name, limit) for name in listed}

    def __len__(self) -> int:
        return sum(map(len, self.by_handler.values()))

    @property
    def total(self) -> int:
        """About how many jobs wait, those not held in memory too."""
        return sum(
            window.total
            for lane in self.by_handler.values()
            for window in lane.windows()
        )

    def next_since_ns(self) -> int | None:
        """Since when the longest waiting of the jobs that come next waits."""
        return min((
            names.submitted_ns(text[2:names.STEM_CHARS])
            for lane in self.by_handler.values()
            for window in lane.windows()
            if (text := window.peek()) is not None
        ), default=None)

    def add(self, text: str, name: Name, handler: str) -> None:
        """Take in a waiting job of a configured handler."""
        self.by_handler[handler].add(text, name.runs)

    def _share_out(self) -> None:
        """Let those that cannot hold all share what the others leave."""
        windows = [
            window for lane in self.by_handler.values()
            for window in lane.windows()
        ]
        short = sum(window.is_short for window in windows)
        ample = min(WINDOW_MAX, TOTAL_MAX // max(1, short))
        for window in windows:
            window.limit = self._limit
            if window.is_short:
                window.limit = max(self._limit, ample)

    def wants_scan(self) -> bool:
        """Whether a window runs low while there is more on disk."""
        return any(
            window.wants_scan()
            for lane in self.by_handler.values()
            for window in lane.windows()
        )

    def begin_scan(self) -> None:
        """Every waiting job is going to be added."""
        for lane in self.by_handler.values():
            for window in lane.windows():
                window.begin_scan()

    def end_scan(self) -> None:
        """Every waiting job has been added."""
        for lane in self.by_handler.values():
            for window in lane.windows():
                window.end_scan()
        self._share_out()


class Timetable:
    """The deferred jobs, by due time."""

    def __init__(self, limit: int = WINDOW_MAX) -> None:
        self._window = Window(limit)

    def __len__(self) -> int:
        return len(self._window)

    @property
    def total(self) -> int:
        """About how many jobs are deferred."""
        return self._window.total

    def take_all(self) -> list[tuple[str, int]]:
        """Take every job out, with its due time in ns."""
        out = []
        while self._window:
            due_ns = self.next_due_ns()
            assert due_ns is not None
            out.append((self.pop(), due_ns))
        return out

    def add(self, text: str, due_ns: int) -> None:
        """Take in the deferred job *text*."""
        self._window.add(names.b32(due_ns, names.TIME_CHARS) + text)

    def next_due_ns(self) -> int | None:
        """Wall clock at which the next job is due."""
        key = self._window.peek()
        return None if key is None else names.unb32(key[:names.TIME_CHARS])

    def peek(self) -> str:
        """The job that is due next; there is one."""
        key = self._window.peek()
        assert key is not None
        return key[names.TIME_CHARS:]

    def pop(self) -> str:
        """Take out the job that is due next."""
        key = self._window.pop()
        self._window.forget(key)
        return key[names.TIME_CHARS:]

    def wants_scan(self) -> bool:
        """Whether it runs low while there is more on disk."""
        return self._window.wants_scan()

    def begin_scan(self) -> None:
        """Every deferred job is going to be added."""
        self._window.begin_scan()

    def end_scan(self) -> None:
        """Every deferred job has been added."""
        self._window.end_scan()
