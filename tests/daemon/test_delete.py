# SPDX-License-Identifier: MIT
"""Jobs that are deleted when they are done."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from support import (
    SPOOLCTL,
    STATES,
    Spoold,
    SpoolDir,
    environment,
    wait_until,
)

from spooler import JobLost, client
from spooler.handle import Job

Start = Callable[..., Spoold]

HANDLERS = """
[handler.quiet]
command = ["true"]
[handler.loud]
command = ["sh", "-c", "echo out; echo err >&2; echo 1 >$SPOOL_RESULT"]
[handler.second]
command = ["sh", "-c", "test $SPOOL_ATTEMPT = 2"]
backoff = "10ms"
[handler.noop]
python = "sample_handlers:noop"
[handler.kept]
command = ["true"]
delete_done = false
[handler.bad]
command = ["false"]
attempts = 1
"""
DELETED = ("quiet", "loud", "second", "noop")


def test_nothing_is_left_of_what_is_done(
    spool: SpoolDir, spoold: Start
) -> None:
    """However a job succeeds, nothing is left of it; what a handler keeps,
    and what failed, is."""
    spool.configure("delete_done = true\n" + HANDLERS)
    daemon = spoold("--drain", wait=False)
    for number, name in enumerate((*DELETED, "kept", "bad") * 3):
        spool.drop_job(f"{name}{number}", name)
    assert daemon.wait() == 1  # one failed
    for state in STATES:
        wanted = {"done": 3, "failed": 3}.get(state, 0)
        assert spool.count(state) == wanted, spool.tree()
    assert all(job.name.tail.startswith("kept") for job in spool.jobs("done"))
    left = os.listdir(spool.path / "deferred")
    assert left + os.listdir(spool.path / "active") == []


def test_a_handler_may_delete_alone(
    spool: SpoolDir, spoold: Start
) -> None:
    """Where done jobs are kept, those of one handler need not be."""
    spool.configure(
        '[handler.gone]\ncommand = ["true"]\ndelete_done = true\n'
        '[handler.stays]\ncommand = ["true"]\n'
    )
    daemon = spoold("--drain", wait=False)
    for name in ("gone", "stays") * 2:
        client.submit(str(spool.path), name)
    assert daemon.wait() == 0
    assert [job.name.tail for job in spool.jobs("done")] == ["stays.job"] * 2


@pytest.mark.parametrize("handler", ["quiet", "noop"])
def test_who_waits_is_told(
    spool: SpoolDir, spoold: Start, handler: str
) -> None:
    """Waiting for a job that is deleted ends: there is no such job."""
    spool.configure("delete_done = true\n" + HANDLERS)
    spoold()
    job_id = client.submit(str(spool.path), handler)
    with pytest.raises(JobLost):
        Job.attach(job_id, spool=str(spool.path)).result(timeout=30)
    done = subprocess.run(
        [sys.executable, SPOOLCTL, "-C", str(spool.path), "wait", job_id],
        capture_output=True, text=True, env=environment(None),
    )
    assert done.returncode == 4, done.stderr
    wait_until(lambda: spool.count("active") == 0)
