# SPDX-License-Identifier: MIT
"""The crash-loop breaker."""

import pytest
from spooler.breaker import Breaker


def test_it_opens_after_so_many_deaths_in_a_row() -> None:
    """Not one death earlier, and the pause is told."""
    breaker = Breaker(3)
    assert not breaker.saw("signal", "SIGSEGV", 10.0)
    assert not breaker.saw("lost", "its worker died", 11.0)
    assert not breaker.tripped and breaker.wait_s(11.0) == 0
    assert breaker.saw("start", "no such file", 12.0)
    assert breaker.tripped and breaker.last == "no such file"
    assert breaker.wait_s(12.0) == 5.0 and breaker.wait_s(17.0) == 0


def test_its_pauses_grow_to_a_limit() -> None:
    """Each trial that dies doubles the pause, up to ten minutes."""
    breaker, now, waits = Breaker(1), 0.0, []
    for _ in range(10):
        assert breaker.saw("lost", "", now)
        waits.append(breaker.wait_s(now))
        now += waits[-1]
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0] and waits[-1] == 600.0


def test_deaths_during_a_pause_do_not_lengthen_it() -> None:
    """What was running when it opened may die too."""
    breaker = Breaker(1)
    assert breaker.saw("lost", "", 0.0)
    assert not breaker.saw("lost", "", 1.0)
    assert breaker.wait_s(1.0) == 4.0


@pytest.mark.parametrize("kind", ["ok", "exit", "error", "timeout", "defer"])
def test_a_run_that_ends_by_its_own_word_closes_it(kind: str) -> None:
    """A handler that fails jobs in order is not a crash loop."""
    breaker = Breaker(2)
    breaker.saw("lost", "", 0.0)
    breaker.saw(kind, "", 1.0)
    assert not breaker.saw("lost", "", 2.0)
    assert not breaker.tripped


@pytest.mark.parametrize("kind", ["bad", "expired", "killed"])
def test_what_says_nothing_of_the_handler_changes_nothing(kind: str) -> None:
    """A job that was never run neither opens nor closes it."""
    breaker = Breaker(2)
    breaker.saw("lost", "", 0.0)
    assert not breaker.saw(kind, "", 1.0)
    assert breaker.saw("lost", "", 2.0)


def test_zero_is_never() -> None:
    """Whoever switches it off has it off."""
    breaker = Breaker(0)
    for now in range(1000):
        assert not breaker.saw("lost", "", float(now))
    assert not breaker.tripped and breaker.wait_s(0.0) == 0
