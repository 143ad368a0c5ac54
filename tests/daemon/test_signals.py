# SPDX-License-Identifier: MIT
"""Stopping, reloading, and being killed at the worst moment."""

import os
import pathlib
import signal
from collections.abc import Callable

import pytest
from support import Spoold, SpoolDir, document, is_alive, wait_until

Start = Callable[..., Spoold]

#: Two handlers that wait for a file, and two that do nothing.  Each waiting
#: job writes its pid into FILE.ID first.
CONFIG = """
[handler.gate]
python = "sample_handlers:gate"
attempts = 3
backoff = "10ms"
max_backoff = "20ms"
[handler.shgate]
command = ["sh", "-c", '''
echo $$ >"$1.$SPOOL_JOB_ID"
while [ ! -e "$1" ]; do sleep 0.02; done''', "sh"]
attempts = 3
backoff = "10ms"
max_backoff = "20ms"
[handler.noop]
python = "sample_handlers:noop"
[handler.true]
command = ["true"]
"""


class Gate:
    """A file that jobs wait for."""

    def __init__(self, spool: SpoolDir, path: pathlib.Path) -> None:
        """Jobs of *spool* wait for *path*."""
        self.spool = spool
        self.path = path

    def hold(self, name: str, handler: str, **fields: object) -> int:
        """Drop a job that waits; returns its pid once it does."""
        body = f"body of {name}".encode()
        self.spool.drop_job(
            name, handler, str(self.path), body=body, **fields
        )
        return self.pid(name)

    def _mark(self, name: str) -> pathlib.Path:
        found = wait_until(lambda: self.spool.all(f"{name}.job"))
        return pathlib.Path(f"{self.path}.{found[0].name.id}")

    def forget(self, name: str) -> None:
        """Forget in which pid the job *name* ran."""
        self._mark(name).unlink()

    def pid(self, name: str) -> int:
        """The pid in which the job *name* runs, or ran."""
        mark = self._mark(name)
        wait_until(
            lambda: mark.exists() and mark.read_text().endswith("\n"),
            what=lambda: f"{name} runs: {self.spool.tree()}",
        )
        return int(mark.read_text())

    def open(self) -> None:
        """Let them end."""
        self.path.touch()


@pytest.fixture
def gate(spool: SpoolDir, tmp_path: pathlib.Path) -> Gate:
    """A closed gate, and handlers that wait for it."""
    spool.configure('stop_timeout = "60s"\n' + CONFIG)
    return Gate(spool, tmp_path / "gate")


def whole(spool: SpoolDir, name: str, *states: str) -> int:
    """Wait for a held job; it must be as dropped.  Returns its runs."""
    found = spool.wait(f"{name}.job", *states)
    assert found.data.endswith(f"body of {name}".encode())
    assert len(spool.all(f"{name}.job")) == 1
    return found.name.runs


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_running_jobs_end(
    spool: SpoolDir, spoold: Start, gate: Gate, number: int
) -> None:
    """TERM and INT take up no job, and wait for those that run."""
    daemon = spoold("--workers", "2")
    gate.hold("py", "gate")
    gate.hold("sh", "shgate")
    daemon.signal(number)
    wait_until(lambda: daemon.notify.count("STOPPING=1"))
    assert spool.status()["stopping"]
    spool.drop_job("late", "noop")
    gate.open()
    assert daemon.wait() == 0
    assert whole(spool, "py") == whole(spool, "sh") == 1
    (late,) = spool.listed("incoming")
    assert late.endswith("late.job") and ".a" not in late
    daemon.assert_nothing_left()
    assert spool.listed("active") == []
    assert os.listdir(spool.path / "run" / "work") == []
    assert spool.ask() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kinds", ["gate", "shgate", "gate shgate"])
def test_a_second_signal_hurries(
    spool: SpoolDir, spoold: Start, gate: Gate, number: int, kinds: str
) -> None:
    """The second TERM or INT gives running jobs back, at no attempt's cost."""
    daemon = spoold("--workers", "2")
    pids = [gate.hold(handler, handler) for handler in kinds.split()]
    daemon.signal(number)
    wait_until(lambda: daemon.notify.count("STOPPING=1"))
    daemon.signal(number)
    assert daemon.wait() == 0
    daemon.assert_nothing_left()
    wait_until(lambda: not any(map(is_alive, pids)))
    for name in kinds.split():
        assert spool.count("incoming") == len(kinds.split()), spool.tree()
        assert whole(spool, name, "incoming") == 0
    assert spool.listed("active") == []
    gate.open()
    spoold()
    for name in kinds.split():
        assert whole(spool, name) == 1


def test_a_stop_ends_when_patience_does(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """After stop_timeout, jobs that still run are given back."""
    spool.configure('stop_timeout = "100ms"\n' + CONFIG)
    daemon = spoold("--workers", "2")
    gate.hold("py", "gate")
    gate.hold("sh", "shgate")
    assert daemon.stop() == 0
    daemon.assert_nothing_left()
    for name in ("py", "sh"):
        assert whole(spool, name, "incoming") == 0


def test_a_stop_ends_a_command_that_is_being_ended(
    spool: SpoolDir, spoold: Start, gate: Gate, tmp_path: pathlib.Path
) -> None:
    """A command in the grace of its timeout does not outlive a stop."""
    spool.configure('stop_timeout = "100ms"\n' + """
        [handler.stubborn]
        command = ["sh", "-c", '''
        trap "echo >$1" TERM; echo >"$1.up"
        while :; do sleep 0.05; done''', "sh"]
        timeout = "2s"
        kill_after = "1h"
        """)
    daemon = spoold()
    mark = tmp_path / "mark"
    spool.drop_job("x", "stubborn", str(mark))
    wait_until(pathlib.Path(f"{mark}.up").exists)
    wait_until(mark.exists)
    assert daemon.stop() == 0
    daemon.assert_nothing_left()
    assert len(spool.all("x.job")) == 1
    assert spool.listed("active") == []


def test_a_reload_takes_up_a_good_file(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """HUP makes a new handler known, and disturbs no running job."""
    daemon = spoold("--workers", "4")
    gate.hold("py", "gate")
    gate.hold("sh", "shgate")
    spool.drop_job("early", "new", body=b"kept")
    failed = spool.wait("early.job", "failed")
    assert "unknown handler 'new'" in failed.reason
    spool.configure(CONFIG + '[handler.new]\ncommand = ["cat"]\n')
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready(2)
    assert daemon.notify.count("RELOADING=1") == 1
    spool.drop_job("x", "new", body=b"x")
    assert spool.wait("x.job").out == b"x"
    failed.path.rename(spool.path / "incoming" / failed.entry)
    assert spool.wait("early.job").out == b"kept"
    gate.open()
    assert whole(spool, "py") == whole(spool, "sh") == 1


def test_a_reload_refuses_a_bad_file(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """HUP with a bad file changes nothing, says why and is ready again."""
    daemon = spoold()
    spool.configure('[handler.new]\ncommand = ["cat"]\nmach = ["*"]\n')
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready(2)
    assert "unknown key 'mach', did you mean 'match'?" in daemon.log
    for handler in ("noop", "true"):
        spool.drop_job(handler, handler)
        spool.wait(f"{handler}.job")
    (spool.path / "spool.toml").write_bytes(b"\xff")
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready(3)
    spool.drop_job("again", "noop")
    spool.wait("again.job")


def test_reloads_under_load_lose_nothing(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """Jobs that run while the configuration is read again run once."""
    daemon = spoold("--workers", "2")
    count = 400
    for number in range(count):
        handler = ("noop", "true")[number % 8 == 0]
        spool.write(f"{number}.job", document(handler))
    for number in range(count):
        spool.publish(f"{number}.job")
        if number % 80 == 0:
            daemon.signal(signal.SIGHUP)
    wait_until(
        lambda: spool.count("done") == count, what=spool.tree
    )
    assert {job.name.runs for job in spool.jobs("done")} == {1}
    assert not list(spool.jobs("incoming", "active", "failed"))


def test_a_killed_daemon_loses_nothing(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """After kill -9 nothing runs on, and what ran runs again as attempt 2."""
    daemon = spoold("--workers", "4")
    pids = [gate.hold("py", "gate"), gate.hold("sh", "shgate")]
    pids.append(gate.hold("once", "shgate", Attempts=1))
    daemon.kill()
    daemon.assert_nothing_left()
    wait_until(lambda: not any(map(is_alive, pids)))
    for name in ("py", "sh", "once"):
        assert whole(spool, name, "active") == 1
    spool.drop_job("late", "noop")
    gate.open()
    second = spoold()
    assert whole(spool, "py") == whole(spool, "sh") == 2
    assert spool.wait("late.job").name.runs == 1
    # It may be what killed the daemon, and has no attempt left.
    failed = spool.wait("once.job", "failed")
    assert failed.kinds == [("lost", None)]
    assert "interrupted" in failed.reason
    second.stop()
    assert spool.listed("active") == []
    assert os.listdir(spool.path / "run" / "work") == []
    assert os.listdir(spool.path / "run" / "locks") == []


def test_a_daemon_killed_again_and_again_loses_nothing(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """Under repeated kill -9 every job ends done, whole, and only once."""
    spool.configure('durability = "relaxed"\n' + CONFIG.replace(
        "[handler.noop]", "[handler.noop]\nattempts = 99"
    ).replace("[handler.true]", "[handler.true]\nattempts = 99"))
    dropped = []
    for number in range(300):
        handler = ("noop", "true")[number % 4 == 0]
        data = document(handler, body=f"{number}".encode())
        spool.drop(f"{number}.job", data)
        dropped.append(data)
    for target in (20, 60, 120):
        daemon = spoold("--workers", "4")
        wait_until(lambda: spool.count("done") >= target)
        daemon.kill()
        daemon.assert_nothing_left()
        assert len(list(spool.jobs())) == 300
    assert spoold("--drain", wait=False).wait() == 0
    assert sorted(job.data for job in spool.jobs("done")) == sorted(dropped)
    assert not list(spool.jobs("incoming", "active", "deferred", "failed"))


def test_a_killed_worker_costs_one_attempt_of_one_job(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """kill -9 of a Python worker concerns the job it ran, and no other."""
    daemon = spoold("--workers", "3")
    victim = gate.hold("victim", "gate")
    gate.hold("other", "gate")
    gate.hold("sh", "shgate")
    spool.drop_job("waits", "noop", Priority=0)
    gate.forget("victim")
    assert victim in daemon.workers("python")
    os.kill(victim, signal.SIGKILL)
    assert gate.pid("victim") != victim
    gate.open()
    assert whole(spool, "victim") == 2
    assert spool.wait("victim.job").kinds == [("lost", None), ("ok", None)]
    assert whole(spool, "other") == whole(spool, "sh") == 1
    assert spool.wait("waits.job").name.runs == 1
    wait_until(lambda: len(daemon.workers("python")) == 3)


def test_a_killed_command_runner_costs_nothing(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """After kill -9 of the runner its commands run on, each of them once."""
    daemon = spoold("--workers", "4")
    pids = [gate.hold("a", "shgate"), gate.hold("b", "shgate")]
    gate.hold("py", "gate")
    (runner,) = daemon.workers("command")
    os.kill(runner, signal.SIGKILL)
    wait_until(lambda: daemon.workers("command") not in ([], [runner]))
    spool.drop_job("x", "true")
    assert spool.wait("x.job").name.runs == 1
    assert all(map(is_alive, pids))
    assert {
        item["pid"] for item in spool.status()["running"]
    } >= set(pids)
    gate.open()
    for name in ("a", "b", "py"):
        assert whole(spool, name) == 1


def test_a_runner_that_dies_as_it_files_for_another_leaves_nothing(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """A command that outlived one runner is not lost with the next."""
    daemon = spoold("--workers", "4")
    pid = gate.hold("a", "shgate")
    (first,) = daemon.workers("command")
    os.kill(first, signal.SIGKILL)
    spool.drop_job("x", "true")
    spool.wait("x.job")
    (second,) = daemon.workers("command")
    os.kill(second, signal.SIGSTOP)
    gate.open()
    wait_until(lambda: not is_alive(pid) and not spool.status()["running"])
    os.kill(second, signal.SIGKILL)
    assert whole(spool, "a") == 2
    assert spool.wait("a.job").kinds == [("lost", None), ("ok", None)]
    active = spool.path / "active"
    wait_until(lambda: not [
        entry for entry in os.listdir(active) if entry.startswith("4.")
    ], what=spool.tree)
    assert daemon.stop() == 0
    assert not os.listdir(spool.path / "run" / "work")


@pytest.mark.parametrize("name", ["quick", "slow"])
def test_a_command_without_runner_keeps_its_limits(
    spool: SpoolDir, spoold: Start, gate: Gate, name: str
) -> None:
    """A command whose runner was killed still ends at its timeout."""
    spool.configure(CONFIG.replace(
        "[handler.shgate]",
        '[handler.shgate]\ntimeout = "3s"\nkill_after = "100ms"',
    ).replace("attempts = 3", "attempts = 1"))
    daemon = spoold()
    pid = gate.hold(name, "shgate")
    (runner,) = daemon.workers("command")
    os.kill(runner, signal.SIGKILL)
    if name == "quick":
        gate.open()
        assert whole(spool, name) == 1
    else:
        failed = spool.wait(f"{name}.job", "failed")
        assert failed.kinds == [("timeout", None)]
    wait_until(lambda: not is_alive(pid))


@pytest.mark.parametrize("end", ["stop", "hurry", "kill"])
def test_a_command_without_runner_does_not_outlive_the_daemon(
    spool: SpoolDir, spoold: Start, gate: Gate, end: str
) -> None:
    """Right after the runner was killed, an end of spoold ends its jobs."""
    daemon = spoold("--workers", "4")
    pids = [gate.hold("a", "shgate"), gate.hold("b", "shgate")]
    (runner,) = daemon.workers("command")
    os.kill(runner, signal.SIGKILL)
    if end == "kill":
        wait_until(lambda: daemon.workers("command") not in ([], [runner]))
        daemon.kill()
        # Nobody is left to end them but the next spoold.
        spoold()
        wait_until(
            lambda: not any(map(is_alive, pids)), 10, f"{pids} ended"
        )
        gate.open()
        for name in ("a", "b"):
            assert whole(spool, name) == 2
        return
    daemon.signal(signal.SIGTERM)
    wait_until(lambda: daemon.notify.count("STOPPING=1"))
    if end == "hurry":
        daemon.signal(signal.SIGTERM)
    else:
        gate.open()
    assert daemon.wait() == 0
    daemon.assert_nothing_left()
    wait_until(lambda: not any(map(is_alive, pids)))
    assert len(list(spool.jobs())) == 2
    gate.open()
    spoold()
    for name in ("a", "b"):
        assert whole(spool, name) <= 2


def test_a_job_that_kills_its_worker_is_given_up(
    spool: SpoolDir, spoold: Start
) -> None:
    """A poison job ends in failed/ after its attempts; others run on."""
    spool.configure(CONFIG + """
        [handler.suicide]
        python = "sample_handlers:suicide"
        attempts = 3
        backoff = "1ms"
        [handler.murder]
        command = ["sh", "-c", "kill -9 $PPID; exit 3"]
        attempts = 3
        backoff = "1ms"
        """)
    spoold("--workers", "1")
    for handler in ("suicide", "murder"):
        spool.drop_job(handler, handler, body=b"poison", Priority=9)
    for number in range(10):
        spool.drop_job(f"n{number}", "noop")
    for handler in ("suicide", "murder"):
        failed = spool.wait(f"{handler}.job", "failed")
        assert len(failed.kinds) == 3
        # A command may outlive the runner it killed, or be lost with it.
        assert set(failed.kinds) <= {("lost", None), ("exit", 3)}
        assert failed.data.endswith(b"poison")
    for number in range(10):
        assert spool.wait(f"n{number}.job").name.runs == 1
    spool.drop_job("c", "true")
    assert spool.wait("c.job").name.runs == 1


def test_mv_is_a_requeue(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A failed or done job moved back by mv runs as if it were new."""
    mark = tmp_path / "mark"
    spool.configure(f"""
        [handler.try]
        command = ["sh", "-c", "echo out; [ -e {mark} ]"]
        attempts = 2
        backoff = "1ms"
        """)
    spoold()
    spool.drop_job("x", "try", body=b"kept")
    failed = spool.wait("x.job", "failed")
    assert failed.name.runs == 2
    mark.touch()
    failed.path.rename(spool.path / "incoming" / failed.entry)
    done = spool.wait("x.job")
    assert done.name.runs == 1
    assert done.kinds == [("ok", None)]
    assert done.name.id == failed.name.id
    assert spool.listed("failed") == []
    done.path.rename(spool.path / "incoming" / done.entry)
    wait_until(
        lambda: spool.listed("incoming") == []
        and len(spool.all("x.job", "done")) == 1
    )
    again = spool.wait("x.job")
    assert (again.name.runs, again.out) == (1, b"out\n")
    assert again.data == document("try", body=b"kept")


def test_mv_works_while_the_daemon_is_down(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """Jobs moved, added and removed without a daemon are as they lie."""
    daemon = spoold()
    for name in ("again", "gone"):
        spool.drop_job(name, "true")
        spool.wait(f"{name}.job")
    daemon.stop()
    again = spool.wait("again.job")
    again.path.rename(spool.path / "incoming" / again.entry)
    spool.wait("gone.job").path.unlink()
    spool.drop_job("new", "noop")
    spoold()
    spool.wait("new.job")
    assert spool.wait("again.job").name.runs == 1
    assert spool.all("gone.job") == []


def test_kill_ends_one_running_job(
    spool: SpoolDir, spoold: Start, gate: Gate
) -> None:
    """A job ended by an operator fails at once, and alone."""
    spoold("--workers", "4")
    pids = {
        name: gate.hold(name, handler)
        for name, handler in (
            ("py", "gate"), ("sh", "shgate"), ("py2", "gate"),
            ("sh2", "shgate"),
        )
    }
    for name in ("py", "sh"):
        job_id = spool.wait(f"{name}.job", "active").name.id
        assert spool.ask(verb="kill", id=job_id) == {"v": 1, "killed": True}
        failed = spool.wait(f"{name}.job", "failed")
        assert failed.kinds == [("killed", None)]
        wait_until(lambda: not is_alive(pids[name]))
        # The daemon hears of it after the disk shows it.
        wait_until(
            lambda: spool.ask(verb="kill", id=job_id)
            == {"v": 1, "killed": False}
        )
    gate.open()
    assert whole(spool, "py2") == whole(spool, "sh2") == 1
