# SPDX-License-Identifier: MIT
"""events, log -f, progress, and the screens that show themselves again."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from .harness import FIELDS, TIMEOUT_S, Cli, Served, until


class Follower:
    """A verb that goes on until it is interrupted, line by line."""

    def __init__(self, cli: Cli, *words: str) -> None:
        self._cli = cli
        self.process = cli.start(*words)
        assert self.process.stdout is not None
        self._out = self.process.stdout

    def line(self) -> str:
        """The next line it prints."""
        return self._out.readline().decode()

    def object(self) -> dict[str, Any]:
        """The next line, a JSON object."""
        found = json.loads(self.line())
        assert isinstance(found, dict)
        return found

    def end(self) -> None:
        """Interrupt it, as ^C does; it exits 0."""
        self.process.send_signal(signal.SIGINT)
        self._cli.ended(self.process)


def following(cli: Cli, *words: str) -> Follower:
    """Follow the events of a spool from now on."""
    mark = cli.put_done()
    follower = Follower(cli, "events", "-f", "-n", "1", *words)
    # What lies there is told once it listens.
    assert mark.id in follower.line()
    return follower


# Moves.


def test_every_move_is_told(served: Served) -> None:
    """One line a move, in their order, with what is known of the job."""
    events = following(served, "--json")
    job = served.settled("sh", "--", "echo no >&2; exit 65")
    told = [events.object() for _ in range(3)]
    assert [event["event"] for event in told] == ["submit", "claim", "fail"]
    assert {event["id"] for event in told} == {job}
    assert set(told[0]) == FIELDS | {"event", "time"}
    assert told[2]["reason"]["text"] == "exit 65: no"
    assert told[2]["reason"]["status"] == 65
    served("requeue", job)
    assert [events.object()["event"] for _ in range(3)] == [
        "requeue", "claim", "fail"
    ]
    served("rm", job)
    gone = events.object()
    assert (gone["event"], gone["state"]) == ("purge", None)
    events.end()


def test_moves_without_spoold(cli: Cli) -> None:
    """What a person does is told while no spoold runs."""
    events = following(cli)
    job = cli("submit", "mail", "a").out.strip()
    cli("hold", job)
    cli("release", job)
    cli("rm", job)
    lines = [events.line() for _ in range(4)]
    for line, word in zip(lines, ("submit", "hold", "release", "remove")):
        assert re.fullmatch(
            rf"\d\d:\d\d:\d\d\.\d{{3}}  {word} +{job}  mail\n", line
        ), line
    events.end()


def test_a_dropped_file_is_told(served: Served) -> None:
    """It is submitted under its name, and admitted under its id."""
    events = following(served, "--json")
    served.drop("a b.txt", b"x")
    told = [events.object() for _ in range(4)]
    assert [event["event"] for event in told] == [
        "submit", "admit", "claim", "finish"
    ]
    assert [event["name"] for event in told] == ["a b.txt"] * 4
    assert len({event["id"] for event in told[1:]}) == 1
    events.end()


def test_retries_are_told(serve: Callable[..., Served]) -> None:
    """A job that is put off, and tried again, is told so."""
    served = serve(
        '[handler.h]\ncommand = ["sh", "-c", "exit 1"]\nattempts = 2\n'
        'backoff = "1ms"\n'
    )
    events = following(served, "--json")
    served.submit("h")
    assert [events.object()["event"] for _ in range(6)] == [
        "submit", "claim", "defer", "retry", "claim", "fail"
    ]
    events.end()


def test_filters_of_events(cli: Cli) -> None:
    """Only moves of the jobs that are asked for."""
    mark = cli.put_done("mail.job")
    events = Follower(cli, "events", "-f", "-n", "1", "-H", "mail")
    assert mark.id in events.line()
    cli("submit", "resize", "a")
    job = cli("submit", "mail", "a").out.strip()
    assert job in events.line()
    events.end()


def test_the_latest_moves(cli: Cli) -> None:
    """Without -f the last moves, oldest first, as many as are asked for."""
    jobs = [cli.put_done(), cli.put_failed(), cli.put_waiting()]
    for job in jobs:
        cli("submit", "mail")
    lines = cli("events").lines
    assert len(lines) == 6
    assert [line.split()[1] for line in lines[:3]] == [
        "finish", "fail", "submit"
    ]
    assert "exit 65: no credentials" in lines[1]
    assert cli("events", "-n", "2").lines == lines[-2:]
    assert cli("events", "-n", "0").lines == []
    told = cli("events", "--json", "-n", "1").object
    assert (told["event"], told["v"]) == ("submit", 1)


def test_lost_moves_are_told(cli: Cli) -> None:
    """If more moved than the kernel keeps, that is said, and it goes on."""
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        limit = int(file.read())
    if limit > 70_000:
        pytest.skip(f"{limit} events are kept; too many to overflow")
    events = following(cli, "--json")
    os.kill(events.process.pid, signal.SIGSTOP)
    for _ in range(limit // 2 + 1000):
        for state in ("incoming", "hold"):
            (cli.path / state / "4.1hqn0000000000000001,mail.job").touch()
            (cli.path / state / "4.1hqn0000000000000001,mail.job").unlink()
    os.kill(events.process.pid, signal.SIGCONT)
    job = cli("submit", "mail").out.strip()
    seen = []
    while not seen or seen[-1].get("id") != job:
        seen.append(events.object())
    assert any(event["event"] == "lost" for event in seen)
    events.end()


# Output.


@pytest.mark.parametrize("handler", ["sh", "python"])
def test_log_follows(
    serve: Callable[..., Served], handler: str
) -> None:
    """Lines are printed as they are written, until the job has ended."""
    served = serve(
        'workers = 1\n[handler.sh]\ncommand = ["sh", "-c", "echo $1; read x'
        ' <$1; echo two", "sh"]\n'
        '[handler.python]\npython = "cli.sample:slow"\n'
    )
    gate = served.path.parent / "gate"
    os.mkfifo(gate)
    job = served.submit(handler, str(gate))
    served.await_state(job, "active")
    log = Follower(served, "log", "-f", job)
    assert log.line() == f"{gate}\n"
    assert log.process.poll() is None
    gate.write_text("go\n")
    assert log.line() == "two\n"
    served.ended(log.process)
    assert served("log", job).out == f"{gate}\ntwo\n"
    assert served("log", "-f", job).out == f"{gate}\ntwo\n"


def test_log_follows_into_the_next_run(
    serve: Callable[..., Served]
) -> None:
    """A job that is tried again goes on with the output of that run."""
    served = serve(
        '[handler.h]\ncommand = ["sh", "-c", "echo run $SPOOL_ATTEMPT;'
        ' read x <$1; exit 1", "sh"]\nattempts = 2\nbackoff = "1ms"\n'
    )
    gate = served.path.parent / "gate"
    os.mkfifo(gate)
    job = served.submit("h", str(gate))
    served.await_state(job, "active")
    log = Follower(served, "log", "-f", job)
    for run in (1, 2):
        assert log.line() == f"run {run}\n"
        gate.write_text("go\n")
    served.ended(log.process)


# Progress.


@pytest.mark.parametrize("handler", ["sh", "python"])
def test_progress_is_shown(
    serve: Callable[..., Served], handler: str
) -> None:
    """What a handler says of how far it is stands in ls, show, top and
    JSON while it runs, and is gone afterwards."""
    served = serve(
        'workers = 1\n[handler.sh]\ncommand = ["sh", "-c", "echo 1/8 old'
        ' >$SPOOL_PROGRESS; echo 3/8 pages >>$SPOOL_PROGRESS; read x <$1",'
        ' "sh"]\n[handler.python]\npython = "cli.sample:far"\n'
    )
    gate = served.path.parent / "gate"
    os.mkfifo(gate)
    job = served.submit(handler, str(gate))
    until(lambda: "38% 3/8 pages" in served("ls").out, "it tells")
    assert "38% 3/8 pages" in served("show", job).out
    top = served("top").out
    assert "38% 3/8 pages" in top and job in top
    shown = served("show", job, "--json").object
    assert shown["progress"] == {"fraction": 0.375, "text": "3/8 pages"}
    assert shown["worker_pid"] and shown["started"]
    listed = served("ls", "--json").object
    assert listed["progress"] == shown["progress"]
    gate.write_text("go\n")
    served("wait", job)
    assert "progress" not in served("show", job, "--json").object


def test_hostile_progress_is_harmless(served: Served) -> None:
    """A link, a pipe, a megabyte or escapes there do no harm."""
    told = {
        "link": "ln -s /etc/passwd $SPOOL_PROGRESS",
        "pipe": "mkfifo $SPOOL_PROGRESS",
        "much": "head -c 1000000 /dev/zero >$SPOOL_PROGRESS",
        "escape": "printf '50%% \\033[2Jx' >$SPOOL_PROGRESS",
        "directory": "mkdir $SPOOL_PROGRESS",
    }
    gate = served.path.parent / "gate"
    os.mkfifo(gate)
    for script in told.values():
        mark = served.path.parent / "told"
        job = served.submit("sh", "--", f"{script}; >{mark}; read x <{gate}")
        until(mark.exists, "told")
        out = served("ls", "active").out
        assert "root" not in out and "\033" not in out
        if "50" in script:
            assert "50% \\x1b[2Jx" in out
        gate.write_text("go\n")
        served("wait", job)
        mark.unlink()


# Screens.


class Screen:
    """A verb on a terminal of 80 by 24."""

    def __init__(self, cli: Cli, *words: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            cli.argv(*words), stdin=slave, stdout=slave, stderr=slave,
            env={**cli.environ, "COLUMNS": "80", "LINES": "24"},
            start_new_session=True,
        )
        os.close(slave)
        self._seen = b""

    def shows(self, text: str) -> None:
        """Wait until *text* was on the screen since the last call."""
        while text.encode() not in self._seen:
            self._seen += os.read(self._master, 1 << 16)
        self._seen = self._seen.rpartition(text.encode())[2]

    def leave(self) -> None:
        """End it as ^C does; it puts the screen back and exits 0."""
        os.kill(self.process.pid, signal.SIGINT)
        try:
            while chunk := os.read(self._master, 1 << 16):
                self._seen += chunk
        except OSError:
            pass  # it closed the terminal
        os.close(self._master)
        assert self.process.wait(TIMEOUT_S) == 0, self._seen
        assert b"Traceback" not in self._seen
        assert b"\x1b[?1049l" in self._seen, "the other screen is left"


def test_ls_shows_itself_again(served: Served) -> None:
    """--watch draws anew when a job moves."""
    job, go = served.running()
    screen = Screen(served, "ls", "--watch", "all")
    screen.shows("active")
    go()
    screen.shows("done")
    other = served.submit("again", "--", "exit 1")
    screen.shows(other)
    screen.leave()
    assert job


def test_watch_is_for_a_terminal(cli: Cli) -> None:
    """Elsewhere it is refused, and events -f named."""
    for words in ((), ("--json",), ("-q",)):
        assert "events -f" in cli("ls", "--watch", *words, status=2).err


def test_top_is_live(served: Served) -> None:
    """top shows what runs, its handler, and the counts, again and again."""
    job, go = served.running()
    screen = Screen(served, "top")
    screen.shows("1 active")
    screen.shows(job)
    go()
    screen.shows("1 done")
    screen.leave()


def test_top_without_spoold(cli: Cli) -> None:
    """Without spoold, and without a terminal, it shows the counts once."""
    cli.put_failed()
    out = cli("top").out
    assert "not running" in out and "1 failed" in out


def test_wait_shows_progress(serve: Callable[..., Served]) -> None:
    """On a terminal wait shows how far the job is, and takes it away."""
    served = serve(
        '[handler.sh]\ncommand = ["sh", "-c", "echo 3/8 pages'
        ' >$SPOOL_PROGRESS; read x <$1", "sh"]\n'
    )
    gate = served.path.parent / "gate"
    os.mkfifo(gate)
    job = served.submit("sh", str(gate))
    screen = Screen(served, "wait", job)
    screen.shows("38%")
    screen.shows("3/8 pages")
    gate.write_text("go\n")
    assert screen.process.wait(TIMEOUT_S) == 0
    done = served("wait", job)
    assert (done.out, done.err) == ("", "")


def test_wait_counts(served: Served) -> None:
    """Of several jobs it shows how many have ended."""
    jobs = [served.running() for _ in range(2)]
    screen = Screen(served, "wait", *(job for job, _ in jobs))
    screen.shows("0 of 2 ended")
    jobs[0][1]()
    screen.shows("1 of 2 ended")
    jobs[1][1]()
    assert screen.process.wait(TIMEOUT_S) == 0
