# SPDX-License-Identifier: MIT
"""spoolctl requeue and rm: the jobs that were meant, and no others."""

import pytest

from .harness import TWIN, Cli, Served

BOTH = pytest.mark.parametrize("verb", ["requeue", "rm"])


def stay(cli: Cli, before: dict[str, list[str]]) -> bool:
    """Whether nothing was moved or deleted since *before*."""
    return cli.tree() == before


# Which jobs.


@BOTH
def test_jobs_can_be_named(cli: Cli, verb: str) -> None:
    """An id, the beginning of one and a dropped name each mean a job; the
    ids of those moved are printed."""
    jobs = [
        cli.put_failed(age_s=3), cli.put_done(age_s=2),
        cli.put_failed("scan\n1.pdf", age_s=1),
    ]
    other = cli.put_failed()
    done = cli(verb, jobs[0].id, jobs[1].id[:15], "scan\n1.pdf")
    assert done.lines == [job.id for job in jobs] and done.err == ""
    left = [str(job.sent_back()) for job in jobs] if verb == "requeue" else []
    assert cli.listed("incoming") == left
    assert cli.listed("done") == []
    assert cli.state_of(other.id) == "failed"


@BOTH
def test_jobs_can_come_from_a_pipe(cli: Cli, verb: str) -> None:
    """'-' reads jobs from standard input, one a line."""
    ids = [cli.put_failed().id for _ in range(3)]
    listed = cli("ls", "failed", "-q").raw
    assert cli(verb, "-", input=listed).lines == ids
    assert cli.listed("failed") == []
    assert cli(verb, "-", input="").lines == []


def test_all_takes_states_and_filters(cli: Cli) -> None:
    """--all means all jobs in the states that the filters leave."""
    old = cli.put_failed("mail.job", age_s=7200).id
    new = cli.put_failed("mail.job", age_s=60).id
    other = cli.put_failed("resize.job", age_s=7200).id
    done = cli.put_done("mail.job", age_s=7200).id
    for words, ids in (
        (("rm", "--all", "failed", "-H", "mail", "-n"), [old, new]),
        (("rm", "--all", "failed", "done", "--since", "1h", "-n"), [new]),
        (("requeue", "--all", "-n"), [old, other, new]),
        (("requeue", "--all", "done", "-n"), [done]),
        (("rm", "--all", "failed", "-H", "mail", "--older-than", "1h"),
         [old]),
    ):
        assert cli(*words).lines == ids, words
    assert cli.state_of(old) is None
    assert cli("requeue", "--all").lines == [other, new]
    assert cli.state_of(done) == "done"


def test_a_dry_run_only_tells(cli: Cli) -> None:
    """-n prints which jobs would be moved, and moves none."""
    job = cli.put_failed(out=b"x").id
    before = cli.tree()
    for words in ("rm", job), ("requeue", job), ("rm", "--all", "failed"):
        assert cli(*words, "-n").lines == [job]
    assert stay(cli, before)


def test_nothing_matches(cli: Cli) -> None:
    """--all of none is no error, and said."""
    done = cli("requeue", "--all")
    assert done.raw == b"" and "no jobs match" in done.err


@BOTH
def test_many_are_asked_for(cli: Cli, verb: str) -> None:
    """On a terminal --all asks; only a yes moves jobs, -y does not ask."""
    for _ in range(3):
        cli.put_failed()
    before = cli.tree()
    words = verb, "--all", "failed"
    status, lines = cli.on_terminal(*words, typed=b"n\n")
    assert status != 0 and f"{verb} 3 jobs?" in "".join(lines)
    assert stay(cli, before)
    if verb == "rm":
        status, lines = cli.on_terminal(*words, typed=b"y\n")
    else:
        status, lines = cli.on_terminal(*words, "-y")
        assert len(lines) == 3
    assert status == 0 and cli.listed("failed") == []


@pytest.mark.parametrize("words", [
    ("requeue",), ("rm", "--all"), ("rm", "--all", "nonsense"),
    ("rm", "-H", "mail", "ID"), ("requeue", "--since", "1h"),
])
def test_usage_errors_do_nothing(cli: Cli, words: tuple[str, ...]) -> None:
    """What was typed wrong exits 2, and nothing was done."""
    job = cli.put_failed("mail.job")
    before = cli.tree()
    words = tuple(job.id if word == "ID" else word for word in words)
    done = cli(*words, status=2)
    assert done.err and done.out == ""
    assert stay(cli, before)


# Which states.


@pytest.mark.parametrize(("verb", "state"), [
    ("requeue", "deferred"), ("requeue", "hold"), ("rm", "active"),
])
def test_a_wrong_state_is_refused(cli: Cli, verb: str, state: str) -> None:
    """If one of several jobs cannot be moved so, exit 2, and none is."""
    good = cli.put_failed()
    bad = cli.put(state)
    before = cli.tree()
    done = cli(verb, good.id, bad.id, status=2)
    word = "held" if state == "hold" else state
    assert f"{bad.id} is {word}; {verb} is for jobs that are" in done.err
    assert done.out == "" and stay(cli, before)


def test_a_missing_job_stops_all(cli: Cli) -> None:
    """If one of several words means no job, exit 4, and none is moved."""
    good = cli.put_failed()
    before = cli.tree()
    cli("requeue", good.id, "nonsense", status=4)
    cli("rm", "-", input=f"{good.id}\nnonsense\n", status=4)
    assert stay(cli, before)


def test_all_active_is_refused(served: Served) -> None:
    """Running jobs are neither deleted nor sent back; they go on."""
    job_id, let_go = served.running()
    for words in ("rm", job_id), ("rm", "--all", "active"), (
        "requeue", "--all", "all"
    ):
        served(*words, status=2)
    let_go()
    served("wait", job_id)


# What is left.


def test_rm_leaves_nothing(cli: Cli) -> None:
    """A job is deleted from every state together with all beside it."""
    told = {"out": b"x", "err": b"y", "told": {}}
    jobs = [
        cli.put_done(**told), cli.put_failed(out=b"x", err=b"y"),
        cli.put_deferred(out=b"x"), cli.put("hold"), cli.put_waiting(),
        cli.put_done("a.txt", twin=TWIN, **told),
    ]
    retried = cli.put_waiting(runs=1)
    cli.write_record("deferred", retried)
    cli.drop("just dropped")
    cli("rm", *(job.id for job in jobs[:5]), "a.txt", retried.id,
        "just dropped")
    assert set(map(tuple, cli.tree().values())) == {()}


def test_requeue_begins_anew(cli: Cli) -> None:
    """A requeued job waits as if it were new, under its id and name."""
    jobs = [
        cli.put_failed(
            "scan.pdf", priority=8, runs=3, out=b"x", err=b"y"
        ),
        cli.put_done("a.job", handler="mail", out=b"x", told={}),
    ]
    cli.write_record("deferred", jobs[0])
    cli("requeue", jobs[0].id, jobs[1].id)
    assert cli.listed("incoming") == [
        f"1.{jobs[0].id}.b0,scan.pdf", f"4.{jobs[1].id}.hmail.b0,a.job"
    ]
    tree = cli.tree()
    assert tree.pop("incoming") and set(map(tuple, tree.values())) == {()}
    job = cli("show", "--json", jobs[0].id).object
    assert (job["attempts"], job["reason"], job["runs"]) == (0, None, [])


def test_a_requeued_job_runs_again(served: Served) -> None:
    """After its cause was mended, a requeued job succeeds at once."""
    mark = served.path.parent / "mark"
    job_id = served.settled("sh", f"cat {mark}")
    assert served.state_of(job_id) == "failed"
    mark.write_text("mended")
    served("requeue", "--all", "-H", "sh")
    served("wait", job_id)
    job = served("show", "--json", job_id).object
    assert (job["state"], job["attempts"]) == ("done", 1)
    assert served("log", job_id).raw == b"mended"


#: Lets spoold be faster than us: before anything is deleted that a requeued
#: job left, the job has run again.
OVERTAKEN = """\
import os, runpy, sys, time
sys.argv[:] = sys.argv[1:]
real, failed = os.unlink, os.path.join(sys.argv[2], "failed")
def unlink(path, **more):
    deadline = time.monotonic() + 30
    while not any("," in entry for entry in os.listdir(failed)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    real(path, **more)
os.unlink = unlink
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_quick_second_run_keeps_its_result(served: Served) -> None:
    """requeue deletes what the first run left, never what the second
    leaves."""
    job_id = served.settled("sh", "echo no credentials >&2; exit 1")
    argv = served.argv("requeue", job_id)
    served(argv=[argv[0], "-c", OVERTAKEN, *argv[1:]])
    served.await_state(job_id, "failed")
    assert served("log", job_id).err == "no credentials\n"
    (row,) = served("ls").rows
    assert row[6] == "exit 1: no credentials"
