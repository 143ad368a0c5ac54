# SPDX-License-Identifier: MIT
"""What a job gets, and what becomes of it for every way it can end."""

import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable

import pytest
from support import (
    SPOOLD,
    Spoold,
    SpoolDir,
    document,
    is_alive,
    toml_list,
    wait_until,
)

Start = Callable[..., Spoold]


def command(name: str, *words: object, **keys: object) -> str:
    """The table of a command handler."""
    return _table(name, f"command = {toml_list(*words)}", keys)


def shell(name: str, script: str, **keys: object) -> str:
    """The table of a handler that is a shell script; $1... are arguments."""
    return command(name, "sh", "-c", script, "sh", **keys)


def python(name: str, **keys: object) -> str:
    """The table of a Python handler."""
    return _table(name, f'python = "sample_handlers:{name}"', keys)


def _table(name: str, first: str, keys: dict[str, object]) -> str:
    keys = {"backoff": "10ms", "max_backoff": "20ms", **keys}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join([f"[handler.{name}]", first, *lines, ""])


def pid_in(path: pathlib.Path) -> int:
    """The pid a job wrote into a file, once it is there whole."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


# Commands: what they get.


def test_a_command_reads_its_payload(spool: SpoolDir, spoold: Start) -> None:
    """Standard input of a command is the dropped file."""
    spool.configure(command("cat", "cat", match=["*"]))
    spoold()
    data = bytes(range(256)) * 1000
    spool.drop("x.dat", data)
    assert spool.wait("x.dat").out == data


def test_a_command_reads_the_body(spool: SpoolDir, spoold: Start) -> None:
    """Standard input of a command is the document's body, and no more."""
    spool.configure(command("cat", "cat"))
    spoold()
    for size in (0, 1, 70_000, 3_000_000):
        for told in ({}, {"Length": size}):
            name, body = f"{size}.{len(told)}", os.urandom(size)
            spool.drop_job(name, "cat", "-", body=body, **told)
            done = spool.wait(f"{name}.job")
            assert done.out == body
            assert done.data == document("cat", "-", body=body, **told)


def test_a_json_document_is_the_same_job(
    spool: SpoolDir, spoold: Start
) -> None:
    """Arguments and body may come as JSON."""
    spool.configure(shell("show", 'printf "%s\\n" "$@"; cat'))
    spoold()
    fields = {"Handler": "show", "Arg": ["a", 1, {"b": [None]}],
              "Body": "\u00e4\n", "Priority": 7}
    spool.drop("x.job", json.dumps(fields).encode())
    done = spool.wait("x.job")
    assert done.out.decode() == 'a\n1\n{"b": [null]}\n\u00e4\n'
    assert done.name.priority == 7


def test_a_commands_environment_is_clean(
    spool: SpoolDir, spoold: Start
) -> None:
    """A command sees what is promised, and nothing of the daemon's own."""
    spool.configure(command(
        "env", "env", "-0", attempts=4
    ) + '[handler.env.env]\nMINE = "yes"\n')
    spoold(env={"SECRET": "leaked", "SPOOL_JOB_ID": "leaked"})
    spool.drop_job(
        "x", "env", "A=1", Priority=3, Traceparent="00-ab-cd-01",
        X_Note="hello",
    )
    done = spool.wait("x.job")
    environ = dict(
        item.split("=", 1) for item in done.out.decode().split("\0") if item
    )
    work = environ["HOME"]
    assert work.startswith(str(spool.path / "run" / "work") + "/")
    file = environ.pop("SPOOL_JOB_FILE")
    assert file.startswith(f"{spool.path}/active/6.{done.name.id}.henv.a1.c")
    assert environ.pop("PATH").endswith("/usr/bin:/sbin:/bin")
    assert len(environ.pop("SPOOL_INSTANCE")) == 5
    assert environ == {
        "A": "1",
        "LANG": "C.UTF-8",
        "HOME": work,
        "SPOOL_DIR": str(spool.path),
        "MINE": "yes",
        "SPOOL_JOB_ID": done.name.id,
        "SPOOL_JOB_NAME": "x.job",
        "SPOOL_HANDLER": "env",
        "SPOOL_ATTEMPT": "1",
        "SPOOL_MAX_ATTEMPTS": "4",
        "SPOOL_RESULT": f"{work}/result",
        "SPOOL_PROGRESS": f"{work}/progress",
        "SPOOL_PRIORITY": "3",
        "SPOOL_X_NOTE": "hello",
        "TRACEPARENT": "00-ab-cd-01",
    }


def test_a_command_gets_no_descriptors_and_no_ignored_signals(
    spool: SpoolDir, spoold: Start
) -> None:
    """A command starts with three descriptors and default signals."""
    spool.configure(
        command("fds", "ls", "/proc/self/fd", match=["fds"])
        + command("signals", "grep", "-E", "Sig(Blk|Ign)",
                  "/proc/self/status", match=["signals"])
    )
    spoold()
    spool.drop("fds")
    spool.drop("signals")
    assert spool.wait("fds").out.split() == [b"0", b"1", b"2", b"3"]
    masks = spool.wait("signals").out.split()[1::2]
    # Signals 32 and 33 are the C library's own; posix_spawn ignores them.
    assert [int(mask, 16) & ~(3 << 31) for mask in masks] == [0, 0]


def test_a_command_runs_in_an_empty_directory_of_its_own(
    spool: SpoolDir, spoold: Start
) -> None:
    """What one run leaves in its directory, no other run sees."""
    spool.configure(shell(
        "mess", "pwd; ls -A; mkdir -p a/b; touch a/b/c .d; ln -s / e; umask",
        concurrency=1, match=["*"],
    ))
    spoold()
    outs = []
    for number in range(3):
        spool.drop(f"{number}")
        outs.append(spool.wait(f"{number}").out.decode().split())
    for out in outs:
        assert out[0].startswith(str(spool.path / "run" / "work"))
        assert out[1:] == ["0027"]
    wait_until(lambda: not any(
        os.listdir(spool.path / "run" / "work" / work)
        for work in os.listdir(spool.path / "run" / "work")
    ))


def test_output_is_kept_beside_the_job(
    spool: SpoolDir, spoold: Start
) -> None:
    """Both outputs of a command are files beside it, and told in size."""
    spool.configure(shell("talk", "echo out; echo err >&2", match=["*"]))
    spoold()
    spool.drop("x")
    done = spool.wait("x")
    assert (done.out, done.err) == (b"out\n", b"err\n")
    assert (done.record["out_bytes"], done.record["err_bytes"]) == (4, 4)
    assert spool.listed("active") == []


def test_a_silent_command_leaves_no_other_file(
    spool: SpoolDir, spoold: Start
) -> None:
    """A job with nothing to say is one file, before and after."""
    spool.configure(command("quiet", "true", match=["*"]))
    spoold()
    spool.drop("x")
    done = spool.wait("x")
    assert spool.listed("done") == [done.entry]
    assert (done.name.runs, done.name.verdict) == (1, "ok")


def test_a_command_can_leave_a_result(
    spool: SpoolDir, spoold: Start
) -> None:
    """What a command writes into SPOOL_RESULT is the job's value."""
    spool.configure(shell("value", 'cat >"$SPOOL_RESULT"', match=["*"]))
    spoold()
    for name, written, value in (
        ("object", '{"a": [1, 2]}', {"a": [1, 2]}),
        ("number", "42", 42),
        ("text", "just text", "just text"),
        ("nan", "NaN", "NaN"),
    ):
        spool.drop(name, written.encode())
        assert spool.wait(name).record["value"] == value


def test_file_id_and_name_are_replaced_in_the_command(
    spool: SpoolDir, spoold: Start
) -> None:
    """{file}, {id} and {name} stand for the job's own."""
    spool.configure(shell(
        "words", 'cmp "$1" - && echo "$2 $3"', match=["*"],
    ).replace('"sh"]', '"sh", "{file}", "{id}", "<{name}>"]'))
    spoold()
    spool.drop("{id}.x", b"data")
    done = spool.wait("{id}.x")
    assert done.out.decode() == f"{done.name.id} <{{id}}.x>\n"


# Commands: how they end.

EXITS = """
case $SPOOL_JOB_NAME in
signal*) kill -9 $$;;
esac
echo "because of $SPOOL_JOB_NAME" >&2
exit ${SPOOL_JOB_NAME%.*}
"""


def test_exit_statuses(spool: SpoolDir, spoold: Start) -> None:
    """Every exit status has its meaning; the last line of errors is why."""
    spool.configure(shell("exits", EXITS, attempts=3, match=["*"]))
    spoold()
    cases = {
        "0.x": [("ok", None)],
        "65.x": [("exit", 65)],
        "100.x": [("exit", 100)],
        "1.x": [("exit", 1)] * 3,
        "255.x": [("exit", 255)] * 3,
        "signal": [("signal", 9)] * 3,
    }
    for name in cases:
        spool.drop(name)
    for name, kinds in cases.items():
        found = spool.settled(name)
        assert found.kinds == kinds
        assert [run["run"] for run in found.record["runs"]] == [
            *range(1, len(kinds) + 1)
        ]
        assert found.name.runs == len(kinds)
        assert found.state == ("done" if name == "0.x" else "failed")
        if name == "signal":
            assert found.reason == "SIGKILL"
        elif name != "0.x":
            assert found.reason == f"because of {name}"
    # What earlier runs left there goes behind the last verdict.
    wait_until(lambda: spool.listed("deferred") == [])


def test_a_deferring_exit_costs_no_attempt(
    spool: SpoolDir, spoold: Start
) -> None:
    """Exit 75 or 111 puts a job off as often as it likes."""
    script = 'echo later >&2; [ "$SPOOL_ATTEMPT" -ge 5 ] || exit "$1"'
    spool.configure(shell("later", script, attempts=1))
    spoold()
    for status in (75, 111):
        spool.drop_job(f"{status}", "later", str(status))
    for status in (75, 111):
        done = spool.wait(f"{status}.job")
        assert done.kinds == [("exit", status)] * 4 + [("ok", None)]
        counted = [run["counted"] for run in done.record["runs"][:4]]
        assert not any(counted)


def test_attempts_are_counted_in_the_name(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A failed attempt waits in deferred/, its number in its name."""
    gate = tmp_path / "gate"
    script = f'echo no >&2; [ -e {gate} ]'
    spool.configure(shell("gate", script, attempts=9, match=["*"],
                          backoff="1h", max_backoff="2h"))
    spoold()
    spool.drop("x", b"data")
    deferred = spool.wait("x", "deferred")
    assert deferred.name.runs == 1
    assert deferred.name.verdict == "exit1"
    assert deferred.name.due_ns is not None
    assert time.time_ns() < deferred.name.due_ns + 10 ** 9
    assert deferred.reason == "no"
    gate.touch()
    # A person who does not want to wait moves it.
    deferred.path.rename(spool.path / "incoming" / deferred.entry)
    done = spool.wait("x")
    assert done.name.runs == 1
    assert spool.listed("deferred") == []


def test_a_second_try_can_succeed(spool: SpoolDir, spoold: Start) -> None:
    """After backoff the job runs again, and both runs are told."""
    script = 'echo "try $SPOOL_ATTEMPT"; [ "$SPOOL_ATTEMPT" = 2 ]'
    spool.configure(shell("flaky", script, match=["*"]))
    spoold()
    spool.drop("x")
    done = spool.wait("x")
    assert done.name.runs == 2
    assert done.kinds == [("exit", 1), ("ok", None)]
    assert done.out == b"try 2\n"
    wait_until(lambda: not spool.listed("deferred"))
    first, second = done.record["runs"]
    assert second["started_ns"] >= first["started_ns"]


def test_a_document_can_ask_for_fewer_attempts(
    spool: SpoolDir, spoold: Start
) -> None:
    """Attempts and Timeout of a document go before the handler's."""
    spool.configure(shell("long", "sleep 1000", attempts=5, timeout="1h"))
    spoold()
    spool.drop_job("x", "long", Attempts=2, Timeout="50ms")
    failed = spool.wait("x.job", "failed")
    assert failed.kinds == [("timeout", None)] * 2
    assert failed.record["max_attempts"] == 2


def test_term_ends_a_command_that_is_over_its_time(
    spool: SpoolDir, spoold: Start
) -> None:
    """A command that does not fight back ends at its timeout, by TERM."""
    spool.configure(shell(
        "long", "trap 'echo bye; exit 0' TERM; sleep 1000 & wait",
        timeout="2s", kill_after="1h", attempts=1, match=["*"],
    ))
    spoold()
    spool.drop("x")
    failed = spool.wait("x", "failed")
    assert failed.kinds == [("timeout", None)]
    assert failed.reason == "timed out after 2s"
    assert failed.out == b"bye\n"


STUBBORN = """
trap '' TERM
sh -c 'trap "" TERM; echo $$ >"$1"; while :; do sleep 1000; done' sh "$1.1" &
(sh -c 'echo $$ >"$1"; exec sleep 1000' sh "$1.2" &)
echo $$ >"$1"
while :; do sleep 1000; done
"""


def test_a_timeout_ends_all_of_a_command(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Over its time, a command that ignores TERM is gone with its brood."""
    spool.configure(shell(
        "stubborn", STUBBORN, timeout="2s", kill_after="100ms", attempts=1
    ))
    spoold()
    pid_file = tmp_path / "pid"
    spool.drop_job("x", "stubborn", str(pid_file))
    pids = [pid_in(pid_file.with_name(f"pid{end}")) for end in (
        "", ".1", ".2"
    )]
    failed = spool.wait("x.job", "failed")
    assert failed.kinds == [("timeout", None)]
    wait_until(lambda: not any(map(is_alive, pids)), 5)


def test_a_timeout_ends_what_cannot_be_told_by_its_environment(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A child that cleared its environment is of the process group still."""
    script = 'env -i "$(command -v sleep)" 1000 & echo $! >"$1"; wait'
    spool.configure(shell(
        "bare", script, timeout="2s", kill_after="100ms", attempts=1
    ))
    spoold()
    pid_file = tmp_path / "pid"
    spool.drop_job("x", "bare", str(pid_file))
    pid = pid_in(pid_file)
    spool.wait("x.job", "failed")
    try:
        wait_until(lambda: not is_alive(pid), 10, "ended with its leader")
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(shutil.which("setsid") is None, reason="no setsid")
def test_a_timeout_ends_a_daemonized_grandchild(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Nor does a grandchild in a session of its own outlive the timeout."""
    script = """
    (setsid sh -c 'echo $$ >"$1"; exec sleep 1000' sh "$1" &)
    sleep 1000
    """
    spool.configure(shell(
        "escape", script, timeout="2s", kill_after="100ms", attempts=1
    ))
    spoold()
    pid_file = tmp_path / "pid"
    spool.drop_job("x", "escape", str(pid_file))
    pid = pid_in(pid_file)
    spool.wait("x.job", "failed")
    wait_until(lambda: not is_alive(pid), 5, f"{pid} ended")


def test_what_a_command_leaves_running_ends_with_it(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A child in the background does not outlive its command."""
    spool.configure(shell("leave", 'sleep 1000 & echo $! >"$1"'))
    spoold()
    pid_file = tmp_path / "pid"
    spool.drop_job("x", "leave", str(pid_file))
    spool.wait("x.job")
    pid = pid_in(pid_file)
    wait_until(lambda: not is_alive(pid), 5)


def test_output_over_the_limit_is_cut(spool: SpoolDir, spoold: Start) -> None:
    """Of a command's output as much is kept as output_limit says."""
    spool.configure(
        command("yes", "head", "-c", "300000", "/dev/zero",
                output_limit="100K", match=["*.c"])
        + python("shout", output_limit="1K")
    )
    spoold()
    spool.drop("x.c")
    spool.drop_job("y", "shout", "300000")
    done = spool.wait("x.c")
    assert len(done.out) == done.record["out_bytes"] == 100 << 10
    assert spool.wait("y.job").out == b"x" * 1024


def test_endless_output_does_not_fill_the_disk(
    spool: SpoolDir, spoold: Start
) -> None:
    """A command that never stops writing is cut while it runs."""
    script = 'yes & while [ ! -e "$1" ]; do sleep 0.05; done'
    spool.configure(shell("yes", script, output_limit="1K"))
    spoold()
    gate = spool.path.parent / "gate"
    spool.drop_job("x", "yes", str(gate))
    spool.wait("x.job", "active")

    def out_size() -> int:
        return sum(
            path.stat().st_size
            for path in (spool.path / "active").glob("*.out")
        )

    wait_until(lambda: out_size() > 1 << 20)
    wait_until(lambda: out_size() < 1 << 20)
    gate.touch()
    assert spool.wait("x.job").record["out_bytes"] == 1024


def test_a_command_may_delete_its_job_file(
    spool: SpoolDir, spoold: Start
) -> None:
    """The verdict of a job whose file its handler took is still filed."""
    spool.configure(
        shell("rm", 'rm "$SPOOL_JOB_FILE"', match=["*.c"])
        + python("delete_file", match=["*.py"])
    )
    spoold()
    for name in ("x.c", "x.py"):
        spool.drop(name)
        done = spool.wait(name)
        assert (done.data, done.name.verdict) == (b"", "ok")


@pytest.mark.parametrize("script", [
    'echo x >&2; rm "${SPOOL_JOB_FILE%/*}"/*.err',
    'echo x; rm "${SPOOL_JOB_FILE%/*}"/*.out',
    'echo x; rm -r "$HOME"',
    'cd "$HOME"; mkdir -p a; chmod 0 a; ln -s /etc/passwd "$SPOOL_RESULT"',
])
def test_a_command_that_breaks_things_harms_no_other(
    spool: SpoolDir, spoold: Start, script: str, tmp_path: pathlib.Path
) -> None:
    """Whatever a command does to its own files, others run on."""
    gate = tmp_path / "gate"
    spool.configure(
        shell("mess", script, attempts=1, match=["*.x"])
        + shell("gate", 'while [ ! -e "$1" ]; do sleep 0.02; done')
        + command("true", "true", match=["*.y"])
    )
    spoold("--workers", "4")
    spool.drop_job("other", "gate", str(gate))
    spool.wait("other.job", "active")
    spool.drop("a.x")
    spool.settled("a.x")
    gate.touch()
    assert spool.wait("other.job").name.runs == 1
    spool.drop("after.y")
    spool.wait("after.y")


# Python handlers.


def test_a_python_handler_gets_arguments_and_returns_a_value(
    spool: SpoolDir, spoold: Start
) -> None:
    """A plain function is called with the document's arguments."""
    spool.configure(python("echo"))
    spoold()
    spool.drop_job("x", "echo", "a", "b c")
    fields = {"Handler": "echo", "Arg": [1, [2]], "Kwargs": {"key": None}}
    spool.drop("y.job", json.dumps(fields).encode())
    value = spool.wait("x.job").record["value"]
    assert value == {"args": ["a", "b c"], "kwargs": {}}
    value = spool.wait("y.job").record["value"]
    assert value == {"args": [1, [2]], "kwargs": {"key": None}}


def test_a_python_handler_is_told_about_its_job(
    spool: SpoolDir, spoold: Start
) -> None:
    """A function whose first parameter is ``job`` learns all about it."""
    spool.configure(python("about", attempts=7))
    spoold()
    spool.drop_job("x", "about", "a", body=b"body", Tag="t", X_Note="n")
    done = spool.wait("x.job")
    value = done.record["value"]
    assert value.pop("file").startswith(f"{spool.path}/active/")
    assert value == {
        "id": done.name.id, "name": "x.job", "handler": "about",
        "attempt": 1, "max_attempts": 7, "priority": 5, "args": ["a"],
        "tags": ["t"], "extra": {"X-Note": "n"}, "body": "body",
        "read": "body",
    }
    assert done.record["tags"] == ["t"]


def test_a_python_handler_may_read_its_body_twice(
    spool: SpoolDir, spoold: Start
) -> None:
    """Every look at a body or payload sees the whole of it."""
    spool.configure(python("about", match=["*.dat"]))
    spoold()
    data = b"b" * 100_000
    spool.drop_job("large", "about", body=data)
    spool.drop("payload.dat", data)
    for name in ("large.job", "payload.dat"):
        value = spool.wait(name).record["value"]
        assert len(value["body"]) == len(value["read"]) == len(data)


def test_python_output_is_kept_for_each_job(
    spool: SpoolDir, spoold: Start
) -> None:
    """Prints of a handler are beside its job, and not beside the next."""
    spool.configure(python("talk") + python("noop"))
    spoold("--workers", "1")
    for name in ("a", "b"):
        spool.drop_job(name, "talk")
        done = spool.wait(f"{name}.job")
        assert sorted(done.out.splitlines()) == [b"from print", b"from write"]
        assert done.err == b"to stderr\n"
    spool.drop_job("c", "noop")
    assert spool.wait("c.job").sidecar("out") is None


def test_how_a_python_handler_can_fail(
    spool: SpoolDir, spoold: Start
) -> None:
    """Exceptions, Fail, a bad value and a dead worker are told apart."""
    cases = {
        "boom": ([("error", None)] * 2, "KeyError: 'the cause'"),
        "fail": ([("fail", None)], "wrong address"),
        "not_json": ([("error", None)] * 2, "what it returned is of type"),
        "leave": ([("error", None)] * 2, "SystemExit: 3"),
        "suicide": ([("lost", None)] * 2, "killed by SIGKILL"),
    }
    spool.configure(python("noop") + "".join(
        python(handler, attempts=2) for handler in cases
    ))
    spoold()
    for handler in cases:
        spool.drop_job(handler, handler, body=b"kept")
    for handler, (kinds, reason) in cases.items():
        failed = spool.wait(f"{handler}.job", "failed")
        assert failed.kinds == kinds
        assert reason in failed.reason
        assert failed.data == document(handler, body=b"kept")
    trace = spool.wait("boom.job", "failed").record["traceback"]
    assert "in boom" in trace and "sample_handlers.py" in trace
    assert "pyrunner" not in trace
    spool.drop_job("y", "noop")
    assert spool.wait("y.job").name.runs == 1


def test_a_python_handler_can_defer(spool: SpoolDir, spoold: Start) -> None:
    """Defer puts a job off for as long as it says, at no attempt's cost."""
    spool.configure(python("defer_once", attempts=1, backoff="1h",
                           max_backoff="1h"))
    spoold()
    spool.drop_job("x", "defer_once")
    done = spool.wait("x.job")
    assert done.kinds == [("defer", None), ("ok", None)]
    assert done.record["runs"][0]["text"] == "greylisted"
    assert done.record["value"] == 2


def test_a_python_handler_is_tried_again(
    spool: SpoolDir, spoold: Start
) -> None:
    """A Python handler that raises runs again until it succeeds."""
    spool.configure(python("flaky", attempts=3))
    spoold()
    spool.drop_job("x", "flaky", "3")
    done = spool.wait("x.job")
    assert done.kinds == [("error", None)] * 2 + [("ok", None)]
    assert [run["text"] for run in done.record["runs"]] == [
        "OSError: run 1 failed", "OSError: run 2 failed", "",
    ]


@pytest.mark.parametrize("handler", ["sleep", "deaf"])
def test_a_python_handler_over_its_time_is_ended(
    spool: SpoolDir, spoold: Start, handler: str
) -> None:
    """At its timeout a handler is interrupted, or killed if it is deaf."""
    kill_after = "200ms" if handler == "deaf" else "10s"
    spool.configure(
        python(handler, timeout="100ms", kill_after=kill_after, attempts=2)
        + python("noop")
    )
    daemon = spoold("--workers", "1")
    before = wait_until(lambda: daemon.workers("python"))
    spool.drop_job("x", handler)
    failed = spool.wait("x.job", "failed")
    assert failed.kinds == [("timeout", None)] * 2
    assert failed.reason.startswith("timed out")
    spool.drop_job("y", "noop")
    assert spool.wait("y.job").name.runs == 1
    same = daemon.workers("python") == before
    assert same == (handler == "sleep")


def test_a_killed_python_handler_takes_its_children_along(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """What a Python handler started is gone too when it is killed."""
    spool.configure(
        python("parent", timeout="2s", kill_after="100ms", attempts=1)
    )
    spoold()
    pid_file = tmp_path / "pid"
    spool.drop_job("x", "parent", str(pid_file))
    pid = pid_in(pid_file)
    failed = spool.wait("x.job", "failed")
    assert failed.kinds == [("timeout", None)]
    wait_until(lambda: not is_alive(pid), 5, f"{pid} ended")


# Which job runs when.


def test_a_job_waits_until_it_is_due(spool: SpoolDir, spoold: Start) -> None:
    """Not-Before keeps a job in deferred/ until its time has come."""
    spool.configure(command("true", "true"))
    spoold()
    due_s = time.time() + 1.5
    spool.drop_job("later", "true", Not_Before=f"@{due_s:.3f}", Tag="t")
    spool.drop_job("never", "true", Not_Before="2199-01-01T00:00:00Z")
    spool.drop_job("past", "true", Not_Before="@1000000000", Tag="t")
    for name in ("later", "never"):
        job = spool.wait(f"{name}.job", "deferred")
        assert job.name.runs == 0
    spool.wait("past.job")
    done = spool.wait("later.job")
    assert done.record["runs"][0]["started_ns"] >= due_s * 1e9 - 1e6
    assert spool.all("never.job", "deferred")


def test_higher_priority_runs_first(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """One worker takes jobs by priority, then in order of submission."""
    gate, log = tmp_path / "gate", tmp_path / "log"
    spool.configure(python("gate", match=["*.g"]) + python("note"))
    spoold("--workers", "1")
    spool.drop_job("gate", "gate", str(gate))
    spool.wait("gate.job", "active")
    order = []
    for number, priority in enumerate((5, 0, 9, 5, 9, 1, 5)):
        tag = f"{9 - priority}.{number}"
        spool.drop_job(
            f"x{number}", "note", str(log), Priority=priority, Tag=tag
        )
        wait_until(lambda: spool.count("incoming") == number + 1)
        order.append(tag)
    gate.touch()
    for number in range(7):
        spool.wait(f"x{number}.job")
    assert log.read_text().split() == sorted(order)


@pytest.mark.parametrize("kind", ["python", "command"])
def test_a_handler_keeps_to_its_limit_and_blocks_nobody(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path, kind: str
) -> None:
    """Of a limited handler no more jobs run at once; others pass by."""
    gate = tmp_path / "gate"
    if kind == "python":
        limited = python("gate", concurrency=2)
    else:
        limited = shell(
            "gate", 'while [ ! -e "$1" ]; do sleep 0.02; done', concurrency=2
        )
    spool.configure(limited + python("noop") + command("true", "true"))
    spoold("--workers", "4")
    for number in range(6):
        spool.drop_job(f"g{number}", "gate", str(gate), Priority=9)
    wait_until(lambda: spool.count("active") == 2)
    spool.drop_job("p", "noop", Priority=0)
    spool.drop_job("c", "true", Priority=0)
    spool.wait("p.job")
    spool.wait("c.job")
    assert spool.count("active") == 2
    status = spool.status()
    assert status["limits"]["gate"] == [2, 2]
    assert len(status["running"]) == 2
    gate.touch()
    for number in range(6):
        assert spool.wait(f"g{number}.job").name.runs == 1


def test_a_job_behind_a_slow_one_goes_to_another_worker(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Hints handed out behind what turns out slow do not wait for it."""
    gate = tmp_path / "gate"
    open_gate = tmp_path / "open"
    open_gate.touch()
    spool.configure(python("gate"))
    spoold("--workers", "2")
    # Many short ones, so that hints go out in batches.
    for number in range(60):
        spool.drop_job(f"short{number}", "gate", str(open_gate))
    for number in range(60):
        spool.wait(f"short{number}.job")
    # Written first, so that they arrive together.
    for number in range(20):
        path = gate if number == 3 else open_gate
        spool.write(f"n{number:02}.job", document("gate", str(path)))
    for number in range(20):
        spool.publish(f"n{number:02}.job")
    for number in range(20):
        if number != 3:
            spool.wait(f"n{number:02}.job")
    slow = spool.wait("n03.job", "active")
    assert slow.name.runs == 1
    gate.touch()
    assert spool.wait("n03.job").name.runs == 1


def test_hundreds_of_commands_at_once(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """As many commands run at once as the limit of their handler says."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    holder = os.open(gate, os.O_RDWR)
    try:
        spool.configure(shell("wait", 'read x <"$1"', concurrency=1000))
        daemon = spoold()
        count = 600
        for number in range(count):
            spool.write(f"{number}.job", document("wait", str(gate)))
        for number in range(count):
            spool.publish(f"{number}.job")
        wait_until(
            lambda: spool.count("active") == count,
            what=lambda: f"{spool.count('active')} run; {daemon.log[-2000:]}",
        )
        wait_until(lambda: len(spool.status()["running"]) == count)
        os.write(holder, b"\n" * count)
        wait_until(lambda: spool.count("done") == count)
        assert {job.name.runs for job in spool.jobs("done")} == {1}
    finally:
        os.close(holder)


@pytest.mark.parametrize("limit", [64, 65])
def test_too_few_descriptors_delay_commands_only(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path, limit: int
) -> None:
    """With a low limit on open files, commands wait; none is run twice."""
    gate = tmp_path / "gate"
    script = 'echo $$ >>"$1.pids"; while [ ! -e "$1" ]; do sleep 0.1; done'
    spool.configure(shell("wait", script, concurrency=60))
    daemon = spoold(command=[
        "sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", sys.executable,
        SPOOLD,
    ])
    count = 50
    for number in range(count):
        spool.drop_job(f"{number}", "wait", str(gate))
    wait_until(lambda: "open files" in daemon.log)
    gate.touch()
    for number in range(count):
        assert spool.wait(f"{number}.job").name.runs == 1
    assert len((tmp_path / "gate.pids").read_text().split()) == count


def test_drain_tells_whether_all_went_well(
    spool: SpoolDir, spoold: Start
) -> None:
    """--drain runs what is there, retries included; exit 1 if one failed."""
    script = '[ "$SPOOL_ATTEMPT" = 2 ]'
    spool.configure(
        shell("flaky", script, match=["*.x"])
        + shell("bad", "exit 1", match=["*.y"], attempts=2)
    )
    spool.drop("a.x")
    spool.drop("b.x")
    assert spoold("--drain", wait=False).wait() == 0
    assert {job.name.runs for job in spool.jobs("done")} == {2}
    spool.drop("a.y")
    spool.drop("c.x")
    assert spoold("--drain", wait=False).wait() == 1
    assert spool.count("done") == 3
    assert spool.settled("a.y").name.runs == 2
    assert spoold("--drain", wait=False).wait() == 0


def test_a_handler_may_be_given_on_the_command_line(
    spool: SpoolDir, spoold: Start
) -> None:
    """--handler runs a command for every payload, without configuration."""
    spoold("--handler", "wc -c")
    spool.drop("x", b"12345")
    assert spool.wait("x").out == b"5\n"


def test_a_listener_that_hears_nothing_does_not_stop_the_daemon(
    spool: SpoolDir, spoold: Start
) -> None:
    """A notify socket nobody reads from is no reason to stand still."""
    spool.configure(command("true", "true", match=["*"]))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        name = f"spooler-deaf-{os.getpid()}-{id(spool)}"
        deaf.bind(f"\0{name}")
        spoold(wait=False, env={"NOTIFY_SOCKET": f"@{name}"})
        for number in range(300):
            spool.drop(f"{number}")
        wait_until(lambda: spool.count("done") == 300, what=spool.tree)
