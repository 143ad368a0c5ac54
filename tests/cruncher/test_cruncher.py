# SPDX-License-Identifier: MIT
"""The e-mail cruncher: an exact total, whatever is killed meanwhile."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from support import ROOT, Spoold, SpoolDir, wait_until

from . import upload, work

UPLOADERS = 8
TEXTS = 25  #: of each
KILLS = 25
CONFIG = 'tasks = ["cruncher.work"]\nworkers = 3\n'


@pytest.mark.parametrize("seed", range(20))
def test_two_ways_agree(seed: int) -> None:
    """The fast and the slow way find what was put there, and no more."""
    text, truth = upload.text(random.Random(seed))
    assert work.count_fast(text) == work.count_slow(text) == truth


@pytest.mark.timeout(240)
def test_the_total_is_exact(
    spool: SpoolDir, spoold: Callable[..., Spoold], tmp_path: pathlib.Path,
) -> None:
    """Eight uploaders at once and 25 killed workers: nothing is lost or
    counted twice."""
    spool.configure(CONFIG)
    environ = {
        "SPOOL_DIR": str(spool.path), "PYTHONPATH": str(ROOT / "tests"),
    }
    daemon = spoold(env=environ)
    book = tmp_path / "book.json"
    uploaders = [
        subprocess.Popen(
            [sys.executable, "-m", "cruncher.upload", str(seed), str(TEXTS),
             str(book)],
            stdout=subprocess.PIPE, text=True, cwd=tmp_path,
            env={**os.environ, **environ},
        )
        for seed in range(UPLOADERS)
    ]
    dice = random.Random(1)
    killed = 0
    while killed < KILLS and not is_quiet(spool, uploaders):
        before = spool.count("done")
        for pid in daemon.workers("python")[:dice.randrange(1, 3)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        # Some work between two deaths, or nothing would ever end.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: spool.count("done") > before + 5, timeout=2)
    truth = 0
    for process in uploaders:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        truth += int(output)
    wait_until(lambda: is_quiet(spool, uploaders), 120, spool.tree)
    assert killed >= 5
    assert not spool.listed("failed")
    counts = json.loads(book.read_text())
    assert len(counts) == UPLOADERS * TEXTS
    assert sum(counts.values()) == truth
    done = {
        job.name.id for job in spool.jobs("done")
        if job.name.told_handler == "crunch"
    }
    assert set(counts) == done


def is_quiet(
    spool: SpoolDir, uploaders: "list[subprocess.Popen[str]]"
) -> bool:
    """Whether all was submitted and all has ended."""
    if any(process.poll() is None for process in uploaders):
        return False
    # Twice what jobs leave and come back to, or one that moves is missed.
    return not any(
        spool.count(state)
        for state in ("active", "deferred", "incoming", "active")
    )
