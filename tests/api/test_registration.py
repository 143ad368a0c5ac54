# SPDX-License-Identifier: MIT
"""Modules of tasks as handlers, and handlers that are coroutines."""

import pathlib
import signal
from collections.abc import Callable
from typing import Any

import pytest
from spooler import config, tasklist, taskload
from spooler.errors import ConfigError
from support import ROOT, Spoold, SpoolDir, run_spoold, wait_until

from . import jobs

START = Callable[..., Spoold]
ENV = {"PYTHONPATH": str(ROOT / "tests")}
TASKS = 'tasks = ["api.jobs"]\n'


def load(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, source: str,
    text: str = 'tasks = ["user"]', timeout_s: float = 30.0,
) -> config.Config:
    """The configuration *text*, where a module ``user`` has *source*."""
    (tmp_path / "user.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return taskload.with_tasks(config.parse(text), timeout_s)


GOOD = """
import os
from spooler import task
print("an import may print")

@task(timeout="90s", attempts=7, concurrency=2, backoff=0, match=["*.x"])
def one(): pass

alias = one

@task(name="other")
def two(): pass
"""


def test_every_task_is_a_handler(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each task of a module is a handler, once, with its options."""
    read = load(tmp_path, monkeypatch, GOOD)
    assert set(read.handlers) == {"one", "other"}
    one = read.handlers["one"]
    assert one.python == "user:one"
    assert (one.timeout_s, one.attempts, one.concurrency) == (90.0, 7, 2)
    assert (one.backoff_s, one.match) == (0.0, ("*.x",))
    assert read.handlers["other"] == config.Handler(
        "other", python="user:two"
    )


FIRST = """
from spooler import task
@task
def one(): pass
"""
SECOND = """
from spooler import task
from user import one as thumb
@task
def two(): one.submit()
"""


@pytest.mark.parametrize("modules", [
    ["user", "second"], ["second", "user"], ["user", "user", "second"],
])
def test_a_task_that_is_imported_is_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
    modules: list[str],
) -> None:
    """Who submits a task of another module makes it no second task."""
    (tmp_path / "second.py").write_text(SECOND)
    text = f"tasks = {modules}"
    read = load(tmp_path, monkeypatch, FIRST, text)
    assert {name: one.python for name, one in read.handlers.items()} == {
        "one": "user:one", "two": "second:two",
    }


def test_a_module_may_gather_tasks(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task is found in what it was imported to, if that alone is named."""
    (tmp_path / "second.py").write_text(SECOND)
    read = load(tmp_path, monkeypatch, FIRST, 'tasks = ["second"]')
    assert {name: one.python for name, one in read.handlers.items()} == {
        "one": "second:thumb", "two": "second:two",
    }


def install(path: pathlib.Path, package: str, entry_points: str) -> None:
    """What pip leaves of a package that has entry points."""
    info = path / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(entry_points)


def test_tasks_by_entry_points(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``*`` is every module that an installed package names, once."""
    (tmp_path / "second.py").write_text(SECOND)
    install(tmp_path, "mails", "[spooler.tasks]\nmails = second\n")
    install(tmp_path, "images", "[spooler.tasks]\nany = user\n")
    for text in 'tasks = ["*"]', 'tasks = ["user", "*"]':
        read = load(tmp_path, monkeypatch, FIRST, text)
        assert {one.python for one in read.handlers.values()} == {
            "user:one", "second:two",
        }
    read = load(tmp_path, monkeypatch, FIRST, 'tasks = ["user"]')
    assert set(read.handlers) == {"one"}


@pytest.mark.parametrize(("points", "words"), [
    ("", "no installed package has entry points spooler.tasks"),
    ("[spooler.tasks]\nx = user:one\n", "x = user:one: is no module"),
    ("[spooler.tasks]\nx = nowhere\n", "cannot import nowhere: .*installed"),
])
def test_bad_entry_points(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, points: str,
    words: str,
) -> None:
    """What is wrong with them is said."""
    install(tmp_path, "x", points)
    with pytest.raises(ConfigError, match=words):
        load(tmp_path, monkeypatch, FIRST, 'tasks = ["*"]')


def test_the_file_goes_before(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of spool.toml replaces the task of its name, whole."""
    source = "from spooler import task\n@task(attempts=9)\ndef f(): pass\n"
    text = 'tasks = ["user"]\ndefault = "f"\n[handler.f]\ncommand = ["x"]\n'
    read = load(tmp_path, monkeypatch, source, text)
    assert read.handlers == {"f": config.Handler("f", command=("x",))}


@pytest.mark.parametrize(("source", "words"), [
    ("import nowhere", "cannot import user: ModuleNotFoundError"),
    ("1 / 0", "ZeroDivisionError"),
    ("def f(:", "SyntaxError"),
    ("raise SystemExit(3)", "SystemExit: 3"),
    ("import os; os._exit(3)", "ended the process (3)"),
    ("import os; os.kill(os.getpid(), 9)", "ended the process (-9)"),
    ("x = 1", "has no @task"),
    ("from spooler import task\n@task(timeout='soon')\ndef f(): pass",
     "timeout: 'soon' is not a duration"),
    ("from spooler import task\n@task(attempts=100)\ndef f(): pass",
     "attempts: is a whole number 1..99"),
    ("from spooler import task\n@task\ndef f(): pass\n"
     "@task(name='f')\ndef g(): pass", "have one name, 'f'"),
])
def test_bad_modules(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, source: str,
    words: str,
) -> None:
    """What is wrong with a module is said, and is a bad configuration."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, monkeypatch, source)
    assert words in str(raised.value)


def test_an_import_that_hangs(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import that takes too long is ended, with what it started."""
    source = (
        "import os, pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "pathlib.Path(__file__).with_suffix('.pid').write_text("
        "f'{os.getpid()} {child.pid}')\n"
        "time.sleep(1000)\n"
    )
    with pytest.raises(ConfigError, match="took longer than"):
        load(tmp_path, monkeypatch, source, timeout_s=3.0)
    pids = (tmp_path / "user.pid").read_text().split()
    assert len(pids) == 2
    wait_until(lambda: not any(map(_runs, map(int, pids))))


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
            return stream.read().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("value", ['"m"', '["a b"]', '["a;b"]', '[""]', "1"])
def test_bad_key(value: str) -> None:
    """What cannot be a list of modules is refused before any import."""
    with pytest.raises(ConfigError, match="tasks"):
        config.parse(f"tasks = {value}")


def test_served(spool: SpoolDir, spoold: START) -> None:
    """A daemon runs the tasks of its modules, and imports none itself."""
    spool.configure(TASKS)
    daemon = spoold(env=ENV)
    wanted = {
        jobs.add.submit(2, b=5).id: 7,
        jobs.who.submit("hi").id: "hi whoami 1",
        jobs.later.submit("abc").id: "cba",
    }
    wait_until(lambda: spool.count("done") == 3, what=spool.tree)
    values = {
        job.name.id: job.record["value"] for job in spool.jobs("done")
    }
    assert values == wanted
    maps = pathlib.Path(f"/proc/{daemon.pid}/maps").read_text()
    assert "api/jobs" not in maps
    assert "whoami" in daemon.log


def test_what_a_task_submits_goes_to_its_own_spool(
    spool: SpoolDir, spoold: START, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever spoold was started, and whatever its environment says."""
    spool.configure(TASKS)
    monkeypatch.delenv("SPOOL_DIR")
    spoold(env={**ENV, "XDG_STATE_HOME": "/nowhere"})
    jobs.steps.options(spool=spool.path).submit(3)
    wait_until(lambda: spool.count("done") == 3, what=spool.tree)
    values = sorted(job.record["value"] for job in spool.jobs("done"))
    assert values == [1, 2, 3]


def test_reload_keeps_what_works(
    spool: SpoolDir, spoold: START, tmp_path: pathlib.Path
) -> None:
    """A module that is broken at a reload leaves the old handlers."""
    module = tmp_path / "user.py"
    good = "from spooler import task\n@task\ndef f(): pass\n"
    module.write_text(good)
    spool.configure('tasks = ["user"]\n')
    daemon = spoold(env={"PYTHONPATH": str(tmp_path)})
    module.write_text("1 / 0")
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready(2)
    assert "not reloaded" in daemon.log and "ZeroDivision" in daemon.log
    assert "handlers=f" in daemon.log
    module.write_text(good + "@task\ndef g(): return 1\n# longer\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready(3)
    spool.drop_job("b", "g")
    assert spool.wait("b.job").record["value"] == 1


def test_a_bad_module_at_the_start(
    spool: SpoolDir, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """spoold refuses to start, and -t says the same."""
    spool.configure('tasks = ["no.such.module"]\n')
    for options in ((), ("-t",)):
        done = run_spoold(spool.path, *options)
        assert done.returncode == 78
        assert "cannot import no.such.module" in done.stderr


# Coroutines.


def run(
    spool: SpoolDir, spoold: START, *submitted: Any
) -> list[Any]:
    """Run jobs in one worker, one after the other; what became of them."""
    spool.configure(TASKS + "workers = 1\n")
    daemon = spoold("--drain", wait=False, env=ENV)
    daemon.wait()
    found = {job.name.id: job for job in spool.jobs("done", "failed")}
    return [found[job.id] for job in submitted]


def test_coroutines_run_beside_each_other(
    spool: SpoolDir, spoold: START
) -> None:
    """A task that is async def has slots of its own, unless it says no."""
    spool.configure(TASKS + "workers = 1\n")
    daemon = spoold(env=ENV)
    submitted = [jobs.meeting.submit(20) for _ in range(20)]
    assert {job.result(30) for job in submitted} == {20}
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    found = tasklist.described({
        "api.jobs": tasklist.tasks_of("api.jobs")
    })["api.jobs"]
    handlers = {
        name: config.read_handler(name, {"python": reference, **options}, "")
        for name, reference, options in found or []
    }
    kinds = {name: handler.kind for name, handler in handlers.items()}
    assert kinds["meeting"] == kinds["later"] == "asyncio"
    assert kinds["littering"] == kinds["add"] == "python"


def test_what_a_coroutine_leaves_is_cancelled(
    spool: SpoolDir, spoold: START
) -> None:
    """A task that one job leaves running is not there for the next."""
    first, second = run(
        spool, spoold, jobs.littering.submit(), jobs.littering.submit()
    )
    assert first.record["value"][-1] == "left"
    assert second.record["value"].count("left") == 1


def test_a_coroutine_is_ended_and_the_next_runs(
    spool: SpoolDir, spoold: START
) -> None:
    """The timeout and an exception end one coroutine, not the worker."""
    sleepy, broken, good = run(
        spool, spoold,
        jobs.sleepy.options(timeout=0.5, attempts=1).submit(),
        jobs.broken.options(attempts=1).submit(), jobs.later.submit("x"),
    )
    assert sleepy.kinds == [("timeout", None)]
    assert broken.kinds == [("error", None)]
    assert "in a coroutine" in broken.record["traceback"]
    assert good.record["value"] == "x"
