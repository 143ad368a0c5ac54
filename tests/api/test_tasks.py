# SPDX-License-Identifier: MIT
"""Tasks: what a submit writes, what it refuses, what an import costs."""

import datetime
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import spooler
from spooler import Job, config, jobread, names, tasks
from spooler.document import Document
from spooler.errors import SpoolError
from support import ROOT, Found, Spoold, SpoolDir

from . import jobs

HERE = pathlib.Path(__file__).resolve().parent
START = Callable[..., Spoold]


def only(spool: SpoolDir) -> tuple[names.Name, Document]:
    """The one job that waits, and its document."""
    (found,) = spool.jobs("incoming")
    return found.name, read(found)


def read(found: Found) -> Document:
    """A document as the worker reads it."""
    data = found.data
    if data.startswith(b"{"):
        return jobread.parse_json(data)
    return jobread.parse_header(data[:jobread.header_end(data)])


# A submit.


@pytest.mark.parametrize(("args", "kwargs"), [
    (("a", "b c"), {}), ((), {}), (("line\nbreak", "ü\r"), {}),
    ((1, 2.5, None, True), {"x": [1, {"y": "z"}]}), (("", " lead"), {}),
    (("x" * 60_000,), {}), (([[["deep"]]],), {"key": "\u2028"}),
    (("\0" * 3,) * 0, {"nul": "\0"}), ((2 ** 70, -0.0), {}),
])
def test_arguments_arrive(
    spool: SpoolDir, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """What is submitted is what a handler gets, whatever JSON it is."""
    job = jobs.echo.submit(*args, **kwargs)
    name, document = only(spool)
    assert (name.id, name.told_handler) == (job.id, "echo")
    assert document.handler == "echo"
    assert (document.args, document.kwargs) == (list(args), kwargs)


def test_texts_have_a_digest(spool: SpoolDir) -> None:
    """Arguments that fit into header lines are written so, and protected."""
    jobs.shout.submit("hello")
    _, document = only(spool)
    assert document.digest


@pytest.mark.parametrize(("call", "words"), [
    (lambda: jobs.add.submit(), "missing a required argument: 'a'"),
    (lambda: jobs.add.submit(1, 2, 3), "too many positional"),
    (lambda: jobs.add.submit(1, c=2), "unexpected keyword argument 'c'"),
    (lambda: jobs.add.submit({1}), "argument 'a' is of type set"),
    (lambda: jobs.add.submit([1, [b"x"]]),
     "argument 'a'[1][0] is of type bytes"),
    (lambda: jobs.add.submit({"k": float("nan")}), "argument 'a'['k'] is nan"),
    (lambda: jobs.add.submit({1: 2}), "has the key 1, which is no text"),
    (lambda: jobs.add.submit("\udc80"), "not valid Unicode"),
    (lambda: jobs.who.submit(), "missing a required argument: 'greeting'"),
    (lambda: jobs.echo.submit(pathlib.Path("x")), "PosixPath"),
])
def test_bad_arguments(
    spool: SpoolDir, call: Callable[[], Any], words: str
) -> None:
    """What the function would not take is refused before it is a job."""
    with pytest.raises(TypeError, match=re.escape(words)):
        call()
    assert not spool.listed("incoming") and not spool.listed("tmp")


@pytest.mark.parametrize("args", [("a\0b",), (1, "a\0b")])
def test_nul_in_an_argument(
    spool: SpoolDir, args: tuple[Any, ...]
) -> None:
    """What a command could not be given is refused, whatever is beside it."""
    with pytest.raises(ValueError, match="NUL byte"):
        jobs.echo.submit(*args)
    assert not spool.listed("incoming") and not spool.listed("tmp")


def test_recursive_argument(spool: SpoolDir) -> None:
    """A list that holds itself is refused."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested too deep"):
        jobs.echo.submit(endless)


def test_too_large(spool: SpoolDir) -> None:
    """More than a document may have is refused, with the limit."""
    with pytest.raises(ValueError, match="limit"):
        jobs.echo.submit("x" * (2 << 20))
    assert not spool.listed("incoming") and not spool.listed("tmp")


def test_deepest_argument(spool: SpoolDir) -> None:
    """What is deep, but is taken, can be read back."""
    value: list[Any] = []
    for _ in range(58):
        value = [value]
    jobs.echo.submit(x=value)
    assert only(spool)[1].kwargs == {"x": value}


def test_options(spool: SpoolDir) -> None:
    """Each option of a call is in the job's name or its document."""
    before = time.time_ns()
    options = jobs.shout.options(
        priority=7, delay="5m", timeout=2.5, attempts=9, key="k",
        tags=["a", "b"], expires=datetime.timedelta(days=1),
    )
    options.submit("x")
    name, document = only(spool)
    assert name.priority == 7
    assert name.due_ns is not None
    assert 299e9 < name.due_ns - before < 330e9
    assert (document.timeout_s, document.attempts) == (2.5, 9)
    assert (document.key, document.tags) == ("k", ["a", "b"])
    assert document.expires_s == 86400


@pytest.mark.parametrize("at", [
    2e9, "2033-05-18T03:33:20Z",
    datetime.datetime.fromtimestamp(2e9, datetime.timezone.utc),
])
def test_at(spool: SpoolDir, at: Any) -> None:
    """A moment may be a number, a text or a datetime."""
    jobs.shout.options(at=at).submit("x")
    assert only(spool)[0].due_ns == 2_000_000_000 * 10 ** 9


def test_delay_counts_from_the_submit(spool: SpoolDir) -> None:
    """Options that are kept and used again delay every call alike."""
    options = jobs.shout.options(delay=100)
    options.submit("x")
    options.submit("y")
    first, second = sorted(
        found.name.due_ns or 0 for found in spool.jobs("incoming")
    )
    assert first < second


@pytest.mark.parametrize("options", [
    {"priority": 10}, {"priority": "5"}, {"delay": -1}, {"attempts": 0},
    {"delay": 1, "at": 2e9}, {"delay": "soon"}, {"at": "soon"},
    {"tags": "one"}, {"timeout": float("inf")}, {"tags": [7]}, {"key": 7},
    {"delay": [1]}, {"delay": True}, {"at": datetime.timedelta(1)},
    {"durable": "no"}, {"key": "k", "unique": True}, {"timeout": b"5m"},
])
def test_bad_options(options: dict[str, Any]) -> None:
    """An option that makes no sense is a ValueError that names the value."""
    with pytest.raises(ValueError) as caught:
        jobs.shout.options(**options)
    assert "object" not in str(caught.value)


def test_options_of_a_task_hold_until_others_are_given(
    spool: SpoolDir, tmp_path: pathlib.Path
) -> None:
    """What @task was given holds for a call with other options too."""
    other = SpoolDir(tmp_path / "other")
    made = spooler.task(
        name="made", spool=other.path, priority=8, durable=False
    )(lambda: None)
    sender = made.options(tags=["x"])
    call = sender.call()
    assert (call.options.priority, call.options.durable) == (8, False)
    assert sender.submit().spool == str(other.path)
    call = made.options(spool=spool.path, priority=2, durable=True).call()
    assert (call.options.priority, call.options.durable) == (2, True)
    assert call.submit().spool == str(spool.path)


def test_newline_in_a_key(spool: SpoolDir) -> None:
    """A key cannot begin another header line."""
    for task in (jobs.shout, jobs.echo):
        with pytest.raises(ValueError, match="newline"):
            task.options(key="k\nArg: x").submit(*["x"])
    assert not spool.listed("incoming") and not spool.listed("tmp")


def test_submit_many(spool: SpoolDir) -> None:
    """A batch is submitted in order, options and all."""
    calls = [jobs.add.call(n) for n in range(20)]
    made = jobs.add.submit_many(calls)
    urgent = jobs.shout.options(priority=9).call("now")
    made += spooler.submit_many([urgent, jobs.echo.call()])
    ids = [job.id for job in made]
    assert ids == sorted(ids) and len(set(ids)) == 22
    found = {job.name.id: job for job in spool.jobs("incoming")}
    assert [read(found[i]).args for i in ids[:20]] == [
        [n] for n in range(20)
    ]
    assert found[ids[20]].name.priority == 9
    assert spooler.submit_many([]) == []
    with pytest.raises(TypeError, match=r"task\.call"):
        spooler.submit_many([(1,)])  # type: ignore[list-item]


def test_one_batch_one_spool(spool: SpoolDir, tmp_path: pathlib.Path) -> None:
    """A batch for two spools is refused, whole."""
    other = SpoolDir(tmp_path / "other")
    with pytest.raises(ValueError, match="several spools"):
        spooler.submit_many([
            jobs.add.call(1), jobs.add.options(spool=other.path).call(2)
        ])
    assert not spool.listed("incoming") and not other.listed("incoming")


def test_spool_by_argument(spool: SpoolDir, tmp_path: pathlib.Path) -> None:
    """The option goes before the environment; a relative path will do."""
    other = SpoolDir(tmp_path / "other")
    job = jobs.add.options(spool=os.path.relpath(other.path)).submit(1)
    assert job.spool == str(other.path)
    assert not spool.listed("incoming")
    assert len(other.listed("incoming")) == 1


def test_no_spool(tmp_path: pathlib.Path) -> None:
    """Where there is no spool the error says how to make one."""
    with pytest.raises(SpoolError, match="spoolctl init"):
        jobs.add.options(spool=tmp_path).submit(1)


def test_spool_made_anew(spool: SpoolDir) -> None:
    """A spool that is replaced by another one gets the next jobs."""
    jobs.add.submit(1)
    spool.path.rename(spool.path.parent / "old")
    new = SpoolDir(spool.path)
    jobs.add.submit(2)
    assert read(next(new.jobs("incoming"))).args == [2]


# A task is a function.


def test_plain_call() -> None:
    """A task is still the function that it was made of."""
    assert jobs.add(2, b=3) == 5
    assert jobs.shout.__name__ == "shout"
    assert jobs.add.function(1) == 2


def test_names() -> None:
    """A name that no handler can have is refused when the task is made."""
    assert jobs.who.name == "whoami"
    with pytest.raises(ValueError, match="@task.name="):
        spooler.task(lambda: None)
    with pytest.raises(TypeError, match="no option 'retries'"):
        spooler.task(retries=3)  # type: ignore[call-overload]


@pytest.mark.parametrize("made_of", [
    "name", 5, functools.partial(print), object(),
])
def test_what_is_no_function(made_of: Any) -> None:
    """It is refused, and named."""
    with pytest.raises(TypeError, match="of a function, not of"):
        spooler.task(made_of)


def test_a_parameter_that_looks_like_the_job() -> None:
    """What no run could give a function is told when the task is made."""
    def misnamed(ctx: spooler.JobContext, number: int) -> None:
        """It would be taken for an argument."""

    def keyword(*, job: int = 3) -> None:
        """It would be given the job by position."""

    def rest(job: spooler.JobContext, **more: int) -> None:
        """It would be given two jobs."""

    with pytest.raises(TypeError, match="is named job, not ctx"):
        spooler.task(misnamed)
    with pytest.raises(TypeError, match=r"must come before \*"):
        spooler.task(keyword)
    with pytest.raises(TypeError, match="given its job itself"):
        spooler.task(rest).submit(job=4)


def test_handler_options_are_those_of_the_configuration() -> None:
    """@task takes what a handler may have, but for what makes it one."""
    left = set(config.HANDLER_OPTIONS) - set(tasks.HANDLER_OPTIONS)
    assert left == {"command", "python", "env", "allow"}
    assert set(tasks.HANDLER_OPTIONS) < set(config.HANDLER_OPTIONS)


def test_attach() -> None:
    """An id is enough to find a job; half of one is refused."""
    job = jobs.add.submit(1)
    assert Job.attach(job.id) == job
    assert job.id in repr(job) and len({job, Job.attach(job.id)}) == 1
    for wrong in job.id[:5], None, 5:
        with pytest.raises(ValueError, match="not a job id"):
            Job.attach(wrong)  # type: ignore[arg-type]


# As a handler.


def test_runs(spool: SpoolDir, spoold: START) -> None:
    """A handler may be a task: with and without the job, and for a file."""
    spool.configure("".join(
        f'[handler.{name}]\npython = "api.jobs:{function}"\n{rest}\n'
        for name, function, rest in (
            ("add", "add", ""), ("whoami", "who", ""),
            ("shout", "shout", 'match = ["*.up"]'),
        )
    ))
    wanted = {
        jobs.add.submit(2, b=5).id: 7,
        jobs.who.submit("hi").id: "hi whoami 1",
    }
    spool.drop("x.up", b"data")
    daemon = spoold(
        "--drain", wait=False, env={"PYTHONPATH": str(ROOT / "tests")}
    )
    assert daemon.wait() == 0, daemon.log
    values = {
        job.name.id: job.record["value"] for job in spool.jobs("done")
        if job.name.id in wanted
    }
    assert values == wanted
    (dropped,) = spool.all("x.up", "done")
    assert dropped.record["value"].endswith(",X.UP")


# Types and costs.


def mypy(path: pathlib.Path, where: pathlib.Path) -> list[int]:
    """The lines of a file that mypy --strict complains about."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary",
         "--hide-error-context", "--cache-dir", str(where), str(path)],
        cwd=where, capture_output=True, text=True,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )
    assert not done.stderr, done.stderr
    lines = re.findall(rf"{path.name}:(\d+): error", done.stdout)
    return sorted(set(map(int, lines)))


def test_types(tmp_path: pathlib.Path) -> None:
    """mypy knows what a task takes and gives, and refuses the rest."""
    samples = HERE / "samples"
    assert mypy(samples / "typed_good.py", tmp_path) == []
    bad = samples / "typed_bad.py"
    lines = bad.read_text(encoding="utf-8").splitlines()
    wanted = [n for n, line in enumerate(lines, 1) if line.endswith("# E")]
    assert mypy(bad, tmp_path) == wanted and len(wanted) > 5


def loaded(code: str) -> set[str]:
    """The modules that are loaded after *code*, and not without it."""
    tell = "; import sys, json; print(json.dumps(list(m)))"
    new = []
    for text in ("pass", code):
        done = subprocess.run(
            [sys.executable, "-c",
             f"{text}; import sys; m = set(sys.modules){tell}"],
            capture_output=True, text=True, check=True,
        )
        new.append(set(json.loads(done.stdout)))
    return new[1] - new[0]


def test_an_import_costs_nothing() -> None:
    """``import spooler`` loads one module, this package's, and no other."""
    assert loaded("import spooler") == {"spooler"}


def test_defining_tasks_costs_little() -> None:
    """Who defines tasks and submits none loads nothing that is large."""
    found = loaded("from spooler import task; task(name='x')(lambda: 1)")
    assert not {name.partition(".")[0] for name in found} - {
        "spooler", "importlib", "warnings", "__future__",
    }
    assert not found & {"spooler.client", "spooler.jobload", "spooler.spool"}
