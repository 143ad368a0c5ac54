# SPDX-License-Identifier: MIT
"""What a command leaves behind is found, wherever it went."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest
from deaths.table import words
from support import Spoold, SpoolDir, is_alive, wait_until

Start = Callable[..., Spoold]
WAYS = ("generations", "orphan", "deep", "deep_and_stay")


@pytest.fixture
def commands(spool: SpoolDir) -> Iterator[SpoolDir]:
    """A spool with handlers that leave something behind."""
    tables = "".join(
        f"[handler.{way}]\ncommand = {words(way, 'spoil')}\n"
        'attempts = 2\nbackoff = "1ms"\n' for way in WAYS
    )
    spool.configure(
        "workers = 2\n" + tables + '[handler.cat]\ncommand = ["cat"]\n'
    )
    yield spool
    # What is too deep for us may be too deep for others.
    subprocess.run(["rm", "-rf", str(spool.path / "run")], check=True)


def strays(daemon: Spoold) -> dict[int, str]:
    """What runs of it, and is no worker."""
    return {
        pid: line for pid, line in daemon.processes().items()
        if "spooler.workermain" not in line
    }


def zombies(daemon: Spoold) -> list[int]:
    """Dead processes that nobody has taken leave of."""
    found = []
    for parent in (daemon.pid, *daemon.workers("command")):
        path = f"/proc/{parent}/task/{parent}/children"
        with open(path, encoding="ascii") as stream:
            found += [
                pid for pid in map(int, stream.read().split())
                if not is_alive(pid)
            ]
    return found


def end(daemon: Spoold) -> None:
    """End what is still there, so that one failure is not two."""
    for pid in strays(daemon):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("way", ["generations", "orphan"])
def test_all_generations_are_ended(
    commands: SpoolDir, spoold: Start, way: str
) -> None:
    """Of sessions within sessions, and without a runner, nothing is left."""
    daemon = spoold()
    try:
        commands.drop_job("bad", way)
        bad = commands.wait("bad.job", "failed")
        assert bad.name.runs == 2
        wait_until(
            lambda: not strays(daemon), 5, lambda: f"{strays(daemon)}"
        )
        wait_until(lambda: not zombies(daemon), 5, "no zombies")
    finally:
        end(daemon)


def test_a_deep_work_directory_is_removed(
    commands: SpoolDir, spoold: Start
) -> None:
    """Directories nested too deep end neither the runner nor its jobs."""
    daemon = spoold()
    (runner,) = wait_until(lambda: daemon.workers("command"))
    commands.drop_job("bad", "deep")
    assert commands.wait("bad.job", "failed").name.runs == 2
    commands.drop_job("next", "cat", body=b"x")
    assert commands.wait("next.job").name.runs == 1
    assert daemon.workers("command") == [runner], daemon.log
    work = commands.path / "run" / "work"
    wait_until(lambda: not any(map(os.listdir, work.iterdir())), what="empty")


def test_spoold_starts_over_a_deep_work_directory(
    commands: SpoolDir, spoold: Start
) -> None:
    """What a killed run nested too deep does not keep spoold from work."""
    first = spoold()
    commands.drop_job("bad", "deep_and_stay")
    wait_until(lambda: os.path.exists(f"{commands.path}.deep"))
    first.kill()
    second = spoold()
    assert commands.wait("bad.job", "failed").name.runs == 2
    work = commands.path / "run" / "work"
    assert not [
        name for name in os.listdir(work)
        if not name.startswith(commands.status()["instance"])
    ], second.log


def test_the_work_of_a_killed_runner_is_removed(
    commands: SpoolDir, spoold: Start
) -> None:
    """Its work directories do not stay for as long as spoold runs."""
    daemon = spoold()
    commands.drop_job("first", "cat", body=b"x")
    commands.wait("first.job")
    (runner,) = daemon.workers("command")
    work = commands.path / "run" / "work"
    old = set(os.listdir(work))
    assert old
    os.kill(runner, signal.SIGKILL)
    commands.drop_job("next", "cat", body=b"x")
    commands.wait("next.job")
    wait_until(
        lambda: not old & set(os.listdir(work)), 5,
        lambda: f"{old} of {os.listdir(work)}",
    )
