# SPDX-License-Identifier: MIT
"""Of many claimers one wins; of many jobs each runs once."""

import collections
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest
from support import Spoold, SpoolDir, environment, sized, wait_until

from spooler import names

COUNT = sized(2_000, 1_000_000)
RACERS = 8

#: Claims every job of a list, beginning somewhere; prints what it won.
RACER = """
import sys
from spooler.spool import Spool
path, owner, shift = sys.argv[1:]
spool = Spool(path)
with open(path + "/hints") as stream:
    hints = stream.read().split()
shift = int(shift) % len(hints)
print("ready", flush=True)
sys.stdin.read()  # closed for all at once
for hint in hints[shift:] + hints[:shift]:
    active = spool.claim(hint, owner)
    if active is not None:
        print(hint, active)
"""


@pytest.mark.parametrize("spread", [0, 7])
def test_every_job_is_claimed_once(spool: SpoolDir, spread: int) -> None:
    """Eight processes race for each job; exactly one of them gets it."""
    hints = []
    for number in range(COUNT):
        job_id = names.mint_id(10 ** 18 + number, number)
        hint = str(names.Name(number % 10, job_id, "x.job"))
        (spool.path / "incoming" / hint).touch()
        hints.append(hint)
    (spool.path / "hints").write_text("\n".join(hints))
    racers = []
    for number in range(RACERS):
        owner = names.b32(number, names.OWNER_CHARS)
        racer = subprocess.Popen(
            [sys.executable, "-c", RACER, str(spool.path), owner,
             str(spread * number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(None),
        )
        racers.append(racer)
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.close()
    won: collections.Counter[str] = collections.Counter()
    shares = []
    for number, racer in enumerate(racers):
        assert racer.stdout is not None
        lines = racer.stdout.read().splitlines()
        assert racer.wait(60) == 0
        racer.stdout.close()
        shares.append(len(lines))
        for line in lines:
            hint, active = line.split()
            won[hint] += 1
            name = names.parse(active)
            assert name is not None
            assert name.owner == names.b32(number, names.OWNER_CHARS)
            assert name.runs == 1
            assert os.path.exists(spool.path / "active" / active)
    assert won == collections.Counter(hints)
    assert spool.listed("incoming") == []
    assert len(spool.listed("active")) == COUNT
    assert sum(map(bool, shares)) > 1, f"no race took place: {shares}"


def test_every_job_runs_once(
    spool: SpoolDir, spoold: Callable[..., Spoold], tmp_path: pathlib.Path
) -> None:
    """Eight workers of one daemon drain a backlog: each job is done once."""
    spool.configure(
        '[handler.noop]\npython = "sample_handlers:noop"\nmatch = ["*"]\n'
    )
    for number in range(COUNT):
        (spool.path / "incoming" / f"n{number}").touch()
    spoold("--workers", "8")
    for number in range(100):
        spool.drop(f"late{number}")
    total = COUNT + 100
    wait_until(
        lambda: len(os.listdir(spool.path / "done")) >= total, 90,
        what=spool.tree,
    )
    done = collections.Counter(job.name.tail for job in spool.jobs("done"))
    assert done == collections.Counter(
        [f"n{number}" for number in range(COUNT)]
        + [f"late{number}" for number in range(100)]
    )
    assert len({job.name.id for job in spool.jobs("done")}) == total
    assert {job.name.runs for job in spool.jobs("done")} == {1}
    assert not list(
        spool.jobs("incoming", "active", "deferred", "hold", "failed")
    )
