# SPDX-License-Identifier: MIT
"""What a running daemon tells systemd and its log."""

import json
import os
import signal

from daemon.test_run import Start, shell
from support import SpoolDir, wait_until


def test_a_stop_asks_for_time_while_jobs_run(
    spool: SpoolDir, spoold: Start
) -> None:
    """Until the last one ended, not only at its beginning."""
    spool.configure('stop_timeout = "30s"\n' + shell("slow", "sleep 5"))
    daemon = spoold()
    spool.drop_job("a", "slow")
    spool.wait("a.job", "active")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    told = daemon.notify.lines
    after = told[told.index("STOPPING=1"):]
    assert after.count("EXTEND_TIMEOUT_USEC=20000000") >= 2
    assert any(each.startswith("STATUS=stopping; ") for each in after)


def test_the_status_ends_true(spool: SpoolDir, spoold: Start) -> None:
    """Also if nothing happens any more after what it tells of."""
    spool.configure(shell("x", "exit 65"))
    daemon = spoold()
    for number in range(3):
        spool.drop_job(f"{number}", "x")
    wait_until(lambda: daemon.notify.count(
        "STATUS=0 waiting, 0 running, 0 done, 3 failed, 0 deferred"
    ))


def test_the_status_tells_since_when_jobs_wait(
    spool: SpoolDir, spoold: Start
) -> None:
    """The age of the next job, and what pauses."""
    spool.configure(shell("x", "kill -9 $$", breaker=1, attempts=1))
    daemon = spoold()
    for number in range(3):
        spool.drop_job(f"{number}", "x")
    wait_until(lambda: any(
        each.startswith("STATUS=paused: x; ") and " waiting (since " in each
        for each in daemon.notify.lines
    ), what=lambda: str(daemon.notify.lines))


def test_signs_of_life_while_there_is_no_spool(
    spool: SpoolDir, spoold: Start
) -> None:
    """A daemon that waits for its spool is not one that hangs."""
    daemon = spoold(env={"WATCHDOG_USEC": "1000000"})
    away = spool.path.with_name("away")
    os.rename(spool.path, away)
    spool.path.mkdir()
    wait_until(lambda: any(
        each.startswith("STATUS=waits for a spool: ")
        for each in daemon.notify.lines
    ))
    count = daemon.notify.count("WATCHDOG=1")
    wait_until(lambda: daemon.notify.count("WATCHDOG=1") >= count + 3, 3)
    spool.path.rmdir()
    os.rename(away, spool.path)
    daemon.wait_ready(2)


def test_json_lines_have_fields(spool: SpoolDir, spoold: Start) -> None:
    """Id, handler and state of the job, apart from the message."""
    spool.configure(shell("bad", "echo why >&2; exit 65"))
    daemon = spoold("--log-format", "json")
    spool.drop_job("a", "bad")
    job = spool.wait("a.job", "failed")
    daemon.stop()
    lines = [json.loads(each) for each in daemon.log.splitlines()]
    (line,) = [each for each in lines if "id" in each]
    assert line["id"] == job.name.id
    assert (line["handler"], line["state"]) == ("bad", "failed")
    assert line["message"].startswith("failed: exit 65: why ")
