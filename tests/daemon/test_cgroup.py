# SPDX-License-Identifier: MIT
"""Runs with a limit get a control group, where one is delegated to spoold."""

import os
import pathlib
import sys
from collections.abc import Iterator

import pytest
from daemon.test_run import Start, pid_in, shell
from spooler import cgroup
from support import SPOOLD, SpoolDir, is_alive, wait_until

MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
#: Leaves the group of processes, the session and the environment.
ESCAPE = "setsid env -i sleep 1000 >/dev/null 2>&1 & echo $! >{}"


@pytest.fixture
def group() -> Iterator[pathlib.Path]:
    """A control group of version 2 that says it is delegated."""
    mounts = [
        pathlib.Path(path) for path in MOUNTS
        if os.path.exists(f"{path}/cgroup.controllers")
    ]
    if not mounts or not os.access(mounts[0], os.W_OK):
        pytest.skip("no control groups of version 2 that we may make")
    path = mounts[0] / f"spooler-test-{os.getpid()}"
    try:
        path.mkdir()
        os.setxattr(path, "trusted.delegate", b"1")
    except OSError as error:
        pytest.skip(f"cannot delegate a control group: {error}")
    yield path
    for inner in path.iterdir():
        if inner.is_dir():
            inner.rmdir()
    path.rmdir()


def inside(group: pathlib.Path) -> list[str]:
    """Start what follows in *group*."""
    script = f'echo 0 >{group}/cgroup.procs && exec "$@"'
    return ["sh", "-c", script, "sh", sys.executable, SPOOLD]


def test_a_limited_run_has_a_group_and_leaves_nothing(
    group: pathlib.Path, spool: SpoolDir, spoold: Start,
    tmp_path: pathlib.Path,
) -> None:
    """Its processes are in the group, also those that leave everything
    else; with the run they end, and the group is gone."""
    left = tmp_path / "left"
    spool.configure(
        shell("in", ESCAPE.format(left) + "; cat /proc/self/cgroup",
              memory="100MiB")
        + shell("out", "cat /proc/self/cgroup")
    )
    daemon = spoold(command=inside(group))
    assert (group / "spoold" / "cgroup.procs").read_text().split()[0] == str(
        daemon.pid
    )
    spool.drop_job("a", "in")
    inner = spool.wait("a.job").out.decode()
    assert f"0::/{group.name}/run-" in inner
    pid = pid_in(left)
    wait_until(lambda: not is_alive(pid))
    spool.drop_job("b", "out")
    assert f"0::/{group.name}/spoold\n" in spool.wait("b.job").out.decode()
    assert not list(group.glob("run-*"))


def test_groups_of_a_killed_spoold_are_ended(
    group: pathlib.Path, spool: SpoolDir, spoold: Start,
    tmp_path: pathlib.Path,
) -> None:
    """The next one, started in the inner group, finds and ends them."""
    left = tmp_path / "left"
    spool.configure(shell(
        "in", ESCAPE.format(left) + "; exec sleep 1000", memory="100MiB",
        attempts=1,
    ))
    first = spoold(command=inside(group))
    spool.drop_job("a", "in")
    pid = pid_in(left)
    assert list(group.glob("run-*"))
    first.kill()
    spoold(command=inside(group / "spoold"))
    assert spool.wait("a.job", "failed").name.verdict == "lost"
    wait_until(lambda: not is_alive(pid))
    assert not list(group.glob("run-*"))


def test_a_group_that_ran_out_of_memory_says_so(
    tmp_path: pathlib.Path
) -> None:
    """What the kernel killed for memory is told from what died of itself."""
    run = cgroup.Group(str(tmp_path), "x")
    assert not run.exists() and run.make(1 << 20) and run.exists()
    path = pathlib.Path(run.path)
    (path / "memory.events").write_text("low 0\noom 1\noom_kill 0\n")
    assert not run.end()
    (path / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert run.end()


def test_a_group_is_limited_where_there_is_control(
    tmp_path: pathlib.Path
) -> None:
    """Memory, no swap, and all or none of it is killed."""
    run = cgroup.Group(str(tmp_path), "x")
    run.make(1)
    path = pathlib.Path(run.path)
    for name in ("memory.max", "memory.swap.max", "memory.oom.group"):
        (path / name).touch()
    assert run.make(1 << 30)
    assert (path / "memory.max").read_text() == str(1 << 30)
    assert (path / "memory.swap.max").read_text() == "0"
    assert (path / "memory.oom.group").read_text() == "1"


def test_what_is_not_delegated_is_left_alone() -> None:
    """spoold started by hand, also by root, makes no groups."""
    assert cgroup.delegated() is None
