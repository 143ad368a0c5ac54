# SPDX-License-Identifier: MIT
"""What systemd is told, and how often."""

from collections.abc import Iterator

import pytest
from spooler import notify
from spooler.notify import Notifier
from support import NotifySocket, wait_until


@pytest.fixture
def systemd() -> Iterator[NotifySocket]:
    """Listen as systemd does."""
    sock = NotifySocket()
    yield sock
    sock.close()


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Read it."""
        return self.now

    def monotonic_ns(self) -> int:
        """Read it in ns."""
        return int(self.now * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the notifier a clock of ours."""
    clock = Clock()
    monkeypatch.setattr(notify, "time", clock)
    return clock


def heard(systemd: NotifySocket, notifier: Notifier) -> list[str]:
    """What was told so far."""
    notifier.send("X")
    wait_until(lambda: systemd.lines[-1:] == ["X"])
    lines = systemd.lines[:-1]
    systemd.lines.clear()
    return lines


def start(systemd: NotifySocket, **more: str) -> Notifier:
    """A notifier as under systemd."""
    return Notifier({"NOTIFY_SOCKET": f"@{systemd.name}", **more})


def test_signs_of_life_come_in_time(
    systemd: NotifySocket, clock: Clock
) -> None:
    """However its turns fall, a loop that turns is never late."""
    notifier = start(systemd, WATCHDOG_USEC="4000000")
    assert notifier.watchdog_s == 2.0 and notifier.wait_s() == 2.0
    last = clock.now
    for step in (0.0, 0.9, 2.0, 0.1, 0.99, 2.0, 1.0, 2.0):
        clock.now += step
        notifier.alive()
        if "WATCHDOG=1" in heard(systemd, notifier):
            assert clock.now - last < 4.0
            last = clock.now
    assert clock.now - last < 4.0


def test_many_turns_are_few_signs_of_life(
    systemd: NotifySocket, clock: Clock
) -> None:
    """A loop that turns fast does not flood systemd."""
    notifier = start(systemd, WATCHDOG_USEC="4000000")
    for _ in range(1000):
        notifier.alive()
        clock.now += 0.001
    assert heard(systemd, notifier) == ["WATCHDOG=1"]


def test_no_signs_of_life_unasked(systemd: NotifySocket) -> None:
    """Without a watchdog, or with that of another process, none come."""
    for more in ({}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}):
        notifier = start(systemd, **more)
        notifier.alive()
        assert notifier.wait_s() is None
        assert heard(systemd, notifier) == []


def test_the_last_status_is_told(
    systemd: NotifySocket, clock: Clock
) -> None:
    """Once a second at most, but what is true in the end is told."""
    notifier = start(systemd)
    notifier.status("a")
    assert notifier.wait_s() is None
    notifier.status("b")
    assert notifier.wait_s() == pytest.approx(1.0)
    assert heard(systemd, notifier) == ["STATUS=a"]
    clock.now += notifier.wait_s() or 0
    notifier.status("b")
    assert heard(systemd, notifier) == ["STATUS=b"]
    assert notifier.wait_s() is None


def test_a_stop_asks_for_time_at_once(
    systemd: NotifySocket, clock: Clock
) -> None:
    """Also if time was asked for just before; then now and again."""
    notifier = start(systemd)
    notifier.extend()
    heard(systemd, notifier)
    notifier.stopping()
    told = heard(systemd, notifier)
    assert told == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=20000000"]
    for _ in range(100):
        clock.now += 0.2
        notifier.extend()
    assert 8 <= len(heard(systemd, notifier)) <= 12
