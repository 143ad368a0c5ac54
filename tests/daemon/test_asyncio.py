# SPDX-License-Identifier: MIT
"""Coroutines, many at once in one worker: each is a job of its own."""

import os
import pathlib
import signal

import pytest
from daemon.test_run import Start
from spooler.cli.wellbeing import busy
from support import SpoolDir, wait_until


def handlers(**tables: str) -> str:
    """Tables of handlers with ``asyncio``; values are further keys."""
    return "".join(
        f'[handler.{name}]\npython = "sample_coroutines:{name}"\n'
        f'asyncio = true\nbackoff = "10ms"\n{keys}\n'
        for name, keys in tables.items()
    )


def worker(spool: SpoolDir) -> int:
    """The process that coroutines run in."""
    (pid,) = {run["pid"] for run in spool.status()["running"]}
    return int(pid)


def running(spool: SpoolDir, count: int) -> None:
    """Wait until so many jobs run."""
    wait_until(
        lambda: len(spool.status()["running"]) == count,
        what=lambda: f"{count} run: {spool.status()['running']}",
    )


def test_many_run_at_once_in_one_process(
    spool: SpoolDir, spoold: Start
) -> None:
    """A hundred jobs that wait for each other end, beside one worker's."""
    spool.configure(handlers(meet=""))
    spoold("--workers", "1")
    for number in range(100):
        spool.drop_job(str(number), "meet", "100")
    values = {
        spool.wait(f"{number}.job").record["value"] for number in range(100)
    }
    assert len(values) == 1


def test_concurrency_is_kept(spool: SpoolDir, spoold: Start) -> None:
    """No more run at once than the handler may have, and as many."""
    spool.configure(handlers(most="concurrency = 3"))
    spoold()
    for number in range(30):
        spool.drop_job(str(number), "most")
    values = [
        spool.wait(f"{number}.job").record["value"] for number in range(30)
    ]
    assert max(values) == 3


def test_they_take_no_shared_slot(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Status tells them apart from what runs in the slots."""
    spool.configure(
        handlers(wait_for="") + '[handler.sleep]\ncommand = ["sleep", "100"]\n'
    )
    spoold("--workers", "2")
    for number in range(3):
        spool.drop_job(str(number), "wait_for", str(tmp_path / "never"))
    running(spool, 3)
    assert busy(spool.status()) == "0 of 2 slots busy, 3 beside"
    spool.drop_job("x", "sleep")
    running(spool, 4)
    assert busy(spool.status()) == "1 of 2 slots busy, 3 beside"


def test_each_has_its_own_output(spool: SpoolDir, spoold: Start) -> None:
    """What runs in turns writes into files of its own, threads too."""
    spool.configure(handlers(talk=""))
    spoold()
    words = [f"word{number}" for number in range(8)]
    for word in words:
        spool.drop_job(word, "talk", word)
    for word in words:
        found = spool.wait(f"{word}.job")
        out = "".join(
            f"{word} {number}\n{word} bytes\n" for number in range(3)
        )
        assert found.out.decode() == out + f"{word} child\n{word} thread\n"
        err = f"{word} err\nWARNING {word} logged\n" * 3
        assert found.err.decode() == err


def test_output_has_its_limit(spool: SpoolDir, spoold: Start) -> None:
    """The beginning is kept."""
    spool.configure(handlers(shout='output_limit = "5KiB"'))
    spoold()
    spool.drop_job("x", "shout", "100000")
    assert len(spool.wait("x.job").out) == 5 << 10


def test_jobs_of_one_id_keep_their_output_apart(
    spool: SpoolDir, spoold: Start
) -> None:
    """A producer that copies an id does not get another's words."""
    spool.configure(handlers(talk="", wait_for=""))
    daemon = spoold("--workers", "1")
    daemon.signal(signal.SIGSTOP)
    document = b"Handler: talk\nArg: %s\n\n"
    for priority, word in ((5, b"one"), (4, b"two")):
        new = f"{9 - priority}.{'0' * 11}abcdefghi.htalk,x.job"
        spool.drop(new, document % word)
    daemon.signal(signal.SIGCONT)
    wait_until(lambda: len(spool.all("x.job", "done")) == 2)
    outs = sorted(found.out for found in spool.all("x.job", "done"))
    assert [out.split()[0] for out in outs] == [b"one", b"two"]
    assert all(len(set(out.split()[::2])) == 1 for out in outs)


def test_payloads_and_checkpoints(spool: SpoolDir, spoold: Start) -> None:
    """What a plain function can do, a coroutine can."""
    spool.configure(handlers(payload='match = ["*.bin"]', keep=""))
    spoold()
    spool.drop("x.bin", b"12345")
    spool.drop_job("k", "keep")
    assert spool.wait("x.bin").record["value"] == 5
    kept = spool.wait("k.job")
    assert kept.record["value"] == {"page": 7}
    assert kept.kinds == [("error", None), ("ok", None)]


@pytest.mark.parametrize("how, text", [
    ("value", "ValueError: so bad"), ("exit", "SystemExit: 4"),
    ("interrupt", "KeyboardInterrupt"), ("cancelled", "CancelledError: odd"),
])
def test_what_it_raises_is_its_own(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path, how: str,
    text: str,
) -> None:
    """An error ends the one job, whatever it is; the others go on."""
    spool.configure(handlers(fail="attempts = 1", wait_for="attempts = 1"))
    spoold()
    spool.drop_job("other", "wait_for", str(tmp_path / "go"))
    running(spool, 1)
    spool.drop_job("x", "fail", how)
    failed = spool.wait("x.job", "failed")
    assert failed.reason == text and failed.kinds == [("error", None)]
    trace = failed.record["traceback"]
    assert "sample_coroutines.py" in trace and "asyncrunner" not in trace
    (tmp_path / "go").touch()
    spool.wait("other.job")


def test_no_coroutine_is_told(spool: SpoolDir, spoold: Start) -> None:
    """A plain function, or none, fails with what to do."""
    spool.configure(handlers(plain="attempts = 1", nothing="attempts = 1"))
    spoold()
    spool.drop_job("x", "plain")
    spool.drop_job("y", "nothing")
    reason = spool.wait("x.job", "failed").reason
    assert "no 'async def'" in reason and "remove that" in reason
    assert "cannot load" in spool.wait("y.job", "failed").reason


def test_time_is_up_for_one(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """It is cancelled and may tidy up; its worker lives on."""
    spool.configure(handlers(
        tidy='attempts = 1\ntimeout = "2s"', wait_for="attempts = 1",
    ))
    spoold()
    spool.drop_job("other", "wait_for", str(tmp_path / "go"))
    running(spool, 1)
    before = worker(spool)
    spool.drop_job("x", "tidy", str(tmp_path / "tidied"))
    failed = spool.wait("x.job", "failed")
    assert failed.kinds == [("timeout", None)]
    assert failed.reason == "timed out after 2s"
    assert (tmp_path / "tidied").exists()
    assert worker(spool) == before
    (tmp_path / "go").touch()
    spool.wait("other.job")


def test_one_that_ignores_its_end_costs_the_others_nothing(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Its worker is killed; the others are run again, as if not begun."""
    spool.configure(handlers(
        deaf='attempts = 1\ntimeout = "3s"\nkill_after = "200ms"',
        wait_for="attempts = 1",
    ))
    spoold()
    spool.drop_job("other", "wait_for", str(tmp_path / "go"))
    spool.drop_job("x", "deaf", str(tmp_path / "deaf"))
    running(spool, 2)
    before = worker(spool)
    failed = spool.wait("x.job", "failed")
    assert failed.kinds == [("timeout", None)]
    assert "did not end when told to" in failed.reason
    running(spool, 1)
    assert worker(spool) != before
    (tmp_path / "go").touch()
    other = spool.wait("other.job")
    assert other.name.runs == 1, "the run that was cut short counted"


def test_who_holds_up_the_others_is_found(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """One that blocks the loop is to blame, not those whose time is up."""
    spool.configure(handlers(
        hog="attempts = 1",
        tidy='attempts = 1\ntimeout = "3s"\nkill_after = "2s"',
    ))
    spoold()
    spool.drop_job("other", "tidy", str(tmp_path / "tidied"))
    running(spool, 1)
    spool.drop_job("x", "hog", str(tmp_path / "hog"), "60")
    failed = spool.wait("x.job", "failed")
    assert failed.kinds == [("lost", None)]
    assert "held up all other coroutines" in failed.reason
    other = spool.wait("other.job", "failed")  # in its second run
    assert other.reason == "timed out after 3s" and other.name.runs == 1


@pytest.mark.parametrize("how", ["exit", "SIGSEGV"])
def test_who_ends_the_process_is_found(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path, how: str
) -> None:
    """One that ends its worker fails; the others lose no attempt."""
    spool.configure(handlers(fall="attempts = 1", wait_for="attempts = 1"))
    spoold()
    for number in range(5):
        spool.drop_job(f"other{number}", "wait_for", str(tmp_path / "go"))
    spool.drop_job("x", "fall", str(tmp_path / "fall"), how)
    running(spool, 6)
    (tmp_path / "fall").touch()
    assert spool.wait("x.job", "failed").kinds == [("lost", None)]
    (tmp_path / "go").touch()
    for number in range(5):
        assert spool.wait(f"other{number}.job").name.runs == 1


def test_a_death_nobody_is_to_blame_for_counts(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A worker killed from outside costs each job a run, so none is run for
    ever."""
    spool.configure(handlers(wait_for="attempts = 2"))
    spoold()
    for number in range(5):
        spool.drop_job(str(number), "wait_for", str(tmp_path / "go"))
    running(spool, 5)
    os.kill(worker(spool), signal.SIGKILL)
    (tmp_path / "go").touch()
    for number in range(5):
        found = spool.wait(f"{number}.job")
        assert found.kinds == [("lost", None), ("ok", None)]


def test_kill_ends_one(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A person ends one job, also one that ignores it; the other goes on."""
    spool.configure(handlers(
        tidy="", deaf="", wait_for="attempts = 1"
    ))
    spoold()
    spool.drop_job("other", "wait_for", str(tmp_path / "go"))
    spool.drop_job("x", "tidy", str(tmp_path / "tidied"))
    spool.drop_job("y", "deaf", str(tmp_path / "deaf"))
    running(spool, 3)
    wait_until((tmp_path / "deaf").exists)
    for name in ("x.job", "y.job"):
        (found,) = spool.all(name)
        answer = spool.ask(verb="kill", id=found.name.id)
        assert answer == {"v": 1, "killed": True}
        failed = spool.wait(name, "failed")
        assert failed.kinds == [("killed", None)]
        assert failed.reason == "killed by an operator"
    (tmp_path / "go").touch()
    assert spool.wait("other.job").name.runs == 1


def test_what_a_job_leaves_running_ends_with_it(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A task that a job began and did not wait for is cancelled."""
    spool.configure(handlers(leave=""))
    spoold()
    spool.drop_job("x", "leave", str(tmp_path / "ended"))
    assert spool.wait("x.job").record["value"] == "left"
    assert (tmp_path / "ended").exists()


def test_progress_is_seen(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Each tells its own, and nothing of it is left behind."""
    spool.configure(handlers(tell=""))
    spoold()
    spool.drop_job("x", "tell", str(tmp_path / "go"))
    wait_until(lambda: [
        run["progress"] for run in spool.status()["running"]
    ] == [{"fraction": 0.5, "text": "2/4 half"}])
    (tmp_path / "go").touch()
    spool.wait("x.job")
    assert spool.listed("run/work") == []


def test_a_stop_waits_then_sends_back(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """What ends in time is done; the rest waits again, at no cost."""
    spool.configure(
        'stop_timeout = "3s"\n' + handlers(wait_for="", deaf="")
    )
    daemon = spoold()
    spool.drop_job("x", "wait_for", str(tmp_path / "go"))
    spool.drop_job("y", "wait_for", str(tmp_path / "never"))
    spool.drop_job("z", "deaf", str(tmp_path / "deaf"))
    running(spool, 3)
    daemon.signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    assert daemon.process.wait(10) == 0
    assert spool.wait("x.job")
    for name in ("y.job", "z.job"):
        assert spool.wait(name, "incoming").name.runs == 0
    assert spool.listed("active") == []


def test_a_worn_worker_is_replaced(spool: SpoolDir, spoold: Start) -> None:
    """After its jobs another process takes over, and nothing is lost."""
    spool.configure("recycle_jobs = 10\n" + handlers(meet="concurrency = 4"))
    spoold()
    for number in range(60):
        spool.drop_job(str(number), "meet", "1")
    pids = {
        spool.wait(f"{number}.job").record["value"] for number in range(60)
    }
    assert len(pids) > 1
    assert all(len(found.kinds) == 1 for found in spool.jobs("done"))


def test_the_death_of_spoold_is_survived(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """No coroutine runs on, and the next spoold runs them again."""
    spool.configure(handlers(wait_for=""))
    daemon = spoold()
    for number in range(5):
        spool.drop_job(str(number), "wait_for", str(tmp_path / "go"))
    running(spool, 5)
    pid = worker(spool)
    daemon.signal(signal.SIGKILL)
    daemon.process.wait(10)
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists())
    (tmp_path / "go").touch()
    spoold()
    for number in range(5):
        assert spool.wait(f"{number}.job").kinds[-1] == ("ok", None)
