# SPDX-License-Identifier: MIT
"""The states and the legal moves, as data."""

import pytest
from spooler import states
from spooler.spool import DIRECTORIES, Spool
from spooler.states import FLOW, MOVES, PRECEDENCE, State

WITH_DIRECTORY = set(State) - {State.GONE}


def reachable(start: State) -> set[State]:
    """Every state some moves lead to from *start*."""
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for source, _, target, _ in MOVES:
            if source is here and target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def test_every_state_can_be_reached() -> None:
    """A job that is being written can come into every state."""
    assert reachable(State.TMP) == set(State)


@pytest.mark.parametrize("state", sorted(WITH_DIRECTORY, key=str))
def test_no_state_is_a_trap(state: State) -> None:
    """From every state a job can still be done, and be got rid of."""
    assert {State.DONE, State.GONE} <= reachable(state)


def test_nothing_leaves_gone() -> None:
    """A removed job does not come back, and nothing returns to tmp."""
    assert not [row for row in MOVES if row[0] is State.GONE]
    assert not [row for row in MOVES if row[2] is State.TMP]


def test_only_a_claim_leads_to_active() -> None:
    """One event alone makes a job somebody's, so that one rename decides."""
    into = [row for row in MOVES if row[2] is State.ACTIVE is not row[0]]
    assert [row[1] for row in into] == ["claim"]


def test_a_verdict_starts_in_active() -> None:
    """Only a claimed job gets a verdict."""
    finals = [row for row in MOVES if row[2] in (State.DONE, State.FAILED)]
    assert {row[0] for row in finals} == {State.ACTIVE}


def test_rows_are_unambiguous() -> None:
    """One event from one state leads to one state."""
    starts = [(source, event) for source, event, _, _ in MOVES]
    assert len(starts) == len(set(starts))


def test_actors_are_known() -> None:
    """Every move is made by one of the four actors."""
    actors = {states.SPOOLD, states.WORKER, states.PRODUCER, states.SPOOLCTL}
    assert {row[3] for row in MOVES} == actors


@pytest.mark.parametrize("event", sorted({row[1] for row in MOVES}))
def test_sources(event: str) -> None:
    """The states an event starts from are those of the table."""
    rows = tuple(row[0] for row in MOVES if row[1] == event)
    assert states.sources(event) == rows and rows


def test_sources_of_an_unknown_event() -> None:
    """An unknown event starts nowhere."""
    assert states.sources("fly") == ()


def test_flow_is_the_order_of_the_moves() -> None:
    """A listing in flow order sees a job that moves forward."""
    forward = {"delay", "claim", "finish", "defer", "fail"}
    assert set(FLOW) == WITH_DIRECTORY - {State.TMP}
    assert len(FLOW) == len(set(FLOW))
    for source, event, target, _ in MOVES:
        if event in forward and (source, event) != (State.ACTIVE, "defer"):
            assert FLOW.index(source) < FLOW.index(target), event


def test_precedence_names_every_state_once() -> None:
    """Of two places of one job the later one is true."""
    assert set(PRECEDENCE) == WITH_DIRECTORY
    assert len(PRECEDENCE) == len(set(PRECEDENCE))
    order = [State.DONE, State.FAILED, State.ACTIVE, State.DEFERRED,
             State.INCOMING, State.TMP]
    assert [state for state in PRECEDENCE if state in order] == order


def test_every_state_has_its_directory() -> None:
    """A spool has a directory for every state, named after it."""
    assert {state.value for state in WITH_DIRECTORY} < set(DIRECTORIES)


def test_words() -> None:
    """A person reads the directory's name, but held for hold."""
    assert State.HELD.word == "held"
    others = set(State) - {State.HELD}
    assert all(state.word == state.value for state in others)


@pytest.mark.parametrize(
    "event", sorted({row[1] for row in MOVES} - {"submit"})
)
def test_every_event_is_a_method(event: str) -> None:
    """Every move but the producer's is a method of Spool of its name."""
    assert callable(getattr(Spool, event))
