# SPDX-License-Identifier: MIT
"""A job that kills spoold itself, every time it runs."""

import pathlib
import signal
from collections.abc import Callable

import pytest
from deaths.table import Death, command, environment, python
from support import LONG, Spoold, SpoolDir

Start = Callable[..., Spoold]
ATTEMPTS = 10 if LONG else 3
#: What is interrupted with spoold has been claimed as often as the killer.
HEALTHY = 6
KILLERS = [
    command("kill_spoold", "lost", None, "^interrupted: "),
    python("kill_spoold", "lost", "^interrupted: "),
]


def _configure(spool: SpoolDir, death: Death) -> None:
    table = death.table().replace("attempts = 2", f"attempts = {ATTEMPTS}")
    spool.configure(f"""
        workers = 2
        [handler.healthy]
        python = "deaths.ways:healthy"
        attempts = {ATTEMPTS + 1}
        [handler.cat]
        command = ["cat"]
        attempts = {ATTEMPTS + 1}
        {table}""")


@pytest.mark.parametrize("death", KILLERS, ids=lambda death: death.handler)
def test_a_job_that_kills_spoold_is_given_up(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path, death: Death
) -> None:
    """Restarted by a supervisor, spoold parks it after its attempts."""
    _configure(spool, death)
    spool.drop_job("bad", death.handler, Priority=9)
    healthy = [f"h{number}" for number in range(HEALTHY)]
    for number, name in enumerate(healthy):
        handler = ("healthy", "cat")[number % 2]
        spool.drop_job(name, handler, body=b"healthy\n")
    ends: list[int] = []
    while len(ends) <= ATTEMPTS:
        daemon = spoold("--drain", wait=False, env=environment())
        ends.append(daemon.wait())
        if ends[-1] != -signal.SIGKILL:
            break
        daemon.assert_nothing_left()
    # The last one finds it out of attempts; to drain it tells of a failure.
    assert ends == [-signal.SIGKILL] * ATTEMPTS + [1], daemon.log
    bad = spool.wait("bad.job", "failed")
    assert bad.name.runs == ATTEMPTS
    assert set(bad.kinds) == {("lost", None)}
    marks = pathlib.Path(f"{spool.path}.killed").read_text().split()
    assert marks == [str(run) for run in range(1, ATTEMPTS + 1)]
    for name in healthy:
        job = spool.wait(f"{name}.job", "done")
        assert job.out == b"healthy\n"
        assert len(spool.all(f"{name}.job")) == 1
    assert not list(spool.jobs("incoming", "active", "deferred"))
    print(f"{death.handler}: {ATTEMPTS} deaths, {HEALTHY} neighbours")
