# SPDX-License-Identifier: MIT
"""spoolctl show, log and wait: one job, whatever state it is in."""

import os
import re
from collections.abc import Callable

import pytest

from spooler import names

from .harness import (
    CONFIG,
    FIELDS,
    FINAL_FIELDS,
    NS,
    Cli,
    Served,
    new_id,
)

SHOW_FIELDS = {"file", "runs"}


def fields(text: str) -> dict[str, str]:
    """The 'label: text' lines of show."""
    return dict(re.findall(r"^(\w+): +(\S.*)$", text, re.MULTILINE))


# show


def test_show_a_done_job(cli: Cli) -> None:
    """All of a finished job is in one place: fields, value, output, file."""
    job = cli.put_done(
        "scan.pdf", priority=7, age_s=7230, out=b"1 page\n", err=b"warm\n",
        told={"handler": "ocr", "value": {"pages": 1}, "tags": ("a", "é")},
    )
    shown = cli("show", job.id).out
    told = fields(shown)
    assert told["id"] == job.id and told["name"] == "scan.pdf"
    assert told["handler"] == "ocr" and told["state"] == "done  in 1.5s"
    assert (told["priority"], told["attempts"]) == ("7", "1 of 3")
    assert re.fullmatch(r"[-\d]+T[:\d]+Z \(2h ago\)", told["submitted"])
    assert told["took"] == "1.5s" and told["tags"] == "a, é"
    assert told["value"] == "{'pages': 1}" or told["value"] == '{"pages": 1}'
    assert told["file"] == str(cli.path / "done" / str(job))
    assert "stdout (7 B):\n  1 page\n" in shown
    assert "stderr (5 B):\n  warm\n" in shown


def test_show_a_failed_job(served: Served) -> None:
    """A failed job shows its reason and each of its runs."""
    job_id = served.settled("sh", "echo no credentials >&2; exit 65")
    shown = served("show", job_id).out
    told = fields(shown)
    assert told["state"] == "failed  exit 65: no credentials"
    assert re.search(r"^runs:\n  1  \S+Z +\S+  exit 65: no", shown, re.M)
    job = served("show", "--json", job_id).object
    assert FINAL_FIELDS | SHOW_FIELDS <= set(job)
    assert job["reason"]["status"] == job["exit_status"] == 65
    (run,) = job["runs"]
    assert (run["run"], run["kind"], run["status"]) == (1, "exit", 65)
    assert run["rusage"]["maxrss"] > 0
    assert job["started"] <= job["finished"]


def test_show_a_traceback(cli: Cli) -> None:
    """What a Python handler raised is shown, inert, and whole in JSON."""
    text = 'Traceback\n  File "x.py"\nValueError: \x1b[31m\n'
    job = cli.put_failed(verdict="error", told={"traceback": text})
    shown = cli("show", job.id).out
    assert '  ValueError: \\x1b[31m\n' in shown and "\x1b" not in shown
    assert cli("show", "--json", job.id).object["traceback"] == text


def test_show_a_deferred_job(cli: Cli) -> None:
    """A job that backs off shows when it is due, and why."""
    job = cli.put_deferred(in_s=375)
    told = fields(cli("show", job.id).out)
    assert re.fullmatch(
        r"deferred  in 6m\d+s; exit 75: 421 greylisted", told["state"]
    )
    assert re.search(r"\(6m\d+s from now\)", told["due"])


def test_show_a_running_job(served: Served) -> None:
    """A running job shows its state, and in JSON the process."""
    job_id, _ = served.running()
    assert fields(served("show", job_id).out)["state"].startswith(
        "active  for "
    )
    job = served("show", "--json", job_id).object
    assert FIELDS | SHOW_FIELDS <= set(job)
    assert (job["state"], job["attempts"]) == ("active", 1)
    os.kill(job["worker_pid"], 0)
    assert os.getpgid(job["worker_pid"]) != os.getpgid(0)


def test_show_a_waiting_job(cli: Cli) -> None:
    """A waiting job shows what it waits for."""
    job = cli.put_waiting()
    told = fields(cli("show", job.id).out)
    assert told["state"] == "incoming  spoold is not running"
    assert told["attempts"] == "0"


def test_show_a_file_not_yet_admitted(cli: Cli) -> None:
    """A file that was just dropped has no id yet: its name will do."""
    cli.drop(b"\xff\x1b[2J.txt")
    job = cli("show", b"\xff\x1b[2J.txt", "--json").object
    assert job["name"] == r"\xff\x1b[2J.txt" and job["state"] == "incoming"
    told = fields(cli("show", r"\xff\x1b[2J.txt").out)
    assert told["name"] == r"\xff\x1b[2J.txt"
    assert told["file"].endswith(r"/incoming/\xff\x1b[2J.txt")


def test_show_several(cli: Cli) -> None:
    """Several jobs come one after the other, or one a line in JSON."""
    ids = [cli.put_done().id, cli.put_failed().id]
    jobs = cli("show", "--json", *ids).objects
    assert [job["id"] for job in jobs] == ids
    shown = cli("show", *ids).out
    assert re.findall(r"^id: +(\S+)$", shown, re.MULTILINE) == ids


def test_show_cuts_long_output(cli: Cli) -> None:
    """Only the tail of long output is shown, inert, and how to see all."""
    lines = b"".join(b"line %d\x1b[1m\n" % number for number in range(999))
    job = cli.put_done(out=lines, told={})
    shown = cli("show", job.id).out
    assert f"'spoolctl log {job.id}'" in shown
    assert r"  line 998\x1b[1m" in shown and "line 980" not in shown
    assert "\x1b" not in shown


# Which job is meant.


def test_ids_may_be_shortened(cli: Cli) -> None:
    """The beginning of an id will do if no other id begins so."""
    stamp = new_id()[:names.TIME_CHARS]
    one = cli.put_done(id=stamp + "a000000").id
    cli.put_done(id=stamp + "b000000")
    assert cli("show", "--json", one[:14]).object["id"] == one
    done = cli("show", one[:13], status=4)
    assert one in done.err and "more of it" in done.err and done.out == ""


@pytest.mark.parametrize("verb", ["wait", "rm"])
def test_no_such_job(cli: Cli, verb: str) -> None:
    """A word that means no job exits 4, and names it without escapes."""
    job = cli.put_failed("a.txt")
    done = cli(verb, "b\x1b[31m.txt", status=4)
    assert r"b\x1b[31m.txt: no such job" in done.err and done.out == ""
    assert cli.state_of(job.id) == "failed"


@pytest.mark.parametrize("verb", ["show", "rm"])
def test_an_empty_word_is_no_job(cli: Cli, verb: str) -> None:
    """An empty word, as of an unset variable, never means the only job."""
    job = cli.put_failed()
    cli(verb, "", status=4)
    assert cli.state_of(job.id) == "failed"


def test_the_latest_of_a_name(cli: Cli) -> None:
    """Of several jobs of one name the latest is meant; stderr says so."""
    cli.put_done("scan.pdf", age_s=60)
    latest = cli.put_failed("scan.pdf", age_s=30)
    cli.put_done("scan.pdf", age_s=90)
    done = cli("show", "--json", "scan.pdf")
    assert done.object["id"] == latest.id
    assert "3 jobs" in done.err and latest.id in done.err
    assert cli("show", latest.id).err == ""


def test_what_was_just_dropped_is_the_latest(cli: Cli) -> None:
    """A file that is not admitted yet is later than any job of its name."""
    cli.put_done("scan.pdf", age_s=60)
    cli.drop("scan.pdf")
    done = cli("show", "--json", "scan.pdf")
    assert done.object["state"] == "incoming"


# log


def test_log_keeps_the_streams_apart(served: Served) -> None:
    """Standard output goes to ours, standard error to ours, unchanged."""
    job_id = served.settled("sh", "printf 'out\\377'; echo err >&2")
    done = served("log", job_id)
    assert (done.raw, done.err) == (b"out\xff", "err\n")


def test_log_is_exact(cli: Cli) -> None:
    """Every byte of a large output comes through a pipe."""
    data = bytes(range(256)) * 4000
    job = cli.put_done(out=data, told={})
    assert cli("log", job.id[:19]).raw == data


def test_log_is_inert_on_a_terminal(cli: Cli) -> None:
    """A person's terminal gets escapes in words; tabs and lines stay."""
    data = b"\x1b[31mred\tand\x07\xff\n\nlast"
    job = cli.put_done(out=data, told={})
    status, lines = cli.on_terminal("log", job.id)
    assert status == 0
    assert lines == [r"\x1b[31mred" + "\tand" + r"\x07\xff", "", "last"]


@pytest.mark.parametrize("state", ["done", "incoming", "deferred"])
def test_log_of_nothing(cli: Cli, state: str) -> None:
    """A job that wrote nothing is no error; stderr says so."""
    due = {"due_ns": 9 * 10 ** 9 * NS} if state == "deferred" else {}
    job = cli.put(state, **due)
    done = cli("log", job.id)
    assert done.raw == b"" and "wrote nothing" in done.err


def test_log_of_a_job_to_be_tried_again(cli: Cli) -> None:
    """The last run's output is shown while the job waits for the next."""
    job = cli.put_deferred(out=b"first try\n")
    assert cli("log", job.id).raw == b"first try\n"
    os.rename(
        cli.path / "deferred" / str(job),
        cli.path / "incoming" / str(job.waiting(1)),
    )
    assert cli("log", job.id).raw == b"first try\n"


# wait


def test_wait_for_what_is_final(cli: Cli) -> None:
    """A job that has ended gives its status at once, without a daemon."""
    for verdict, status in (
        ("exit255", 255), ("sig9", 137), ("timeout", 1),
    ):
        done = cli("wait", cli.put_failed(verdict=verdict).id, status=status)
        assert done.raw == b"" and done.err == "", verdict
    cli("wait", cli.put_done().id)


def test_wait_for_several(cli: Cli) -> None:
    """Of several jobs: 0 if all are done, 1 if one failed."""
    one, two = cli.put_done().id, cli.put_done("a.txt").id
    bad = cli.put_failed(verdict="exit7").id
    cli("wait", one, "a.txt")
    cli("wait", one, bad, two, status=1)
    cli("wait", "-", status=1, input=f"{one}\n{bad}\n")
    done = cli("wait", "--json", one, bad, status=1)
    assert [job["id"] for job in done.objects] == [one, bad]
    assert all(set(job) == FINAL_FIELDS for job in done.objects)


def test_wait_gives_up(cli: Cli) -> None:
    """--timeout ends with 124, and says what is unfinished."""
    one, two = cli.put_waiting().id, cli.put_done().id
    for patience in "0", "50ms":
        done = cli("wait", one, two, "--timeout", patience, status=124)
        assert "1 still unfinished" in done.err


def test_wait_until_it_ends(served: Served) -> None:
    """wait returns when the job ends, with its own status."""
    one, let_one_go = served.running()
    two, let_two_go = served.running()
    waiting = served.start("wait", "--json", one, two)
    served("wait", "--timeout", "0", one, status=124)
    let_two_go()
    assert waiting.stdout is not None
    assert b'"done"' in waiting.stdout.readline(), "told as it ends"
    assert waiting.poll() is None
    let_one_go()
    done = served.ended(waiting)
    assert done.object["id"] == one


def test_wait_exits_as_the_job(served: Served) -> None:
    """An exit status is passed on, a signal as 128 and its number."""
    for script, status in (
        ("exit 3", 3), ("kill -KILL $$", 137), ("kill -TERM $$", 143),
    ):
        served("wait", served.submit("sh", script), status=status)


def test_wait_for_a_job_that_is_retried(
    serve: Callable[..., Served]
) -> None:
    """A deferred job has not ended: wait sees its last run."""
    served = serve(CONFIG + (
        '[handler.soon]\ncommand = ["sh", "-c"]\nbackoff = "10ms"\n'
    ))
    mark = served.path.parent / "mark"
    script = f"test -e {mark} || {{ touch {mark}; exit 1; }}"
    job_id = served.submit("soon", script)
    served("wait", job_id)
    assert served("show", "--json", job_id).object["attempts"] == 2


def test_wait_for_what_was_just_dropped(cli: Cli) -> None:
    """A file is waited for by name, and found again once it has an id."""
    cli.drop("a.txt")
    process = cli.waiting("a.txt")
    (cli.path / "incoming" / "a.txt").unlink()
    job = cli.put_failed("a.txt", verdict="exit9")
    done = cli.ended(process, status=1)
    assert done.object["id"] == job.id


def test_wait_looks_around(cli: Cli) -> None:
    """Events may be lost, so wait looks after 5 s: a job that was removed
    ends it with 4; an old job of the same name does not end it."""
    cli.put_failed("a.txt", age_s=60)
    cli.drop("a.txt")
    anew = cli.waiting("a.txt")
    job = cli.put_waiting()
    cli.drop(b"\xff\x1b[31m.txt")
    both = [cli.waiting(word) for word in (job.id, b"\xff\x1b[31m.txt")]
    for entry in set(cli.listed("incoming")) - {"a.txt"}:
        (cli.path / "incoming" / entry).unlink()
    done = cli.ended(both[0], status=4)
    assert job.id in done.err and done.raw == b""
    done = cli.ended(both[1], status=4)
    assert r"\xff\x1b[31m.txt" in done.err and "\x1b" not in done.err
    assert anew.poll() is None
    (cli.path / "incoming" / "a.txt").unlink()
    new = cli.put_done("a.txt")
    assert cli.ended(anew).object["id"] == new.id
