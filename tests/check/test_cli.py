# SPDX-License-Identifier: MIT
"""spoolctl check --repair as a person meets it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from check.healthy import DEAD, Healthy, findings
from check.seeds import SEEDS
from check.sow import IS_ROOT, NOBODY
from support import ROOT, Spoold, SpoolDir, environment, wait_until

SPOOLCTL = str(ROOT / "bin" / "spoolctl")
Start = Callable[..., Spoold]
#: Runs spoolctl as another user, with all it may import already there.
AS_NOBODY = f"""\
import ctypes, gettext, locale, os
from spooler.cli import app, check, main
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
main()
"""
#: Seeds that repair mends however young they are.
AT_ONCE = (
    "done-writable", "done-with-exit", "held-claimed", "one-inode-done",
    "dead-last-run", "dead-instance",
)


def repair(
    spool: SpoolDir, *options: str, program: tuple[str, ...] = (SPOOLCTL,)
) -> "subprocess.CompletedProcess[str]":
    """Run spoolctl check --repair."""
    return subprocess.run(
        [sys.executable, *program, "-C", str(spool.path), "check",
         "--repair", *options],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env=environment(None, PYTHONPATH=str(ROOT)), timeout=60,
    )


@pytest.fixture
def public() -> Iterator[Healthy]:
    """Make a healthy spool that every user can reach."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="spool-test-"))
    try:
        root.chmod(0o755)
        spool = Healthy(root / "spool")
        yield spool
        spool.close()
    finally:
        shutil.rmtree(root)


def tree(spool: Healthy) -> dict[str, Any]:
    """What lies where, but for what is spoold's own."""
    return {
        path: facts for path, facts in spool.tree().items()
        if not path.startswith("run/") and path != "gate"
    }


def test_repair_tells_what_it_did_and_what_is_left(healthy: Healthy) -> None:
    """One line for each thing mended, one for each left; 1, then 0."""
    for seed in AT_ONCE:
        SEEDS[seed].sow(healthy)
    left = SEEDS["stray-in-done"].sow(healthy)
    done = repair(healthy)
    assert done.returncode == 1, done.stderr
    *mended, last = done.stdout.splitlines()
    assert len(mended) == len(AT_ONCE)
    assert all(line.startswith("mended ") for line in mended)
    assert last.startswith(f"I2 {left}: ")
    assert "1 violation" in done.stderr
    (healthy.path / left).unlink()
    done = repair(healthy)
    assert (done.returncode, done.stdout) == (0, "")
    assert "all invariants hold" in done.stderr
    assert "Traceback" not in done.stderr


def test_repair_tells_a_program(healthy: Healthy) -> None:
    """With --json each line is an object: what was mended, then the rest."""
    for seed in AT_ONCE:
        SEEDS[seed].sow(healthy)
    name = SEEDS["stray-with-escape"].sow(healthy)
    done = repair(healthy, "--json")
    assert done.returncode == 1
    told = [json.loads(line) for line in done.stdout.splitlines()]
    *mended, last = told
    assert len(mended) == len(AT_ONCE)
    assert all(
        set(line) == {"v", "mended"} and line["v"] == 1 for line in mended
    )
    assert last["invariant"] == 2 and name not in last["path"]
    assert done.stdout.isascii()


def test_repair_is_refused_while_spoold_runs(
    healthy: Healthy, spoold: Start
) -> None:
    """A running spoold is told of, and nothing is touched: 1."""
    claimed = healthy.count("active")
    daemon = spoold(spool=healthy)
    wait_until(lambda: not healthy.count("incoming")
               and healthy.count("active") == claimed)
    seeds = [seed for seed in AT_ONCE if not seed.startswith("dead")]
    for seed in (*seeds, "lonely-out"):
        SEEDS[seed].sow(healthy)
    before = tree(healthy)
    done = repair(healthy)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"spoold runs (pid {daemon.pid})" in done.stderr
    assert tree(healthy) == before
    assert daemon.process.poll() is None
    daemon.stop()
    done = repair(healthy)
    assert done.stdout.count("mended ") == len(seeds), done.stderr


def test_what_runs_on_for_a_dead_spoold_is_ended(healthy: Healthy) -> None:
    """A command that outlived its spoold is killed before its job moves."""
    SEEDS["dead-instance"].sow(healthy)
    with subprocess.Popen(
        ["sleep", "60"], env={**os.environ, "SPOOL_INSTANCE": DEAD}
    ) as command:
        try:
            done = repair(healthy)
            assert done.returncode == 0, done.stderr
            assert command.wait(30) == -signal.SIGKILL
        finally:
            command.kill()


def test_a_bad_configuration_decides_nothing(healthy: Healthy) -> None:
    """Where spool.toml cannot be read no job is judged by it."""
    for seed in AT_ONCE:
        SEEDS[seed].sow(healthy)
    healthy.configure("nonsense")
    done = repair(healthy)
    assert done.returncode == 1
    assert "spool.toml" in done.stderr and "Traceback" not in done.stderr
    assert done.stdout.count("mended ") == len(AT_ONCE) - 2
    assert {finding.number for finding in findings(healthy)} == {5}


@pytest.mark.skipif(not IS_ROOT, reason="only root can be another user")
@pytest.mark.parametrize("listed", [False, True], ids=["hidden", "listed"])
def test_repair_by_another_user(public: Healthy, listed: bool) -> None:
    """Who does not own the spool gets 77, even if he may read it all."""
    for seed in AT_ONCE:
        SEEDS[seed].sow(public)
    if listed:
        for place, directories, _ in os.walk(public.path):
            for entry in directories:
                os.chmod(os.path.join(place, entry), 0o777)
    before = public.tree()
    done = repair(public, program=("-c", AS_NOBODY))
    assert done.returncode == 77, (done.stdout, done.stderr)
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert "owner" in done.stderr
    assert public.tree() == before


def give_away(spool: SpoolDir) -> None:
    """Give all of a spool to another user."""
    os.chown(spool.path, NOBODY, NOBODY)
    for place, directories, files in os.walk(spool.path):
        for entry in directories + files:
            os.lchown(os.path.join(place, entry), NOBODY, NOBODY)


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_root_leaves_nothing_of_its_own(public: Healthy) -> None:
    """What root mends stays its owner's: spoold can use all of it."""
    for seed in AT_ONCE:
        SEEDS[seed].sow(public)
    give_away(public)
    assert not (public.path / "run" / "daemon.lock").exists()
    done = repair(public)
    assert (done.returncode, findings(public)) == (0, []), done.stderr
    others = [
        os.path.join(place, entry)
        for place, directories, files in os.walk(public.path)
        for entry in directories + files
        if os.lstat(os.path.join(place, entry)).st_uid != NOBODY
    ]
    assert others == []


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_one_foreign_directory_does_not_stop_the_rest(
    public: Healthy,
) -> None:
    """What the owner may not change is left; all else is mended."""
    for seed in AT_ONCE:
        SEEDS[seed].sow(public)
    give_away(public)
    os.chown(public.path / "failed", 0, 0)
    (public.path / "failed").chmod(0o777)
    done = repair(public)
    assert done.returncode == 1, done.stderr
    left = findings(public)
    assert {(found.number, found.path) for found in left} == {(1, "failed")}
