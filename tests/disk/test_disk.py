# SPDX-License-Identifier: MIT
"""Whatever happens to the disk: nothing is lost, and work goes on after."""

import contextlib
import os
import pathlib
import subprocess
import threading
from collections.abc import Callable

import pytest
from crash import machine
from spooler import client
from spooler.errors import SpoolError
from support import Spoold, SpoolDir, document, wait_until

from .conftest import Disk

Start = Callable[..., Spoold]
DiskOf = Callable[..., Disk]
KINDS = ("ext4", "xfs", "btrfs")


def release(go: pathlib.Path, count: int) -> None:
    """Let *count* jobs go on, those that wait and those that come later."""
    with open(go, "wb", buffering=0) as pipe:
        # Readers share what lies there byte by byte; an end of line each.
        pipe.write(b"\n" * count)


def say(number: int) -> str:
    """The name of a payload whose job waits."""
    return f"{number}.say"


def submit(spool: SpoolDir) -> str | None:
    """Submit as a program would; None if that is refused, as it must say."""
    with client.Client(str(spool.path)) as producer:
        try:
            return producer.submit("echo", "x")
        except SpoolError as error:
            assert error.status in (73, 75), error
            assert "nothing was submitted" in str(error)
            return None


def published(spool: SpoolDir, name: str) -> bool:
    """Publish what was written; freed room may not be there at once."""
    try:
        spool.publish(name)
    except OSError:
        return False
    return True


def finish(spool: SpoolDir, confirmed: list[str], dropped: int) -> None:
    """Everything that was accepted ends well, once."""
    wait_until(
        lambda: spool.count("done") == dropped + len(confirmed)
        or spool.count("failed"), 60, spool.tree,
    )
    assert not spool.listed("failed"), spool.tree()
    done = {job.name.id for job in spool.jobs("done")}
    assert set(confirmed) <= done and len(done) == dropped + len(confirmed)
    wait_until(lambda: spool.status()["trouble"] is None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk(
    disk_of: DiskOf, spoold: Start, go: pathlib.Path, kind: str
) -> None:
    """Running jobs are filed on the reserve or when there is room; submit
    refuses and means it; claims pause; all goes on by itself."""
    disk = disk_of(kind)
    spool = disk.spool(go)
    daemon = spoold("--workers", "2", spool=spool)
    wait_until((spool.path / "run" / "reserve").exists)
    for number in range(8):
        spool.drop(say(number))
    wait_until(lambda: len(spool.status()["running"]) == 8)
    waiting = [f"{number}.job" for number in range(5)]
    for name in waiting:
        spool.write(name, document("echo", name))
    ballast = disk.fill()
    confirmed = []
    for _ in range(20):
        job_id = submit(spool)
        if job_id is not None:
            confirmed.append(job_id)
    unpublished = []
    for name in waiting:
        try:
            spool.publish(name)
        except OSError:
            unpublished.append(name)
    release(go, 8)
    if kind != "btrfs":  # where what is lacking is often not file data
        wait_until(
            lambda: not spool.status()["running"], what=lambda: daemon.log
        )
    assert daemon.process.poll() is None
    for path in ballast:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    machine.sync_tree(str(spool.path))
    for name in unpublished:
        wait_until(lambda: published(spool, name))
    finish(spool, confirmed, 8 + len(waiting))
    for number in range(8):
        assert spool.wait(say(number)).out == b"so far\n"
    assert not daemon.log.count("Traceback")


def test_over_quota(
    disk_of: DiskOf, spoold: Start, go: pathlib.Path
) -> None:
    """A quota that is used up is like a full disk."""
    disk = disk_of("btrfs")
    inner = disk.path / "spool"
    for command in (
        ["btrfs", "quota", "enable", str(disk.path)],
        ["btrfs", "subvolume", "create", str(inner)],
        ["btrfs", "qgroup", "limit", "6M", str(inner)],
    ):
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"no quota: {made.stderr.strip()}")
    spool = disk.spool(go)
    spoold(spool=spool)
    ballast = spool.path / "tmp" / "ballast"
    full = False
    with open(ballast, "wb", buffering=0) as stream:
        try:
            for _ in range(1000):
                stream.write(b"x" * (1 << 16))
                os.fsync(stream.fileno())
        except OSError:
            full = True
    assert full
    refused = 0
    confirmed = []
    for _ in range(20):
        job_id = submit(spool)
        refused += job_id is None
        confirmed += filter(None, [job_id])
    assert refused
    ballast.unlink()
    os.sync()
    job_id = wait_until(lambda: submit(spool))
    finish(spool, [*confirmed, job_id], 0)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_frozen_disk(
    disk_of: DiskOf, spoold: Start, go: pathlib.Path, kind: str
) -> None:
    """While it is frozen everything waits; when it thaws all goes on."""
    disk = disk_of(kind)
    spool = disk.spool(go)
    daemon = spoold("--workers", "2", spool=spool)
    for number in range(4):
        spool.drop(say(number))
    wait_until(lambda: len(spool.status()["running"]) == 4)
    confirmed: list[str] = []

    def produce() -> None:
        for _ in range(10):
            job_id = submit(spool)
            assert job_id is not None
            confirmed.append(job_id)

    producer = threading.Thread(target=produce)
    subprocess.run(["fsfreeze", "-f", str(disk.path)], check=True)
    try:
        producer.start()
        release(go, 4)
        producer.join(0.5)
        assert producer.is_alive() and not confirmed
        assert daemon.process.poll() is None
    finally:
        subprocess.run(["fsfreeze", "-u", str(disk.path)], check=True)
    producer.join(20)
    assert len(confirmed) == 10
    finish(spool, confirmed, 4)


def test_a_disk_that_turns_read_only(
    disk_of: DiskOf, spoold: Start, go: pathlib.Path
) -> None:
    """After an error of the disk nothing is confirmed and nothing is lost;
    once it is mounted anew, with spoold still running, work goes on."""
    disk = disk_of("ext4", "errors=remount-ro")
    trigger = pathlib.Path(
        "/sys/fs/ext4", os.path.basename(disk.device), "trigger_fs_error"
    )
    if not trigger.exists():
        pytest.skip("this kernel lets nobody trigger an error of ext4")
    spool = disk.spool(go)
    daemon = spoold("--workers", "2", spool=spool)
    spool.drop(say(0))
    wait_until(lambda: len(spool.status()["running"]) == 1)
    before = [submit(spool) for _ in range(5)]
    confirmed = [job_id for job_id in before if job_id is not None]
    assert len(confirmed) == 5
    wait_until(lambda: spool.count("done") == 5)
    machine.sync_tree(str(disk.path))
    trigger.write_text("1")
    wait_until(lambda: submit(spool) is None)
    release(go, 1)
    wait_until(lambda: spool.status()["trouble"], what=lambda: daemon.log)
    subprocess.run(["umount", "-l", str(disk.path)], check=True)
    # spoold lets go of the old one: only then it can be mounted anew.
    wait_until(
        lambda: "cannot be served yet" in daemon.log,
        what=lambda: daemon.log,
    )
    subprocess.run(["fsck.ext4", "-p", "-f", disk.device], check=False,
                   capture_output=True)
    machine.mount(disk.device, str(disk.path), "ext4", "")
    daemon.wait_ready(2)
    release(go, 1)
    finish(spool, confirmed, 1)
    assert submit(spool) is not None
