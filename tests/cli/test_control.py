# SPDX-License-Identifier: MIT
"""hold, release, kill, pause, resume and drain."""

import time
from collections.abc import Callable

import pytest

from .harness import CONFIG, Cli, Served, until

QUICK = 'rescan = "200ms"\n' + CONFIG


# Put aside, and let go.


def test_hold_and_release(cli: Cli) -> None:
    """A held job keeps its name, and its due time, and waits on after it."""
    waiting, deferred = cli.put_waiting(), cli.put_deferred()
    ids = [waiting.id, deferred.id]
    assert sorted(cli("hold", *ids).lines) == sorted(ids)
    assert cli.listed("hold") == sorted(map(str, (waiting, deferred)))
    assert cli("ls", "incoming", "deferred").lines == []
    assert cli("release", "--all").lines == sorted(ids)
    due = {cli.state_of(job_id) for job_id in ids}
    assert due == {"incoming"}
    assert any(".d" in entry for entry in cli.listed("incoming"))


def test_a_dropped_file_can_be_held(cli: Cli) -> None:
    """A file that no spoold has seen yet is held by its name."""
    cli.drop("scan.pdf", b"x")
    assert cli("hold", "scan.pdf").lines == ["scan.pdf"]
    assert cli.listed("hold") == ["scan.pdf"]


def test_a_held_job_does_not_run(served: Served) -> None:
    """Held while it waits behind another, it runs only when released."""
    _, go = served.running("one")
    waiting = served.submit("one", "--", "true")
    served("hold", waiting)
    go()
    served.settled("sh", "--", "true")
    assert served.state_of(waiting) == "hold"
    served("release", waiting)
    served.await_state(waiting, "done")


def test_hold_all_takes_what_waits(cli: Cli) -> None:
    """A bare --all means all that waits, and the filters count."""
    mail = cli.put_waiting("mail.job")
    other = cli.put_deferred("resize.job")
    cli.put_failed("mail.job")
    assert cli("hold", "--all", "-n").lines == sorted([mail.id, other.id])
    assert cli("hold", "--all", "-H", "mail").lines == [mail.id]


def test_tags_select(cli: Cli) -> None:
    """--tag means jobs with that tag, whether they ran or not."""
    new = cli("submit", "--tag", "a", "--tag", "b", "sh").out.strip()
    cli("submit", "--tag", "b", "sh")
    cli.drop("plain.txt")
    ran = cli.put_failed(told={"tags": ("a",)}).id
    assert cli("ls", "--tag", "a", "-q").lines == [ran, new]
    assert cli("ls", "--tag", "a", "--tag", "b", "-q").lines == [new]
    assert cli("hold", "--all", "--tag", "a").lines == [new]


# Ended.


def test_kill_ends_all_of_a_command(served: Served) -> None:
    """A command that ignores TERM and its children end; it has failed."""
    mark = served.path.parent / "pid"
    job = served.submit("sh", "--", (
        "trap '' TERM; (trap '' TERM; echo $$ >" + str(mark)
        + "; while :; do sleep 0.1; done) & wait; while :; do wait; done"
    ))
    until(mark.exists, "the command runs")
    assert served("kill", job[:16]).lines == [job]
    shown = served("show", "--json", job).object
    assert shown["state"] == "failed" and shown["attempts"] == 1
    assert shown["reason"]["kind"] == "killed"
    assert "killed by an operator" in served("ls", "failed").out


def test_kill_all_and_dry_run(served: Served) -> None:
    """--all is for what runs; -n only tells."""
    jobs = sorted(served.running()[0] for _ in range(3))
    assert served("kill", "--all", "-n").lines == jobs
    assert served("ls", "active", "-q").lines == jobs
    assert sorted(served("kill", "--all", "-H", "sh").lines) == jobs
    assert sorted(served("ls", "failed", "-q").lines) == jobs


def test_kill_is_for_running_jobs(served: Served) -> None:
    """A job that waits or has ended is refused: 2; nothing is done."""
    job_id, go = served.running()
    ended = served.settled("sh", "--", "true")
    done = served("kill", job_id, ended, status=2)
    assert "is done; kill is for jobs that are active" in done.err
    assert served.state_of(job_id) == "active"
    go()


def test_kill_needs_spoold(cli: Cli) -> None:
    """Without spoold: 3, and what becomes of the job."""
    job = cli.put_active()
    done = cli("kill", job.id, status=3)
    assert "goes on when it starts" in done.err


# Paused.


def test_pause_and_resume(served: Served) -> None:
    """A handler that pauses starts nothing, others do; ls and status tell;
    resumed, it goes on at once."""
    done = served("pause", "one")
    assert "spoolctl resume one" in done.err
    waiting = served.submit("one", "--", "true")
    served.settled("sh", "--", "true")
    assert served.state_of(waiting) == "incoming"
    assert "handler paused" in served("ls").out
    status = served("status", "--json").object
    assert status["paused"] == ["one"] and status["tripped"] == []
    assert "'spoolctl resume one'" in served("status").out
    assert "pauses already" in served("pause", "one").err
    served("resume", "one")
    served.await_state(waiting, "done")
    assert "did not pause" in served("resume", "one").err


def test_all_can_pause(served: Served) -> None:
    """Without a name all handlers pause, and all are resumed."""
    served("pause")
    served("pause", "one")
    waiting = [served.submit(name, "--", "true") for name in ("one", "sh")]
    assert served("status", "--json").object["paused"] == ["*", "one"]
    assert "all handlers still pause" in served("resume", "one").err
    served("pause", "one")
    served("resume")
    for job_id in waiting:
        served.await_state(job_id, "done")
    assert "no handler pauses" in served("resume").err


def test_a_pause_outlives_spoold(
    cli: Cli, serve: Callable[..., Served]
) -> None:
    """It is set and lifted while none runs, and holds when one starts."""
    served = serve(QUICK)
    served("pause", "sh")
    served.daemon.kill()
    served("pause", "one")
    again = serve(QUICK)
    waiting = [again.submit(name, "--", "true") for name in ("one", "sh")]
    again.settled("echo", "x")
    assert [again.state_of(job_id) for job_id in waiting] == ["incoming"] * 2
    # By hand, as any program may; seen with the next scan.
    for name in ("one", "sh"):
        (again.path / "run" / "paused" / name).unlink()
    for job_id in waiting:
        again.await_state(job_id, "done")


def test_a_running_job_is_not_paused(served: Served) -> None:
    """What runs when its handler pauses runs on."""
    job_id, go = served.running()
    served("pause", "sh")
    go()
    served.await_state(job_id, "done")


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_handler_must_be_one(served: Served, verb: str) -> None:
    """A name that is no handler's is refused: 2; the handlers are told."""
    done = served(verb, "mial", status=2)
    assert "no handler 'mial'; the handlers are sh," in done.err
    assert served("status", "--json").object["paused"] == []


def test_resume_forgives_a_handler(serve: Callable[..., Served]) -> None:
    """A handler that spoold lets pause for its deaths is tried at once."""
    served = serve(
        '[handler.die]\ncommand = ["sh", "-c", "kill -SEGV $$"]\n'
        "attempts = 1\nbreaker = 2\n"
    )
    for _ in range(2):
        served.settled("die")
    until(
        lambda: served("status", "--json").object["tripped"] == ["die"],
        "the breaker is open",
    )
    waiting = served.submit("die")
    since = time.monotonic()
    assert "die: goes on" in served("resume").err
    served.await_state(waiting, "failed")
    assert time.monotonic() - since < 4, "the pause is 5 s"


# Drained.


def test_drain_waits_for_a_running_spoold(served: Served) -> None:
    """Exit 0 once nothing is left; a job that failed meanwhile: 1."""
    job_id, go = served.running()
    draining = served.start("drain")
    assert draining.poll() is None
    go()
    served.ended(draining)
    assert served.state_of(job_id) == "done"
    job_id, go = served.running()
    draining = served.start("drain")
    bad = served.submit("sh", "--", "exit 65")
    served.await_state(bad, "failed")
    go()
    served.ended(draining, None)
    served("drain")  # what failed before does not count


def test_drain_tells_of_failures(served: Served) -> None:
    """A job that fails while it waits makes it exit 1."""
    gate = served.path.parent / "gate"
    job_id = served.submit(
        "sh", "--", f"while ! test -e {gate}; do sleep 0.02; done; exit 65"
    )
    served.await_state(job_id, "active")
    draining = served.start("drain", "--timeout", "30s")
    # It has counted what failed before once it asks nothing any more.
    until(lambda: _is_listening(draining.pid), "drain waits")
    gate.touch()
    served.ended(draining, 1)


def _is_listening(pid: int) -> bool:
    """Whether a process has a thread: that of its watch."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[17]) > 1


def test_drain_gives_up(served: Served) -> None:
    """After --timeout: 124, and how many are left."""
    served.running()
    done = served("drain", "--timeout", "200ms", status=124)
    assert "1 jobs are left" in done.err


def test_drain_works_without_spoold(cli: Cli) -> None:
    """If none runs, it is spoold for so long; exit 1 if a job failed."""
    cli.configure(CONFIG)
    good = cli("submit", "sh", "--", "true").out.strip()
    cli("drain")
    assert cli.state_of(good) == "done"
    cli("submit", "sh", "--", "exit 65")
    cli("drain", status=1)
    cli("status", status=3)
    cli("submit", "sh", "--", "sleep 100")
    cli("drain", "--timeout", "1s", status=124)


def test_drain_does_not_wait_for_ever(cli: Cli) -> None:
    """If all handlers pause, it says so instead."""
    cli("pause")
    assert "'spoolctl resume'" in cli("drain", status=1).err
