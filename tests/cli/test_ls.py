# SPDX-License-Identifier: MIT
"""spoolctl ls: which jobs, in which order, and why each waits or failed."""

import re
import time
from collections.abc import Callable

import pytest

from .harness import (
    CONFIG,
    FIELDS,
    FINAL_FIELDS,
    NS,
    Cli,
    Served,
    powerless,
)

HEADER = ["ID", "HANDLER", "STATE", "PRI", "AGE", "TRY", "INFO"]
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
SGR = re.compile(r"\x1b\[[\d;]*m")
WORDS = {
    "incoming": "incoming", "deferred": "deferred", "hold": "held",
    "active": "active", "done": "done", "failed": "failed",
}

#: What producers can call a file, and how it must look to a person.
HOSTILE = {
    b"\x1b[31mred\x1b[0m": r"\x1b[31mred\x1b[0m",
    b"\x1b]0;title\x07": r"\x1b]0;title\x07",
    b"new\nline\r": r"new\nline\r",
    b"\xff\xfe": r"\xff\xfe",
    "\u202egpj.exe".encode(): r"\u202egpj.exe",
    "\x9b2J".encode(): r"\x9b2J",
    "sep\u2028\u2029".encode(): r"sep\u2028\u2029",
    b"back\\x41": r"back\\x41",
    "plain é漢🎉".encode(): "plain é漢🎉",
    b"-rf {file} $(id)": "-rf {file} $(id)",
}


def one_of_each(cli: Cli) -> dict[str, str]:
    """Lay one job into each state; returns ids by state."""
    return {
        "incoming": cli.put_waiting("mail.job", priority=9).id,
        "deferred": cli.put_deferred("mail.job").id,
        "hold": cli.put("hold", "mail.job").id,
        "active": cli.put_active("mail.job").id,
        "done": cli.put_done("mail.job").id,
        "failed": cli.put_failed("mail.job", runs=3, age_s=7230).id,
    }


# Columns and states.


def test_columns(cli: Cli) -> None:
    """Each job is one row: id, handler, state, priority, age, tries, why."""
    ids = one_of_each(cli)
    done = cli("ls", "all")
    assert done.lines[0].split() == HEADER and done.err == ""
    rows = {row[0]: row[1:] for row in done.rows}
    assert {ids[state]: word for state, word in WORDS.items()} == {
        job_id: row[1] for job_id, row in rows.items()
    }
    assert {row[0] for row in rows.values()} == {"mail"}
    assert rows[ids["failed"]] == [
        "mail", "failed", "5", "2h", "3", "exit 65: no credentials"
    ]
    assert rows[ids["incoming"]][2] == "9"
    assert rows[ids["incoming"]][4] == "0"
    assert rows[ids["done"]][5] == "in 1.5s"
    starts = [line.index(rows[line.split()[0]][1]) for line in done.lines[1:]]
    assert len(set(starts)) == 1, "columns are aligned"


def test_unfinished_and_failed_are_the_default(cli: Cli) -> None:
    """Without a state, ls leaves out what is done."""
    ids = one_of_each(cli)
    del ids["done"]
    assert set(cli("ls", "-q").lines) == set(ids.values())


def test_states_select(cli: Cli) -> None:
    """States select jobs, in the words that ls prints, one or several."""
    ids = one_of_each(cli)
    assert cli("ls", "-q", "held").lines == [ids["hold"]]
    assert set(cli("ls", "-q", "done", "active").lines) == {
        ids["done"], ids["active"]
    }
    done = cli("ls", "nonsense", status=2)
    assert "nonsense" in done.err and "deferred" in done.err


def test_filters_select(cli: Cli) -> None:
    """-H, --since and --older-than select, alone and together."""
    old = cli.put_failed("mail.job", age_s=7200).id
    new = cli.put_failed("mail.job", age_s=60).id
    text = cli.put_waiting("a.txt", age_s=60).id
    told = cli.put_waiting("a.job", handler="mail", age_s=60).id
    cli.configure('[handler.words]\ncommand = ["wc"]\nmatch = ["*.txt"]\n')
    for words, ids in (
        (("-H", "mail"), {old, new, told}),
        (("-H", "words"), {text}),
        (("--since", "1h"), {new, text, told}),
        (("--older-than", "1h"), {old}),
        (("-H", "mail", "--since", "1h", "failed"), {new}),
    ):
        assert set(cli("ls", "-q", *words).lines) == ids, words


def test_nothing_matches(cli: Cli) -> None:
    """No job is no error, but a word on stderr saves a long look."""
    for words in (), ("failed", "-H", "mial"), ("done", "--json"):
        done = cli("ls", *words)
        assert done.raw == b""
        assert "no jobs" in done.err, words


def test_the_first_n(cli: Cli) -> None:
    """-n N prints N, and says on stderr that there are more."""
    ids = [cli.put_waiting(age_s=9 - n).id for n in range(5)]
    done = cli("ls", "-q", "-n", "2")
    assert done.lines == ids[:2] and "3 more" in done.err
    assert cli("ls", "-q", "-n", "5").err == ""
    cli("ls", "-n", "0", status=2)


def test_orders(cli: Cli) -> None:
    """--sort orders; the default is by state, then as jobs will run."""
    a = cli.put_waiting("b.txt", priority=1, age_s=4).id
    b = cli.put_waiting("a.txt", priority=9, age_s=3, runs=2).id
    c = cli.put_waiting("c.txt", priority=9, age_s=2).id
    d = cli.put_failed("d.txt", age_s=1, runs=5).id
    for key, ids in (
        ("state", [d, b, c, a]), ("name", [b, a, c, d]),
        ("priority", [b, c, d, a]), ("tries", [d, b, a, c]),
    ):
        assert cli("ls", "-q", "--sort", key).lines == ids, key
    assert "tries" in cli("ls", "--sort", "size", status=2).err


def test_the_dropped_name(cli: Cli) -> None:
    """A dropped name stands before the reason, or with -w in a column."""
    cli.put_failed("scan 1.pdf", text="out of toner", verdict="exit1")
    (row,) = cli("ls").rows
    assert row[6] == "scan 1.pdf: exit 1: out of toner"
    done = cli("ls", "-w")
    assert done.lines[0].split() == HEADER[:6] + ["NAME", "INFO"]
    (row,) = done.rows
    assert row[6] == "scan 1.pdf  exit 1: out of toner"


def test_a_file_not_yet_admitted_is_listed(cli: Cli) -> None:
    """What was just dropped is a job too; what is illegal is none."""
    cli.configure('[handler.words]\ncommand = ["wc"]\nmatch = ["*.txt"]\n')
    for name in "notes.txt", ".hidden", "draft~", "x.part":
        cli.drop(name)
    (cli.path / "incoming" / "directory").mkdir()
    (row,) = cli("ls").rows
    assert row[:6] == ["notes.txt", "words", "incoming", "5", "-", "0"]
    (job,) = cli("ls", "--json").objects
    assert job["id"] == job["name"] == "notes.txt"
    assert job["submitted"] is None and set(job) == FIELDS


# INFO


def test_info_without_a_daemon(cli: Cli) -> None:
    """INFO says that spoold is down, when a retry is due, why one failed."""
    waiting = cli.put_waiting("mail.job").id
    later = cli.put_deferred(in_s=375).id
    due = cli.put_deferred(in_s=-1, text="").id
    delayed = cli.put(
        "deferred", "mail.job", due_ns=time.time_ns() + 7230 * NS
    ).id
    killed = cli.put_failed(verdict="sig9", text="").id
    timeout = cli.put_failed(verdict="timeout", text="").id
    torn = cli.put_failed(text="a lie")
    cli.beside("failed", torn, "result").write_bytes(b'{"v":1,')
    rows = {row[0]: row[6] for row in cli("ls").rows}
    assert rows[waiting] == "spoold is not running"
    assert re.fullmatch(r"in 6m\d+s; exit 75: 421 greylisted", rows[later])
    assert rows[due] == "due now; exit 75"
    assert rows[delayed].startswith("in 2h")
    assert rows[killed] == "signal 9"
    assert rows[timeout] == "timed out"
    assert "torn" in rows[torn.id] and "lie" not in rows[torn.id]


def test_info_with_a_daemon(served: Served) -> None:
    """INFO says of real jobs what keeps them from running, or kept them."""
    running, let_go = served.running("one")
    waiting = served.submit("one", "true")
    deferred = served.submit("again", "echo 421 greylisted >&2; exit 75")
    retried = served.submit("again", "echo oops >&2; exit 3")
    failed = served.settled("sh", "echo no credentials >&2; exit 1")
    unknown = served.settled("mial")
    served.await_state(deferred, "deferred")
    served.await_state(retried, "deferred")
    rows = {row[0]: row for row in served("ls").rows}
    assert rows[waiting][6] == "handler at its limit 1/1"
    assert re.fullmatch(
        r"in \S+; exit 75: 421 greylisted", rows[deferred][6]
    )
    assert re.fullmatch(r"in \S+; exit 3: oops", rows[retried][6])
    assert rows[failed][6] == "exit 1: no credentials"
    assert "unknown handler 'mial'" in rows[unknown][6]
    assert rows[running][2] == "active" and rows[running][5] == "1"
    let_go()
    served("wait", running, waiting)


def test_an_unreadable_file_is_said(serve: Callable[..., Served]) -> None:
    """A file that spoold cannot read says exactly that."""
    served = serve(CONFIG, powerless())
    part = served.path / "tmp" / "a.txt"
    part.touch()
    part.chmod(0)
    part.rename(served.path / "incoming" / "a.txt")
    served("wait", "a.txt", status=1)
    (row,) = served("ls").rows
    assert "not readable by spoold (mode 0000" in row[6]


# JSON


def test_json_of_every_state(cli: Cli) -> None:
    """--json has the promised fields and no others, with the right types."""
    ids = one_of_each(cli)
    jobs = {job["id"]: job for job in cli("ls", "all", "--json").objects}
    for state, job_id in ids.items():
        job = jobs[job_id]
        final = state in ("done", "failed")
        assert set(job) == (FINAL_FIELDS if final else FIELDS), state
        assert (job["v"], job["state"]) == (1, WORDS[state])
        assert (job["handler"], job["name"]) == ("mail", None)
        assert MOMENT.fullmatch(job["submitted"])
        assert job["tags"] == []
    assert jobs[ids["incoming"]]["priority"] == 9
    assert jobs[ids["incoming"]]["attempts"] == 0
    assert jobs[ids["incoming"]]["reason"] is None
    deferred = jobs[ids["deferred"]]
    assert MOMENT.fullmatch(deferred["due"])
    assert deferred["due"] > deferred["submitted"]
    assert deferred["reason"] == {
        "kind": "exit", "status": 75, "text": "exit 75: 421 greylisted"
    }
    failed = jobs[ids["failed"]]
    assert (failed["attempts"], failed["max_attempts"]) == (3, 3)
    assert (failed["exit_status"], failed["signal"]) == (65, None)
    assert failed["duration"] == 0.002
    assert MOMENT.fullmatch(failed["started"])
    done = jobs[ids["done"]]
    assert (done["exit_status"], done["signal"], done["value"]) == (
        0, None, None
    )
    assert done["duration"] == 1.5 and done["reason"] is None
    assert done["due"] is None and MOMENT.fullmatch(done["finished"])


def test_json_of_a_record(cli: Cli) -> None:
    """What a record holds is in the JSON: handler, value, tags, attempts."""
    cli.put_done("a.txt", told={
        "handler": "words", "max_attempts": 7, "tags": ("é", "b"),
        "value": {"words": [1, None, 2.5]},
    })
    cli.put_failed("b.txt", verdict="sig11", text="")
    jobs = cli("ls", "done", "failed", "--json", "--sort", "name").objects
    done, failed = jobs
    assert (done["handler"], done["max_attempts"]) == ("words", 7)
    assert done["tags"] == ["é", "b"]
    assert done["value"] == {"words": [1, None, 2.5]}
    assert (failed["signal"], failed["exit_status"]) == (11, None)


def test_json_survives_any_value(cli: Cli) -> None:
    """A value or tag that no UTF-8 can hold is still one JSON line."""
    lone = "caf\udce9 \ud800"
    cli.put_done(told={"value": lone, "tags": (lone,)})
    (job,) = cli("ls", "done", "--json").objects
    assert job["value"] is not None and len(job["tags"]) == 1
    assert "caf" in cli("show", job["id"]).out


# Hostile names.


@pytest.mark.parametrize("admitted", [False, True])
def test_hostile_names_are_inert(cli: Cli, admitted: bool) -> None:
    """No name a producer can choose breaks a line or moves a cursor."""
    for name in HOSTILE:
        if admitted:
            cli.put_failed(name, verdict="exit1", text="x")
        else:
            cli.drop(name)
    plain = cli("ls", "-w")
    assert len(plain.lines) == len(HOSTILE) + 1
    for line in plain.lines:
        assert line.isprintable(), ascii(line)
    for shown in HOSTILE.values():
        assert sum(f" {shown} " in f" {line} " for line in plain.lines) == 1
    done = cli("ls", "--json")
    assert done.raw.count(b"\n") == len(HOSTILE)
    seen = {job["name"] for job in done.objects}
    for name, shown in HOSTILE.items():
        try:
            assert name.decode() in seen
        except UnicodeDecodeError:
            assert shown in seen


def test_json_moves_no_cursor(cli: Cli) -> None:
    """A JSON line on a terminal is as inert as text."""
    for name in HOSTILE:
        cli.put_failed(name, verdict="exit1", text="x")
    for line in cli("ls", "--json").lines:
        assert line.isprintable(), ascii(line)


def test_names_that_look_alike_are_all_listed(cli: Cli) -> None:
    """Two files whose names are shown alike are two jobs."""
    cli.drop(b"\x80.txt")
    cli.drop("\x80.txt".encode())
    assert len(cli("ls").rows) == 2


# Width and colour.


def test_only_the_last_column_is_cut(cli: Cli) -> None:
    """80 columns cut INFO alone, on a terminal alone."""
    reason = "the reason " * 20
    long = "x" * 60 + ".pdf"
    ids = [
        cli.put_failed(verdict="exit1", text=reason).id,
        cli.put_failed(long, verdict="exit1", text=reason).id,
    ]
    done = cli("ls")
    assert all(line.endswith(reason.strip()) for line in done.lines[1:])
    status, lines = cli.on_terminal("ls", env={"NO_COLOR": "1"})
    assert status == 0 and len(lines) == 3
    assert max(map(len, lines)) == 80
    assert all(line.endswith("...") for line in lines[1:])
    assert {line.split()[0] for line in lines[1:]} == set(ids)
    status, lines = cli.on_terminal("ls", "-w", env={"NO_COLOR": "1"})
    assert any(long in line for line in lines), "NAME is not the last"
    assert ids == sorted(line.split()[0] for line in lines[1:])


def test_wide_letters_fit(cli: Cli) -> None:
    """A name of letters two columns wide does not wrap at 80 columns."""
    cli.put_failed("漢" * 40, verdict="exit1", text="x")
    _, lines = cli.on_terminal("ls", env={"NO_COLOR": "1"})
    wide = sum(char == "漢" for char in lines[1])
    assert len(lines[1]) + wide <= 80


def test_colour(cli: Cli) -> None:
    """Only the state word is coloured, only where it is wanted."""
    cli.put_failed(text="so red", age_s=7230)
    plain = cli("ls").out
    assert not SGR.search(plain)
    done = cli("--color", "always", "ls")
    assert done.out == cli("ls", env={"FORCE_COLOR": "1"}).out
    assert SGR.sub("", done.out) == plain
    (coloured,) = re.findall(r"\x1b\[\d+m(.*?)\x1b\[0m", done.out)
    assert coloured.strip() == "failed"
    never = cli("--color", "never", "ls", env={"FORCE_COLOR": "1"})
    assert never.out == plain


@pytest.mark.parametrize(("words", "env", "coloured"), [
    ((), {}, True),
    ((), {"NO_COLOR": "1"}, False),
    ((), {"TERM": "dumb"}, False),
    (("--color", "never"), {}, False),
    (("--color", "always"), {"NO_COLOR": "1"}, True),
])
def test_colour_on_a_terminal(
    cli: Cli, words: tuple[str, ...], env: dict[str, str], coloured: bool
) -> None:
    """A terminal gets colour unless the environment or an option says no."""
    cli.put_failed(verdict="exit1", text="so red")
    status, lines = cli.on_terminal(*words, "ls", env=env)
    assert status == 0
    assert bool(SGR.search(lines[1])) == coloured


# At work.


def test_a_listing_misses_nobody(
    cli: Cli, serve: Callable[..., Served]
) -> None:
    """Jobs that move while they are listed are each seen once."""
    numbers = "\n".join(map(str, range(1000)))
    ids = cli("submit", "--batch", "square", input=numbers).lines
    served = serve(  # on the same spool
        'workers = 2\nstop_timeout = "0s"\n'
        '[handler.square]\npython = "spooler.tour:square"\n'
    )
    at_work = True
    while at_work:
        at_work = bool(served.listed("incoming"))
        assert sorted(served("ls", "all", "-q").lines) == ids
