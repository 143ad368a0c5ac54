# SPDX-License-Identifier: MIT
"""What is to be true of every violation in the tables."""

import fnmatch
import os
import shlex
import subprocess
from collections.abc import Callable

import pytest
from check.healthy import HOUR_S, Healthy, findings, later, mend
from check.seeds import Seed
from check.sow import IS_ROOT
from support import Spoold

from spooler.check import Finding
from spooler.cli.app import spoolctl
from spooler.text import inert

Start = Callable[..., Spoold]
#: What is under way settles in less; what is left over lies for longer.
SOON_S, LATE_S = 120.0, 48 * HOUR_S


def need(seed: Seed) -> None:
    """Skip what only root can seed."""
    if seed.root and not IS_ROOT:
        pytest.skip("only root can give files away")


def look(spool: Healthy, seed: Seed) -> list[Finding]:
    """What check finds; what lies in tmp/ has then lain there for long."""
    if seed.number != 9:
        return findings(spool)
    with later(LATE_S):
        return findings(spool)


def filled(text: str, path: str, spool: Healthy) -> str:
    """Put the names of the file at *path* into a line to be typed."""
    return text.format(
        path=shlex.quote(path), uid=spool.path.stat().st_uid,
        id=path.partition("/")[2][2:22],
    )


def only(found: list[Finding], seed: Seed, path: str, spool: Healthy) -> None:
    """See that exactly what was seeded was found, and all that is said."""
    assert len(found) == 1, found
    (finding,) = found
    assert finding.number == seed.number
    if "*" in path:
        assert fnmatch.fnmatchcase(finding.path, path)
    else:
        assert finding.path == inert(path)
    assert seed.what in finding.what
    assert finding.todo == filled(seed.todo, finding.path, spool)


def do(typed: str, spool: Healthy, start: Start) -> None:
    """Do what a person does in the spool's directory."""
    words = shlex.split(typed)
    if words[0] == "spoold":
        start("--drain", spool=spool)
    elif words[0] == "spoolctl":
        words[words.index(".")] = str(spool.path)
        assert not spoolctl.main(words[1:], standalone_mode=False)
    else:
        (spool.path.parent / "moved").mkdir()
        done = subprocess.run(
            ["sh", "-euc", typed], cwd=spool.path, capture_output=True,
            env={"PATH": os.defpath}, text=True,
        )
        assert (done.returncode, done.stderr) == (0, ""), typed


def found(spool: Healthy, seed: Seed, start: Start) -> None:
    """It is named, alone, and gone when done as told."""
    need(seed)
    path = seed.sow(spool)
    all_found = look(spool, seed)
    only(all_found, seed, path, spool)
    at = all_found[0].path
    typed = all_found[0].todo
    if seed.typed:
        # By its real name: what is shown is inert.
        at = at if "*" in path else path
        dot = "" if "{id}" in seed.typed else "./"
        typed = filled(seed.typed, dot + at, spool)
    contents = spool.job_contents()
    do(typed, spool, start)
    assert look(spool, seed) == []
    if seed.number in (1, 3, 7):
        assert not contents - spool.job_contents(), "a job was lost"
    assert not (spool.path / "pwned").exists()


def mended(spool: Healthy, seed: Seed) -> None:
    """It is mended or left as the table says, nothing else, and once."""
    need(seed)
    whole = spool.tree()
    path = seed.sow(spool)
    broken, contents = spool.tree(), spool.job_contents()
    with later(LATE_S if seed.number == 9 else SOON_S):
        told = mend(spool)
        after = spool.tree()
        assert not contents - spool.job_contents(), "a job was lost"
        left = findings(spool)
        assert mend(spool) == []
    assert spool.tree() == after, "the second repair changed something"
    if not seed.mended:
        assert told == [] and after == broken
        assert [finding.number for finding in left] == [seed.number]
        return
    assert left == []
    assert told and all(line.isprintable() for line in told)
    changed = {
        shown for shown, facts in whole.items()
        if shown in broken and after.get(shown) != facts
    }
    assert changed <= {path}
