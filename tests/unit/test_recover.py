# SPDX-License-Identifier: MIT
"""What a crash left behind is put right, and nothing else is touched."""

import itertools
import os
import pathlib
from collections.abc import Iterator

import pytest
from spooler import layout, names, recover
from spooler.config import Config, Handler
from spooler.spool import Spool
from spooler.states import PRECEDENCE, State

NOW_NS = 1_795_316_400 * 10**9
OWNER = "0000a01"
CLAIM = OWNER + "0" * names.TOKEN_CHARS
#: Nothing is under a name in tmp/ alone that anybody was promised.
STATES = tuple(state for state in PRECEDENCE if state is not State.TMP)


@pytest.fixture
def spool(tmp_path: pathlib.Path) -> Iterator[Spool]:
    """A spool that nobody serves."""
    layout.create(str(tmp_path / "q"))
    with Spool(str(tmp_path / "q")) as opened:
        yield opened


def name_in(state: State, job_id: str) -> str:
    """A name that fits the state."""
    due = names.b32(NOW_NS // 1000, names.DUE_CHARS)
    return {
        State.INCOMING: f"4.{job_id},x.job",
        State.HELD: f"4.{job_id},x.job",
        State.DEFERRED: f"4.{job_id}.a1.d{due}.vlost,x.job",
        State.ACTIVE: f"4.{job_id}.a1.c{CLAIM},x.job",
        State.DONE: f"4.{job_id}.a1.vok.r1,x.job",
        State.FAILED: f"4.{job_id}.a1.vlost.r1,x.job",
    }[state]


def put(spool: Spool, state: State, name: str, text: str = "") -> str:
    """Lay a job into a directory; returns its path."""
    path = os.path.join(spool.path, state.value, name)
    pathlib.Path(path).write_text(text)
    return path


@pytest.mark.parametrize(
    "first, second", list(itertools.combinations(STATES, 2))
)
def test_one_inode_under_two_names_is_one_job(
    spool: Spool, first: State, second: State
) -> None:
    """It keeps the name that is farthest on its way."""
    job_id = names.mint_id(NOW_NS, 7)
    kept = put(spool, first, name_in(first, job_id), "the job")
    other = os.path.join(spool.path, second.value, name_in(second, job_id))
    os.link(kept, other)
    assert recover.merge(spool) == 1
    assert os.path.exists(kept) and not os.path.exists(other)
    assert recover.merge(spool) == 0


def test_two_jobs_of_one_id_are_two_jobs(spool: Spool) -> None:
    """A producer may copy a name; neither job is anybody's duplicate."""
    job_id = names.mint_id(NOW_NS, 7)
    paths = [
        put(spool, state, name_in(state, job_id), state.value)
        for state in STATES
    ]
    assert recover.merge(spool) == 0
    assert all(map(os.path.exists, paths))


def test_one_inode_of_two_ids_is_two_jobs(spool: Spool) -> None:
    """Whoever drops one file twice by link wants it run twice."""
    first = put(spool, State.INCOMING, f"4.{names.mint_id(1, 1)},x.job")
    second = first.replace(names.mint_id(1, 1), names.mint_id(2, 2))
    os.link(first, second)
    assert recover.merge(spool) == 0
    assert os.path.exists(first) and os.path.exists(second)


@pytest.mark.parametrize("runs, state", [
    (1, State.INCOMING), (2, State.INCOMING), (3, State.FAILED),
])
def test_an_interrupted_run_counts(
    spool: Spool, runs: int, state: State
) -> None:
    """It is tried again while attempts are left, and then given up."""
    config = Config(handlers={"x": Handler("x", ("true",), attempts=3)})
    job_id = names.mint_id(NOW_NS, 7)
    active = f"4.{job_id}.a{runs}.c{CLAIM},x.job"
    put(spool, State.ACTIVE, active, "Handler: x\n\n")
    moved = list(recover.recover_all(spool, config, lambda owner: True))
    assert [found for found, _ in moved] == [state]
    parsed = names.parse(moved[0][1])
    assert parsed is not None and parsed.runs == runs
    assert not list(spool.scan(State.ACTIVE))


def test_the_living_keep_their_jobs(spool: Spool) -> None:
    """Only what a dead owner claimed is taken back."""
    job_id = names.mint_id(NOW_NS, 7)
    path = put(spool, State.ACTIVE, f"4.{job_id}.a1.c{CLAIM},x.job")
    asked: list[str] = []

    def is_dead(owner: str) -> bool:
        asked.append(owner)
        return False

    assert not list(recover.recover_all(spool, Config(), is_dead))
    assert os.path.exists(path) and set(asked) == {CLAIM[:names.OWNER_CHARS]}


def test_output_kept_by_a_dead_runner_goes(spool: Spool) -> None:
    """Empty output files that a dead command runner kept for later runs are
    removed; those of others, and what belongs to a job, are not."""
    stays = ["0000102-1.out", "0000102.err", f"{OWNER}.out",
             f"4.{names.mint_id(NOW_NS, 1)}.out"]
    for entry in (*stays, f"{OWNER}-1.out", f"{OWNER}-12.err"):
        put(spool, State.ACTIVE, entry)
    recover.tidy_captures(spool, OWNER)
    assert sorted(os.listdir(spool.fds[State.ACTIVE])) == sorted(stays)
