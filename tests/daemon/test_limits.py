# SPDX-License-Identifier: MIT
"""What limits a run: memory, time in the queue; and what limits a worker."""

import pathlib
import signal
import sys

import pytest
from daemon.test_run import Start, command, python, shell
from spooler import names
from support import SpoolDir, wait_until

MIB = 1 << 20
GRAB = "import sys; x = bytearray(int(sys.argv[1])); print(len(x))"


def test_a_command_gets_no_more_memory_than_it_may(
    spool: SpoolDir, spoold: Start
) -> None:
    """A command within its memory runs; one over it fails, alone."""
    spool.configure(command(
        "grab", sys.executable, "-c", GRAB, memory="200MiB", attempts=1,
    ))
    spoold()
    spool.drop_job("small", "grab", str(MIB))
    spool.drop_job("large", "grab", str(400 * MIB))
    assert spool.wait("small.job").out == f"{MIB}\n".encode()
    failed = spool.wait("large.job", "failed")
    assert failed.kinds == [("exit", 1)] and b"MemoryError" in failed.err


def test_the_limit_holds_for_what_a_command_starts(
    spool: SpoolDir, spoold: Start
) -> None:
    """A shell in between, or raising the limit back, changes nothing."""
    spool.configure(shell(
        "grab", f"ulimit -d unlimited; {sys.executable} -c '{GRAB}' $1",
        memory="200MiB", attempts=1,
    ))
    spoold()
    spool.drop_job("large", "grab", str(400 * MIB))
    assert b"MemoryError" in spool.wait("large.job", "failed").err


def test_a_program_that_is_missing_is_missing_with_a_limit_too(
    spool: SpoolDir, spoold: Start
) -> None:
    """The reason names the program, not the shell that sets the limit."""
    spool.configure(command(
        "gone", "/nowhere/at/all", memory="100MiB", attempts=1
    ))
    spoold()
    spool.drop_job("x", "gone")
    failed = spool.wait("x.job", "failed")
    assert failed.kinds == [("start", None)]
    assert "/nowhere/at/all" in failed.reason


def test_arguments_pass_the_shell_that_sets_a_limit_unread(
    spool: SpoolDir, spoold: Start
) -> None:
    """No shell reads what a job brings, whatever it looks like."""
    spool.configure(command("say", "printf", "%s|", memory="100MiB"))
    spoold()
    args = ["$(id)", "`id`", "a b", "", "*", "-c", "'", '"', "$1", "\\"]
    spool.drop_job("x", "say", *args)
    assert spool.wait("x.job").out.decode() == "".join(
        f"{arg}|" for arg in args
    )


def test_a_python_handler_gets_a_memory_error(
    spool: SpoolDir, spoold: Start
) -> None:
    """The worker survives, and its next job has the whole memory again."""
    spool.configure(
        python("grab", memory="300MiB", attempts=1) + python("pid")
        + '[handler.free]\npython = "sample_handlers:grab"\n'
    )
    spoold("--workers", "1")
    spool.drop_job("a", "pid")
    spool.drop_job("large", "grab", str(600 * MIB))
    failed = spool.wait("large.job", "failed")
    assert failed.kinds == [("error", None)]
    assert "MemoryError" in failed.reason
    spool.drop_job("free", "free", str(600 * MIB))
    spool.drop_job("small", "grab", str(MIB))
    spool.drop_job("b", "pid")
    assert spool.wait("free.job").record["value"] == 600 * MIB
    assert spool.wait("small.job").record["value"] == MIB
    pids = [spool.wait(job).record["value"] for job in ("a.job", "b.job")]
    assert pids[0] == pids[1]


def test_a_job_that_waited_too_long_is_not_run(
    spool: SpoolDir, spoold: Start
) -> None:
    """It fails with its reason; one in time, and one sent back, run."""
    spool.configure(
        shell("say", "echo $1") + shell("late", "echo $1", expires="1h")
    )
    old = names.mint_id(1_000_000_000 * 10**9, 7)
    older = names.mint_id(1_000_000_000 * 10**9, 8)
    spool.drop(
        f"4.{old},say.job", b"Handler: say\nArg: x\nExpires: 2h\n\n"
    )
    spool.drop(f"4.{older},late.job", b"Handler: late\nArg: x\n\n")
    spool.drop_job("new", "say", "in time", Expires="2h")
    daemon = spoold()
    assert spool.wait("new.job").out == b"in time\n"
    for tail in ("say.job", "late.job"):
        failed = spool.wait(tail, "failed")
        assert failed.kinds == [("expired", None)] and not failed.out
        assert failed.name.verdict == "expired"
        assert "expired: it waited" in failed.reason
        assert failed.reason in daemon.log
        failed.path.rename(spool.path / "incoming" / failed.entry)
        assert spool.wait(tail).out == b"x\n"


def test_a_retry_expires_as_well(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """No run begins later, and the earlier runs are on record."""
    gate = tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done; exit 1"
    spool.configure(shell("no", wait, attempts=99, expires="1h"))
    daemon = spoold()
    spool.drop_job("x", "no")
    spool.wait("x.job", "active")
    spool.configure(shell("no", wait, attempts=99, expires="1ms"))
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: "reloaded" in daemon.log, what=lambda: daemon.log)
    gate.touch()
    failed = spool.wait("x.job", "failed")
    assert failed.kinds == [("exit", 1), ("expired", None)]


@pytest.mark.parametrize("key, value", [
    ("recycle_jobs", "3"), ("recycle_memory", '"1MiB"'),
])
def test_a_worn_worker_is_replaced(
    spool: SpoolDir, spoold: Start, key: str, value: str
) -> None:
    """After so many jobs, or grown so large; no job fails or runs twice."""
    spool.configure(f"{key} = {value}\n" + python("pid"))
    daemon = spoold("--workers", "2")
    count = 40
    for number in range(count):
        spool.drop_job(f"n{number}", "pid")
    wait_until(lambda: spool.count("done") == count, what=spool.tree)
    done = list(spool.jobs("done"))
    assert {job.name.runs for job in done} == {1}
    assert len({job.record["value"] for job in done}) > 2
    assert "is replaced: " in daemon.log
    assert "killed by" not in daemon.log and "exited" not in daemon.log


def test_a_handler_that_dies_over_and_over_pauses_alone(
    spool: SpoolDir, spoold: Start
) -> None:
    """It is paused and says so; others run; what waits for it is kept."""
    spool.configure(
        shell("die", "kill -SEGV $$", attempts=1, breaker=3)
        + shell("live", "echo yes")
    )
    daemon = spoold("--workers", "1")
    for number in range(20):
        spool.drop_job(f"die{number}", "die")
    paused = wait_until(lambda: spool.status()["paused"].get("die"))
    assert paused[1] >= 3 and "signal 11" in paused[2]
    assert "handler die pauses for 5.0s" in daemon.log.replace(
        "for 5s", "for 5.0s"
    )
    spool.drop_job("live", "live")
    spool.wait("live.job")
    # One more may follow by itself before spoold has heard of the third.
    assert spool.count("failed") in (3, 4)
    assert spool.count("failed") + spool.count("incoming") == 20


def test_a_paused_handler_is_tried_again(
    spool: SpoolDir, spoold: Start
) -> None:
    """Once its cause is mended the next trial ends the pause."""
    mark = spool.path.parent / "mended"
    spool.configure(shell(
        "die", f"test -e {mark} || kill -SEGV $$", attempts=1, breaker=2,
    ))
    daemon = spoold("--workers", "1")
    for number in range(6):
        spool.drop_job(f"n{number}", "die")
    wait_until(lambda: spool.status()["paused"])
    mark.touch()
    wait_until(
        lambda: spool.count("done") + spool.count("failed") == 6,
        what=lambda: spool.tree(),
    )
    assert spool.count("failed") in (2, 3)  # one may follow by itself
    assert "handler die is well again" in daemon.log
    assert spool.status()["paused"] == {}
