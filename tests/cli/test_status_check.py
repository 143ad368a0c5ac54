# SPDX-License-Identifier: MIT
"""spoolctl status and check: is it fine, and if not, what is wrong."""

import os
import pathlib
import re
import shlex
import signal
from collections.abc import Callable
from typing import Any

import pytest

from spooler import names, record
from spooler.record import Record
from spooler.spool import PRIVATE

from .harness import (
    CLAIM,
    CONFIG,
    NOBODY,
    NS,
    Cli,
    Served,
    as_nobody,
    new_id,
)

STATUS_FIELDS = {
    "v", "spool", "running", "pid", "started", "trouble", "closed", "paused",
    "tripped", "watching",
    "stopping", "slots", "jobs", "oldest", "strays",
}
NO_JOBS = dict.fromkeys(
    ("held", "incoming", "deferred", "active", "done", "failed"), 0
)
IS_ROOT = os.getuid() == 0


# status


def test_status_without_a_daemon(cli: Cli) -> None:
    """Without spoold status exits 3, and still counts jobs."""
    cli.put_waiting(age_s=7230)
    cli.put_waiting(age_s=60)
    cli.put_failed()
    cli.put_done(out=b"x", told={})
    done = cli("status", status=3)
    told = dict(re.findall(r"^(\w+): +(.*)$", done.out, re.MULTILINE))
    assert told["spool"] == str(cli.path)
    assert told["status"] == "look here"
    assert told["spoold"].startswith("not running")
    assert f"'spoold {cli.path}'" in told["spoold"], "what to type"
    assert told["incoming"] == "2, the oldest for 2h"
    assert told["done"] == "1" and told["failed"].startswith("1")
    status = cli("status", "--json", status=3).object
    assert set(status) == STATUS_FIELDS
    assert (status["v"], status["running"], status["pid"]) == (1, False, None)
    assert status["jobs"] == {
        **NO_JOBS, "incoming": 2, "failed": 1, "done": 1
    }
    assert re.fullmatch(r"[-\d]+T[:\d]+\.\d{6}Z", status["oldest"])


def test_status_with_a_daemon(served: Served) -> None:
    """With spoold status exits 0, and tells what it is at."""
    served.running()
    done = served("status")
    assert done.out.startswith("status:    all is well\n")
    assert f"running, pid {served.daemon.pid}, since " in done.out
    assert "1 of 4 slots busy" in done.out
    status = served("status", "--json").object
    assert set(status) == STATUS_FIELDS
    assert (status["running"], status["pid"], status["slots"]) == (
        True, served.daemon.pid, 4
    )
    assert (status["trouble"], status["stopping"]) == (None, False)
    assert status["jobs"] == {**NO_JOBS, "active": 1}
    served.daemon.kill()
    served("status", status=3)


def test_status_of_a_hung_daemon(served: Served) -> None:
    """A daemon that does not answer is trouble: 1, and said."""
    os.kill(served.daemon.pid, signal.SIGSTOP)
    done = served("status", status=1)
    assert "does not answer" in done.out
    assert done.out.startswith("status:    look here\n")


def test_status_counts_what_ls_lists(cli: Cli) -> None:
    """status and ls agree on what is a job and what is not."""
    cli.put_waiting()
    for name in "a.txt", "a,b.txt", "a,b.part", ".a,b", "draft~", "~,~":
        cli.drop(name)
    for name in "directory", "directory,too":
        (cli.path / "incoming" / name).mkdir()
    for name in "stray,file", "stray":
        (cli.path / "done" / name).touch()
    cli.put_done(out=b"x", told={})
    jobs = cli("status", "--json", status=3).object["jobs"]
    listed = cli("ls", "all", "--json").objects
    assert jobs == {
        word: sum(job["state"] == word for job in listed) for word in jobs
    }


def test_status_tells_of_strays(
    cli: Cli, serve: Callable[..., Served]
) -> None:
    """Files that spoold leaves alone are counted, and check is named."""
    cli.drop(".hidden")
    served = serve(CONFIG)  # on the same spool
    assert served("status", "--json").object["strays"] == 1
    assert re.search(r"^strays: +1 .*'spoolctl check'", served("status").out,
                     re.MULTILINE)


@pytest.mark.skipif(not IS_ROOT, reason="only root can be another user")
@pytest.mark.parametrize("verb", ["status", "ls"])
def test_others_are_kept_out(public: Cli, verb: str) -> None:
    """Who may not read the spool gets 77 and a word."""
    done = public(argv=as_nobody(public, verb), status=77)
    assert "Permission denied" in done.err and done.out == ""


# check


def test_a_new_spool_is_whole(cli: Cli) -> None:
    """check of a spool that no daemon ever served finds nothing."""
    done = cli("check")
    assert done.out == "" and "all invariants hold" in done.err


def test_a_spool_at_work_is_whole(serve: Callable[..., Served]) -> None:
    """check finds nothing on a spool under load, nor when it has ended."""
    served = serve(CONFIG + """
[handler.square]
python = "spooler.tour:square"
[handler.flaky]
command = ["sh", "-c", "echo out; echo err >&2; exit $(($$ % 3))"]
backoff = "20ms"
""")
    numbers = [str(number) for number in range(1000)]
    served("submit", "--batch", "flaky", input="\n".join(numbers[:30]))
    served("submit", "--batch", "square", input="\n".join(numbers))
    for number in range(20):
        served.drop(f"{number}.txt", b"some words")
    left = 1
    while left:
        served("check")
        jobs = served("status", "--json").object["jobs"]
        left = jobs["incoming"] + jobs["active"] + jobs["deferred"]
    assert served("check", "--json").out == ""
    assert sum(jobs.values()) == 30 + 1000 + 20


def lock_directory(cli: Cli) -> None:
    """Leave the private directory as a daemon that ended leaves it."""
    for name in "locks", "work":
        (cli.path / PRIVATE / name).mkdir(exist_ok=True)


def write(path: pathlib.Path, data: bytes = b"") -> str:
    """Write a file; returns its path below the spool."""
    path.write_bytes(data)
    return f"{path.parent.name}/{path.name}"


def under(state: str, job: names.Name) -> str:
    """The path of a job below the spool."""
    return f"{state}/{job}"


def chmod(path: pathlib.Path, mode: int, name: str) -> str:
    """Change a mode; returns *name*."""
    path.chmod(mode)
    return name


def altered(cli: Cli, old: bytes, new: bytes) -> str:
    """A record of which some bytes were changed."""
    job = cli.put_failed(text="no credentials")
    path = cli.beside("failed", job, "result")
    assert old in path.read_bytes()
    return write(path, path.read_bytes().replace(old, new))


def cut_record(cli: Cli) -> str:
    """A record of which the end is missing."""
    path = cli.beside("failed", cli.put_failed(), "result")
    return write(path, path.read_bytes()[:-9])


def others_record(cli: Cli) -> str:
    """A record that speaks of another job."""
    job = cli.put_failed()
    cli.write_record("failed", job, id="0" * 20)
    return f"failed/{job.stem}.result"


def wrong_output(cli: Cli, kind: str, size: int | None) -> str:
    """Output of another size than its record says."""
    job = cli.put_done(told={f"{kind}_bytes": 5})
    path = cli.beside("done", job, kind)
    if size is not None:
        path.write_bytes(b"x" * size)
    return f"done/{path.name}"


def beside_nothing(cli: Cli, state: str, kind: str) -> str:
    """A sidecar without a job."""
    job_id = new_id()
    data = record.encode(Record(job_id)) if kind == "result" else b"x"
    return write(cli.path / state / f"4.{job_id}.{kind}", data)


def twice(cli: Cli, *states: str) -> str:
    """One id in two places; returns the second."""
    job_id = new_id()
    forms: dict[str, dict[str, Any]] = {
        "incoming": {}, "hold": {}, "deferred": {"due_ns": 1 << 60},
        "done": {"runs": 1, "verdict": "ok"},
        "failed": {"runs": 1, "verdict": "exit1"},
    }
    for number, state in enumerate(states):
        cli.put(state, id=job_id, priority=5 + number, **forms[state])
    return job_id


def special(cli: Cli, kind: str) -> str:
    """Something else than a file, dropped."""
    path = cli.path / "incoming" / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        path.mkdir()
    return f"incoming/{kind}"


def dropped(cli: Cli, name: str) -> str:
    """A file with a name of its producer's choice."""
    cli.drop(name)
    return f"incoming/{name}"


#: Every way to break a spool: the invariant, what breaks it, and a part of
#: what must be said.
SEEDS: dict[str, tuple[int, Callable[[Cli], str], str]] = {
    "root-writable": (1, lambda c: chmod(c.path, 0o777, "."), "write"),
    "private-writable": (
        1, lambda c: chmod(c.path / "done", 0o720, "done"), "write"),
    "run-writable": (
        1, lambda c: chmod(c.path / PRIVATE, 0o722, PRIVATE), "write"),
    "not-sticky": (
        1, lambda c: chmod(c.path / "incoming", 0o2733, "incoming"),
        "+t incoming"),
    "listable": (
        1, lambda c: chmod(c.path / "tmp", 0o3777, "tmp"), "list"),
    "config-writable": (
        1, lambda c: chmod(c.path / "spool.toml", 0o666, "spool.toml"),
        "runs"),
    "stray-done": (2, lambda c: write(c.path / "done" / "notes"), "no job"),
    "stray-failed": (2, lambda c: write(c.path / "failed" / "a,b"), "no job"),
    "stray-new": (2, lambda c: write(c.path / "done" / "a.new"), "no job"),
    "stray-deferred": (
        2, lambda c: write(c.path / "deferred" / ".x.swp"), "no job"),
    "stray-active": (
        2, lambda c: write(c.path / "active" / "scan.pdf"), "no job"),
    "stray-hold": (2, lambda c: write(c.path / "hold" / "a.job"), "no job"),
    "active-unclaimed": (
        3, lambda c: under("active", c.put("active")), "no claim"),
    "deferred-without-due": (
        3, lambda c: under("deferred", c.put("deferred")), "due"),
    "deferred-claimed": (
        3, lambda c: under("deferred", c.put(
            "deferred", runs=1, due_ns=NS, claim=CLAIM)), "claim"),
    "held-claimed": (
        3, lambda c: under("hold", c.put(
            "hold", runs=1, claim=CLAIM)), "claim"),
    "done-without-verdict": (
        3, lambda c: under("done", c.put("done")), "verdict"),
    "done-failed": (
        3, lambda c: under("done", c.put_done(verdict="exit1")), "exit1"),
    "done-due": (
        3, lambda c: under("done", c.put_done(due_ns=NS)), "due"),
    "failed-ok": (
        3, lambda c: under("failed", c.put_failed(verdict="ok")), "ok"),
    "waits-and-deferred": (4, lambda c: twice(c, "incoming", "deferred"), ""),
    "waits-and-held": (4, lambda c: twice(c, "hold", "incoming"), ""),
    "waits-twice": (4, lambda c: twice(c, "incoming", "incoming"), ""),
    "held-and-deferred": (4, lambda c: twice(c, "hold", "deferred"), ""),
    "waits-and-done": (4, lambda c: twice(c, "incoming", "done"), ""),
    "done-and-failed": (4, lambda c: twice(c, "done", "failed"), ""),
    "interrupted": (
        5, lambda c: under("active", c.put_active()), "dead"),
    "lonely-result": (
        6, lambda c: beside_nothing(c, "done", "result"), "no job"),
    "lonely-out": (6, lambda c: beside_nothing(c, "failed", "out"), "no job"),
    "lonely-err": (6, lambda c: beside_nothing(c, "done", "err"), "no job"),
    "lonely-deferred": (
        6, lambda c: beside_nothing(c, "deferred", "out"), "no job"),
    "lonely-held": (6, lambda c: beside_nothing(c, "hold", "out"), "no job"),
    "altered": (
        7, lambda c: altered(c, b"no credentials", b"all was well  "),
        "altered"),
    "torn": (7, cut_record, "torn"),
    "of-another": (7, others_record, "another"),
    "output-short": (7, lambda c: wrong_output(c, "out", 3), "3 bytes"),
    "output-long": (7, lambda c: wrong_output(c, "err", 9), "9 bytes"),
    "output-missing": (7, lambda c: wrong_output(c, "out", None), "0 bytes"),
    "directory": (8, lambda c: special(c, "directory"), "directory"),
    "fifo": (8, lambda c: special(c, "fifo"), "regular"),
    "link": (8, lambda c: special(c, "link"), "regular"),
    "dot": (8, lambda c: dropped(c, ".hidden"), "dot"),
    "unfinished": (8, lambda c: dropped(c, "draft~"), "written"),
    "too-long": (8, lambda c: dropped(c, "x" * 201), "201 bytes"),
    "long-document": (
        8, lambda c: dropped(c, "x" * 157 + ".job"), "161 bytes"),
}


@pytest.fixture
def whole(cli: Cli) -> Cli:
    """A spool of which nothing is wrong yet, with jobs in every state."""
    lock_directory(cli)
    cli.configure("")
    cli.put_waiting()
    cli.put_deferred(out=b"x")
    cli.put("hold", "a.txt")
    cli.put_done("a.txt", out=b"out", err=b"err", told={})
    cli.put_failed("b.txt")
    cli.drop("c.txt")
    (cli.path / "tmp" / "being-written").touch()
    return cli


@pytest.mark.parametrize("numbers", [
    (1, 2), (3,), (4, 5), (6, 7), (8,),
], ids=str)
def test_every_violation_is_found(
    whole: Cli, numbers: tuple[int, ...]
) -> None:
    """Each seeded violation is named with its invariant, and no other."""
    expected = {}
    for seed, (number, sow, part) in SEEDS.items():
        if number in numbers:
            expected[seed] = number, sow(whole), part
    done = whole("check", "--json", status=1)
    found = done.objects
    for finding in found:
        assert set(finding) == {"v", "invariant", "path", "what", "todo"}
    missed = {
        seed: what for seed, what in expected.items()
        if not any(
            finding["invariant"] == what[0]
            and what[1] in finding["path"] + finding["what"]
            and what[2] in finding["what"] + finding["todo"]
            for finding in found
        )
    }
    assert not missed, done.out
    assert len(found) == len(expected), done.out
    whole.path.chmod(0o755)


def test_one_violation_is_one_line(whole: Cli) -> None:
    """In text a violation is one line: invariant, path, what, what to do."""
    whole.drop(".\x1b[31m\n")
    done = whole("check", status=1)
    assert done.lines == [
        r"I8 incoming/.\x1b[31m\n: name starts with a dot; it is left alone;"
        " rename it, or move it away"
    ]
    assert "1 violation" in done.err


def test_a_whole_spool_has_none(whole: Cli) -> None:
    """Jobs in every state, with all that belongs to them, are no
    violation."""
    assert whole("check").out == ""


#: Runs a program as if it were two days later.
LATER = """\
import runpy, sys, time
sys.argv[:] = sys.argv[1:]
now = time.time
time.time = lambda: now() + 48 * 3600
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_what_was_never_finished_is_found(whole: Cli) -> None:
    """A file that lies in tmp/ for two days was left by a dead producer."""
    argv = whole.argv("check", "--json")
    done = whole(argv=[argv[0], "-c", LATER, *argv[1:]], status=1)
    assert done.object["invariant"] == 9
    assert done.object["path"] == "tmp/being-written"


#: The right that helps; make_unreadable's group is none of spoold's.
MISSING = "o+r" if IS_ROOT else "u+r"


def make_unreadable(cli: Cli, name: str) -> None:
    """Drop a file that the spool's owner may not read."""
    cli.drop(name)
    path = cli.path / "incoming" / name
    path.chmod(0o600 if IS_ROOT else 0)
    if IS_ROOT:
        for place in (cli.path, *cli.path.iterdir()):
            os.chown(place, NOBODY, NOBODY)


def test_unreadable_files_are_found(whole: Cli) -> None:
    """A file that spoold may not read is found before it fails."""
    make_unreadable(whole, "mine.txt")
    found = [
        finding for finding in whole("check", "--json", status=1).objects
        if finding["path"] == "incoming/mine.txt"
    ]
    (finding,) = found
    assert finding["invariant"] == 8
    assert "not readable by spoold (mode 0" in finding["what"]
    assert finding["todo"] == f"chmod {MISSING} incoming/mine.txt"


def test_what_to_type_can_be_typed(whole: Cli) -> None:
    """A file's name cannot smuggle a command into what a person pastes."""
    name = "a; touch pwned; $(touch pwned).txt"
    make_unreadable(whole, name)
    for finding in whole("check", "--json", status=1).objects:
        if finding["path"] == f"incoming/{name}":
            words = shlex.split(finding["todo"])
            assert words == ["chmod", MISSING, f"incoming/{name}"]
            break
    else:
        raise AssertionError("not found")


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_owners_are_checked(whole: Cli) -> None:
    """A directory or configuration of somebody else is a violation."""
    os.chown(whole.path / "done", NOBODY, NOBODY)
    os.chown(whole.path / "spool.toml", NOBODY, NOBODY)
    found = whole("check", "--json", status=1).objects
    assert {(f["invariant"], f["path"]) for f in found} == {
        (1, "done"), (1, "spool.toml")
    }


def test_check_changes_nothing(whole: Cli) -> None:
    """check only looks, whatever it finds."""
    for _, sow, _ in SEEDS.values():
        sow(whole)
    whole.path.chmod(0o755)
    before = whole.tree()
    whole("check", status=1)
    assert whole.tree() == before


def test_check_survives_every_name(whole: Cli) -> None:
    """Names of any bytes are inert in text and valid JSON."""
    for name in b"\xff\xfe", b"new\nline.part", "\u202e~".encode():
        whole.drop(name)
    assert len(whole("check", "--json", status=1).objects) == 2
    for line in whole("check", status=1).lines:
        assert line.isprintable()


def test_an_interrupted_job_is_found(served: Served) -> None:
    """An active job is a violation once its daemon is dead, not before."""
    job_id, _ = served.running()
    served("check")
    served.daemon.kill()
    done = served("check", status=1)
    assert done.out.startswith("I5 active/") and job_id in done.out


def test_twins_are_left_to_a_person(whole: Cli) -> None:
    """No merging is promised where nobody merges: spool(5), CAVEATS."""
    twice(whole, "done", "failed")
    finding = whole("check", "--json", status=1).object
    assert finding["invariant"] == 4
    assert "merges" not in finding["todo"]
