# SPDX-License-Identifier: MIT
"""The spool, or a directory of it, is taken away under its daemon."""

import contextlib
import copy
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from support import ROOT, Spoold, SpoolDir, run_spoold, wait_until

Start = Callable[..., Spoold]

FEW_S = 15.0  #: "within a few seconds", on a busy machine
CONFIG = """
rescan = "200ms"
stop_timeout = "20s"
[handler.noop]
python = "sample_handlers:noop"
match = ["n*"]
[handler.gate]
python = "sample_handlers:gate"
"""


def at(path: pathlib.Path, spool: SpoolDir) -> SpoolDir:
    """The same spool, or another, at another path."""
    other = copy.copy(spool)
    other.path = path
    return other


def run_gate(spool: SpoolDir, path: pathlib.Path) -> None:
    """Start the job ``g.job``, which runs until there is a file *path*."""
    spool.drop_job("g", "gate", str(path))
    wait_until(lambda: list(path.parent.glob(f"{path.name}.*")))


def await_trouble(spool: SpoolDir, daemon: Spoold) -> None:
    """Wait until status and log say that something is wrong."""
    wait_until(
        lambda: (spool.ask() or {}).get("trouble"), FEW_S,
        lambda: daemon.log,
    )
    assert "spool in trouble" in daemon.log


def assert_served(spool: SpoolDir, daemon: Spoold) -> None:
    """The daemon serves the spool at its path, and holds its lock there."""
    spool.drop("n-served")
    spool.wait("n-served", timeout=FEW_S)
    wait_until(lambda: not spool.status()["trouble"], FEW_S)
    assert daemon.process.poll() is None
    assert spool.status()["pid"] == daemon.pid
    second = run_spoold(spool.path)
    assert second.returncode == 1, second
    assert "another spoold serves" in second.stderr


def waits(spool: SpoolDir, name: str) -> bool:
    """Whether a job lies in incoming/, admitted or not."""
    return any(entry.endswith(name) for entry in spool.listed("incoming"))


def test_a_spool_that_comes_back_is_served_again(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """While its spool is away a daemon claims nothing, and loses nothing."""
    spool.configure(CONFIG)
    daemon = spoold("--workers", "1")
    gate = tmp_path / "gate"
    run_gate(spool, gate)
    away = at(tmp_path / "away", spool)
    spool.path.rename(away.path)
    await_trouble(away, daemon)
    away.drop("n1")
    gate.touch()
    away.wait("g.job", timeout=FEW_S)
    assert str(spool.path) in away.status()["trouble"]
    assert waits(away, "n1") and not away.all("n1", "active", "done")
    assert not spool.path.exists()
    away.path.rename(spool.path)
    spool.wait("n1", timeout=FEW_S)
    assert_served(spool, daemon)
    assert daemon.stop() == 0
    assert spool.count("done") == 3


def test_a_replaced_incoming_is_served(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A new incoming/ is served soon; what lies in the old one is kept."""
    spool.configure(CONFIG)
    daemon = spoold("--workers", "1")
    gate = tmp_path / "gate"
    run_gate(spool, gate)
    incoming = spool.path / "incoming"
    old = tmp_path / "old"
    incoming.rename(old)
    await_trouble(spool, daemon)
    os.rename(spool.write("n1"), old / "n1")
    incoming.mkdir(0o700)
    gate.touch()
    spool.wait("g.job", timeout=FEW_S)
    assert_served(spool, daemon)
    assert [entry.name for entry in old.iterdir()] == ["n1"]
    (old / "n1").rename(incoming / "n1")
    spool.wait("n1")
    assert daemon.stop() == 0
    assert spool.count("done") == 3


def test_a_new_spool_in_its_place_is_served(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Another spool at the path is served next; the old one is kept."""
    spool.configure(CONFIG)
    daemon = spoold("--workers", "1")
    gate = tmp_path / "gate"
    run_gate(spool, gate)
    away = at(tmp_path / "away", spool)
    spool.path.rename(away.path)
    await_trouble(away, daemon)
    away.drop("n1")
    subprocess.run(
        [sys.executable, str(ROOT / "bin" / "spoolctl"), "init",
         str(spool.path)], check=True, capture_output=True,
    )
    spool.configure(CONFIG)
    gate.touch()
    away.wait("g.job", timeout=FEW_S)
    wait_until(
        lambda: daemon.notify.count("READY=1") >= 2, FEW_S,
        lambda: daemon.log,
    )
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready(3)
    assert_served(spool, daemon)
    assert waits(away, "n1")
    # Nobody serves the old one: its lock is free, its jobs are all there.
    other = spoold(spool=away)
    away.wait("n1", timeout=FEW_S)
    assert other.stop() == 0 and daemon.stop() == 0
    assert spool.count("done") == 1
    assert away.count("done") == 2
    for place in (spool, away):
        assert not place.listed("run/locks")


@contextlib.contextmanager
def _undone(*command: object) -> Iterator[None]:
    """Run a command at the end, whatever comes of it."""
    try:
        yield
    finally:
        subprocess.run([str(word) for word in command], capture_output=True)


class Mount:
    """
    A file system that is mounted twice: at ``path``, and out of the way.

    Attributes:
        path: where it is unmounted and mounted again.
        behind: the same directory, for us to see.
    """

    def __init__(
        self, kind: str, base: pathlib.Path, stack: contextlib.ExitStack
    ) -> None:
        """Mount it."""
        hidden = base / "hidden"
        self.path = base / "mounted"
        hidden.mkdir()
        self.path.mkdir()
        if kind == "ext4":
            device = self._loop(base / "disk", stack)
            self._again = ["mount", device, str(self.path)]
            self._run("mount", device, str(hidden))
        else:
            self._run("mount", "-t", "tmpfs", "-o", "mode=755", "none",
                      str(hidden))
            self._again = ["mount", "--bind", str(hidden), str(self.path)]
        stack.enter_context(_undone("umount", "-l", hidden))
        self.mount()
        stack.enter_context(_undone("umount", "-l", self.path))
        self.behind = hidden

    def _loop(self, disk: pathlib.Path, stack: contextlib.ExitStack) -> str:
        with open(disk, "wb") as stream:
            stream.truncate(64 << 20)
        self._run("mkfs.ext4", "-q", "-F", str(disk))
        device = self._run("losetup", "--find", "--show", str(disk)).strip()
        stack.enter_context(_undone("losetup", "-d", device))
        return device

    def _run(self, *words: str) -> str:
        return subprocess.run(
            words, check=True, capture_output=True, text=True
        ).stdout

    def mount(self) -> None:
        """Let it be there, again."""
        self._run(*self._again)

    def unmount(self) -> None:
        """Take it away, though it is in use."""
        self._run("umount", "-l", str(self.path))


@pytest.fixture(params=["tmpfs", "ext4"])
def mount(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[Mount]:
    """Mount a file system; skips and says why not."""
    with contextlib.ExitStack() as stack:
        try:
            made = Mount(str(request.param), tmp_path, stack)
        except (OSError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", None) or str(error)
            print(f"events: unmounting of {request.param} not tested: {why}")
            pytest.skip(f"cannot mount {request.param}: {why}")
        yield made


@pytest.mark.parametrize("where", ["", "spool"])
def test_a_file_system_that_comes_back_is_served_again(
    mount: Mount, where: str, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A spool that was unmounted lazily is whole, and served once it is
    mounted again."""
    spool = SpoolDir(mount.path / where)
    behind = at(mount.behind / where, spool)
    spool.configure(CONFIG)
    daemon = spoold("--workers", "1", spool=spool)
    gate = tmp_path / "gate"
    run_gate(spool, gate)
    mount.unmount()
    await_trouble(behind, daemon)
    behind.drop("n1")
    gate.touch()
    behind.wait("g.job", timeout=FEW_S)
    assert waits(behind, "n1") and not behind.all("n1", "active", "done")
    mount.mount()
    spool.wait("n1", timeout=FEW_S)
    assert_served(spool, daemon)
    assert daemon.stop() == 0
    assert spool.count("done") == 3
