# SPDX-License-Identifier: MIT
"""Files that change places, or contents, while spoold takes them."""

import collections
import functools
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hostile import judge
from hostile.racers import EVIL, Racer, race
from hostile.sentinel import Sentinel
from hostile.stage import Stage, serving, stage
from support import LONG, Spoold, sized, wait_until

from spooler.client import Client

CONFIG = """
workers = 2
rescan = "200ms"
durability = "relaxed"
[handler.note]
python = "hostile.handlers:note"
attempts = 1
"""
SWAPS = sized(700, 100_000)
RACERS = 2


def _drained(on: Stage) -> bool:
    """Whether nothing waits or runs but what is left alone."""
    left = [
        found for found in on.jobs("incoming", "active")
        if found.path.is_file() and not found.path.is_symlink()
    ]
    return not left


def judge_race(
    on: Stage, daemon: Spoold, what: str, moves: list[Callable[[Racer], Any]]
) -> None:
    """Let producers race against spoold; none may win."""
    sentinel = Sentinel(on.outside, on.users.server)
    secret = on.outside / "world.job"
    racers = [Racer(on.path, seed, secret) for seed in range(RACERS)]
    children = [
        on.hostile(functools.partial(race, racer, moves, SWAPS // RACERS))
        for racer in racers
    ]
    tallies = [child.result() for child in children]
    with Client(str(on.path), durable=False) as client:
        client.submit("note", "good")
    wait_until(
        lambda: _drained(on), 60, lambda: f"{on.tree()}; {daemon.log[-2000:]}"
    )
    ran = collections.Counter(str(line["args"][0]) for line in on.ran())
    wanted = {mark for tally in tallies for mark in tally["marks"]}
    assert ran.pop("good") == 1
    assert set(ran) <= wanted, set(ran) - wanted
    # What was given back or requeued by hand may run again; no other may.
    assert set(ran.values()) <= {1}, ran.most_common(3)
    assert EVIL not in on.runs.read_text()
    assert_bodies(on)
    judge.assert_nothing_got_out(on, sentinel)
    judge.assert_inert(daemon.log_path.read_bytes(), "log")
    assert b"in trouble" not in daemon.log_path.read_bytes()
    assert daemon.process.poll() is None
    jobs = sum(tally["jobs"] for tally in tallies)
    taken = sum(tally["taken"] for tally in tallies)
    changes = sum(tally["swaps"] + tally["rewrites"] for tally in tallies)
    # How a race ends is up to the machine; what was not raced for is not.
    kept = {mark for tally in tallies for mark in tally["kept"]}
    spoiled = {mark for tally in tallies for mark in tally["spoiled"]}
    assert kept and kept <= set(ran), kept - set(ran)
    assert spoiled and not spoiled & set(ran), spoiled & set(ran)
    assert changes >= SWAPS
    print(
        f"hostile race, {what}: {changes} changes of {jobs} jobs, {taken}"
        f" taken meanwhile, {sum(ran.values())} ran as written, 0 won"
    )


def assert_bodies(on: Stage) -> None:
    """The body that a handler got is the one that belongs to its argument."""
    for line in on.ran():
        mark = line["args"][0]
        if mark != "good":
            body = f"body of {mark}".encode()
            assert line["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.timeout(0 if LONG else 600)
@pytest.mark.parametrize("alternative", ["document", "link", "pipe"])
def test_a_swap_is_never_won(alternative: str) -> None:
    """What runs is a whole document, whatever takes its name meanwhile."""
    moves = [
        lambda racer: racer.swap_once(alternative),
        lambda racer: racer.swap_once(alternative),
        lambda racer: racer.swap_in_tmp(alternative),
    ]
    with stage(CONFIG) as on, serving(on, "--workers", "2") as daemon:
        judge_race(on, daemon, f"{alternative} for document", moves)


@pytest.mark.timeout(0 if LONG else 600)
def test_a_rewrite_is_never_won() -> None:
    """What was judged is what runs, even if the file is changed since."""
    with stage(CONFIG) as on, serving(on, "--workers", "2") as daemon:
        judge_race(on, daemon, "rewritten by a kept descriptor",
                   [lambda racer: racer.rewrite_once()])
