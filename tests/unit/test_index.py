# SPDX-License-Identifier: MIT
"""
The daemon's bounded memory of waiting jobs, against a simple model.

The model is the disk: a set of keys.  An arrival is told (an event) or not
(a lost event); a scan tells every key, in any order, while more arrive.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spooler import index, names
from spooler.index import Lane, Lanes, Timetable, Window
from spooler.names import Name

thorough = settings(max_examples=60)
seeds = st.integers(0, 2**32)
limits = st.integers(2, 6)
#: What happens, in order.  One kind may stand several times: it is likelier.
steps = st.lists(
    st.sampled_from(
        ("told", "told", "burst", "lost", "take", "take", "back", "scan")
    ),
    max_size=40,
)


class Disk:
    """A window, and the directory it is a window on."""

    def __init__(self, limit: int, seed: int, events: bool) -> None:
        """*events*: whether an arrival is always told."""
        self.window = Window(limit)
        self.limit = limit
        self.dice = random.Random(seed)
        self.events = events
        self.waiting: set[str] = set()
        self.taken: list[str] = []
        self.gone: list[str] = []
        self.peak = 0
        self.keys = [f"{number:04}" for number in range(400)]
        self.dice.shuffle(self.keys)

    def arrive(self, told: bool) -> None:
        """Let a job arrive."""
        if self.keys:
            key = self.keys.pop()
            self.waiting.add(key)
            if told or self.events:
                self.window.add(key)
                if self.dice.random() < 0.2:
                    self.window.add(key)  # events may come twice

    def scan(self, arrivals: int = 0) -> None:
        """Scan the directory while jobs arrive and are taken."""
        # It is given more or less room by what the others need.
        self.window.limit = self.dice.randrange(2, self.limit + 1)
        self.window.begin_scan()
        found = sorted(self.waiting | set(self.taken))
        self.dice.shuffle(found)
        size = self.dice.randrange(4 * self.limit)  # 0: one by one
        chunk: list[str] = []
        for key in found:
            if arrivals and self.dice.random() < 0.2:
                arrivals -= 1
                self.arrive(self.dice.random() < 0.5)
            if key in self.waiting or key in self.taken:
                if size:
                    chunk.append(key)
                else:
                    self.window.add(key)
            if chunk and len(chunk) >= size:
                # A directory that changes may tell a name twice.
                self.window.add_all(chunk + chunk[:self.dice.randrange(2)])
                chunk = []
            self.measure()
        self.window.add_all(chunk)
        self.window.end_scan()
        self.measure()

    def take(self) -> str | None:
        """Take the next job; None if the window has none."""
        if self.window.peek() is None:
            return None
        key = self.window.pop()
        assert key in self.waiting, "taken twice, or never there"
        self.waiting.remove(key)
        self.taken.append(key)
        return key

    def finish(self) -> None:
        """Let a taken job leave the directory."""
        if self.taken:
            key = self.taken.pop(self.dice.randrange(len(self.taken)))
            self.window.forget(key)
            self.gone.append(key)

    def back(self) -> None:
        """Put back a taken job."""
        if self.taken:
            key = self.taken.pop(self.dice.randrange(len(self.taken)))
            self.waiting.add(key)
            # Not taken up after all: told anew, as any other.
            self.window.forget(key)
            self.window.add(key)

    def step(self, what: str) -> None:
        """Do one of the steps."""
        if what == "scan":
            self.scan(self.dice.randrange(4))
        elif what == "take":
            self.take()
            if self.dice.random() < 0.7:
                self.finish()
        elif what == "back":
            self.back()
        elif what == "burst":
            for _ in range(self.dice.randrange(2, 9)):
                self.arrive(told=True)
        else:
            self.arrive(what == "told")
        self.measure()

    def known(self) -> int:
        """How many waiting keys the window remembers."""
        return sum(key in self.window for key in self.waiting)

    def measure(self) -> None:
        """Note the most it ever remembered."""
        self.peak = max(self.peak, self.known())

    def drain(self) -> list[str]:
        """Take everything, scanning as the daemon would."""
        out: list[str] = []
        while self.waiting:
            if self.window.wants_scan() or self.window.peek() is None:
                self.scan()
            key = self.take()
            assert key is not None, "a scan did not bring what is there"
            out.append(key)
        return out


@thorough
@given(limits, seeds, steps)
def test_nothing_is_lost_after_a_scan(
    limit: int, seed: int, todo: list[str]
) -> None:
    """Whatever events were lost, scans bring every job out, once."""
    disk = Disk(limit, seed, events=False)
    for what in todo:
        disk.step(what)
    left = sorted(disk.waiting)
    disk.scan()
    assert sorted(disk.drain()) == left


@thorough
@given(limits, seeds, st.integers(0, 60))
def test_a_backlog_comes_out_in_order(
    limit: int, seed: int, count: int
) -> None:
    """A backlog beyond memory comes out sorted, however it is scanned."""
    disk = Disk(limit, seed, events=False)
    for _ in range(count):
        disk.arrive(told=False)
    want = sorted(disk.waiting)
    assert disk.drain() == want


@thorough
@given(limits, seeds, st.integers(0, 20), steps)
def test_the_next_is_the_first_on_disk(
    limit: int, seed: int, backlog: int, todo: list[str]
) -> None:
    """While no event is lost, no job comes out before an earlier one."""
    disk = Disk(limit, seed, events=True)
    for _ in range(backlog):
        disk.arrive(told=False)
    disk.scan()
    for what in todo:
        disk.step(what)
        first = disk.window.peek()
        if first is not None:
            assert first == min(disk.waiting)
        elif disk.waiting:
            assert disk.window.wants_scan()


@thorough
@given(limits, seeds, steps)
def test_a_scan_brings_the_first(
    limit: int, seed: int, todo: list[str]
) -> None:
    """After a scan the next job is the first there is, lost events or no."""
    disk = Disk(limit, seed, events=False)
    for what in todo:
        disk.step(what)
    disk.scan()
    assert disk.window.peek() == min(disk.waiting, default=None)


@thorough
@given(limits, seeds, steps)
def test_memory_is_bounded(limit: int, seed: int, todo: list[str]) -> None:
    """A window never remembers more than a few times its limit."""
    disk = Disk(limit, seed, events=False)
    for what in todo:
        disk.step(what)
    backs = todo.count("back")
    assert disk.peak <= 4 * limit + 2 + backs


def test_memory_is_bounded_for_a_large_backlog() -> None:
    """Of many thousand waiting jobs the first few are remembered."""
    window, dice = Window(100), random.Random(1)
    found = [f"{number:05}" for number in range(20_000)]
    dice.shuffle(found)
    peak = 0
    window.begin_scan()
    for at, key in enumerate(found):
        window.add(key)
        if at % 1000 == 0:
            peak = max(peak, sum(known in window for known in found))
    window.end_scan()
    assert max(peak, len(window)) <= 400
    assert [window.pop() for _ in range(100)] == sorted(found)[:100]


def test_nothing_comes_out_before_the_first_scan() -> None:
    """What a scan would show to be earlier is not known yet: it waits."""
    window = Window(10)
    window.add("a")
    assert window.peek() is None and len(window) == 0
    assert window.wants_scan()
    window.begin_scan()
    assert not window.wants_scan()
    window.add("b")
    window.end_scan()
    assert window.pop() == "b"


def test_an_idle_window_wants_no_scan() -> None:
    """Empty is not low: with nothing on disk there is nothing to scan for."""
    window = Window(10)
    window.begin_scan()
    window.end_scan()
    assert not window.wants_scan()
    window.add("a")
    assert window.pop() == "a"
    assert not window.wants_scan()


def test_a_taken_key_is_not_taken_in_again() -> None:
    """A scan that still sees a job being worked at does not double it."""
    window = Window(10)
    window.begin_scan()
    window.add("a")
    window.end_scan()
    assert window.pop() == "a"
    for _ in range(2):
        window.begin_scan()
        window.add("a")
        window.end_scan()
        window.add("a")
        assert len(window) == 0 and "a" in window
    window.forget("a")
    window.add("a")
    assert window.pop() == "a"


def test_forgetting_the_unknown_is_harmless() -> None:
    """A job that left before it was ever known is no error."""
    window = Window(10)
    window.forget("a")
    assert "a" not in window


counts = st.integers(0, 25)


def numbered(count: int, seed: int) -> list[str]:
    """Some keys of jobs, each once, in no order."""
    return [
        f"{number:03}" for number in random.Random(seed).sample(
            range(1000), count
        )
    ]


def scanned(lane: Lane, fresh: list[str], again: list[str]) -> None:
    """Let a lane know its jobs."""
    for window in lane.windows():
        window.begin_scan()
    for key in fresh:
        lane.add("f" + key, 0)
    for key in again:
        lane.add("a" + key, 1)
    for window in lane.windows():
        window.end_scan()


@given(counts, counts, seeds)
def test_retries_and_fresh_jobs_take_turns(
    new: int, old: int, seed: int
) -> None:
    """While there are both, every second job is a retry, each in order."""
    lane, dice = Lane("h", 100), random.Random(seed)
    fresh, again = numbered(new, seed), numbered(old, seed + 1)
    scanned(lane, fresh, again)
    out: list[str] = []
    while len(lane):
        first = lane.peek()
        taken = lane.take(dice.randint(1, 10))
        assert taken and first is not None and first <= min(taken)
        out += taken
    assert lane.peek() is None and lane.take(5) == []
    kinds = [key[0] for key in out][:2 * min(new, old)]
    assert kinds.count("a") == kinds.count("f")
    assert all(one != other for one, other in zip(kinds, kinds[1:]))
    assert [key[1:] for key in out if key[0] == "f"] == sorted(fresh)
    assert [key[1:] for key in out if key[0] == "a"] == sorted(again)


def test_a_retry_in_turn_hides_no_urgent_job() -> None:
    """Lanes are compared by their first jobs, whosever turn it is."""
    lane = Lane("h", 10)
    scanned(lane, [], [])
    lane.add("9.retry", 1)
    lane.add("0.fresh", 0)
    assert lane.peek() == "0.fresh"
    assert lane.take(2) == ["9.retry", "0.fresh"]


def test_a_new_job_is_not_starved_by_retries() -> None:
    """Behind a thousand older retries a fresh job is at most second."""
    lane = Lane("h", 2000)
    scanned(lane, ["9999"], [f"{number:04}" for number in range(1000)])
    assert "f9999" in lane.take(2)


@given(counts, counts, counts, seeds)
def test_a_job_put_back_comes_again(
    new: int, old: int, count: int, seed: int
) -> None:
    """Jobs handed out in vain come out again, none lost, none doubled."""
    lane = Lane("h", 100)
    scanned(lane, numbered(new, seed), numbered(old, seed + 1))
    before = len(lane)
    for key in lane.take(count):
        lane.forget(key)
        lane.add(key, key.startswith("a"))
    assert len(lane) == before
    out = lane.take(1000)
    assert len(out) == len(set(out)) == before


def test_a_lane_forgets_what_left() -> None:
    """A job that left and came back under its name is taken in again."""
    lane = Lane("h", 10)
    scanned(lane, ["1"], ["1"])
    assert sorted(lane.take(2)) == ["a1", "f1"]
    lane.add("f1", 0)
    assert len(lane) == 0
    lane.forget("f1")
    lane.forget("a1")
    lane.add("f1", 0)
    lane.add("a1", 3)
    assert len(lane) == 2


def test_lanes_keep_handlers_apart() -> None:
    """A waiting job goes to the lane of its handler."""
    lanes = Lanes(["a", "b"])
    assert lanes.wants_scan()
    lanes.begin_scan()
    for number, handler in enumerate("abb"):
        name = Name(5, names.mint_id(number, 0), f"{handler}.job", runs=number)
        lanes.add(str(name), name, handler)
    lanes.end_scan()
    assert not lanes.wants_scan()
    assert len(lanes) == 3
    assert {key: len(lane) for key, lane in lanes.by_handler.items()} == {
        "a": 1, "b": 2
    }
    assert len(lanes.by_handler["b"].again) == 2


def test_lanes_without_handlers() -> None:
    """A configuration without handlers waits for nothing."""
    lanes = Lanes([])
    lanes.begin_scan()
    lanes.end_scan()
    assert len(lanes) == 0 and not lanes.wants_scan()


@pytest.mark.parametrize("count", [1, 2, 10, 50])
@pytest.mark.parametrize("busy", [0, 1, 9, 50])
def test_many_handlers_share_the_memory(
    monkeypatch: pytest.MonkeyPatch, count: int, busy: int
) -> None:
    """All windows together hold a few hundred thousand names at most, and
    those that cannot hold all have the room that the others do not need."""
    for name in ("WINDOW_MAX", "TOTAL_MAX", "_WINDOW_MIN"):
        monkeypatch.setattr(index, name, getattr(index, name) // 100)
    lanes = Lanes(map(str, range(count)))
    for _ in range(2):
        lanes.begin_scan()
        for name in list(lanes.by_handler)[:busy]:
            keys = [f"{number:05}" for number in range(3000)]
            lanes.by_handler[name].fresh.add_all(keys)
        lanes.end_scan()
    windows = [
        window for lane in lanes.by_handler.values()
        for window in lane.windows()
    ]
    limit = sum(window.limit for window in windows)
    assert limit <= 3 * max(index.WINDOW_MAX, index.TOTAL_MAX)
    assert sum(map(len, windows)) <= 2 * index.TOTAL_MAX
    if busy == 1:
        assert len(lanes.by_handler["0"].fresh) >= index.WINDOW_MAX


moments = st.integers(0, 20) | st.integers(0, 2**65 - 1)


@given(st.lists(moments, max_size=30), seeds)
def test_the_timetable_is_in_order(moments: list[int], seed: int) -> None:
    """Deferred jobs come out by due time, however they were found."""
    table = Timetable(limit=3)
    left = {f"job {number}": due for number, due in enumerate(moments)}
    dice, out = random.Random(seed), []
    while left:
        if table.wants_scan() or not len(table):
            found = list(left)
            dice.shuffle(found)
            table.begin_scan()
            for text in found:
                table.add(text, left[text])
            table.end_scan()
        due, text = table.next_due_ns(), table.peek()
        assert table.pop() == text
        assert due == left.pop(text)
        out.append(due)
    assert out == sorted(moments)
    assert table.next_due_ns() is None and len(table) == 0


def test_a_job_deferred_again_is_taken_in_again() -> None:
    """A name that was popped is known no more."""
    table = Timetable()
    table.begin_scan()
    table.end_scan()
    for _ in range(3):
        table.add("job", 5)
        assert (table.next_due_ns(), table.pop()) == (5, "job")
