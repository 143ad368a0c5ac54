# SPDX-License-Identifier: MIT
"""The same spool on every file system the machine can mount."""

import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest
from support import Spoold, SpoolDir

MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
    "tmpfs": (),
}
SIZE_MIB = 320  #: xfs takes no less than 300

CONFIG = """
[handler.sum]
command = ["sha256sum"]
match = ["*.bin"]
[handler.words]
python = "sample_handlers:words"
match = ["*.txt"]
"""


@pytest.fixture(params=list(MKFS))
def mounted(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[pathlib.Path]:
    """A fresh file system of each kind; if there is none, skip and say why."""
    kind = request.param
    if os.geteuid() != 0:
        pytest.skip(f"{kind}: mounting needs root")
    where = tmp_path / "mnt"
    where.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        command = ["mount", "-t", kind, "none", str(where)]
        if MKFS[kind]:
            if shutil.which(MKFS[kind][0]) is None:
                pytest.skip(f"{kind}: no {MKFS[kind][0]} on this machine")
            image = os.path.join(scratch, "image")
            with open(image, "wb") as file:
                file.truncate(SIZE_MIB << 20)
            subprocess.run([*MKFS[kind], image], check=True)
            command = ["mount", "-t", kind, "-o", "loop", image, str(where)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{kind}: cannot be mounted: {done.stderr.strip()}")
        try:
            yield where
        finally:
            subprocess.run(["umount", str(where)], check=True)


def test_jobs_run_and_keep_their_bytes(mounted: pathlib.Path) -> None:
    """Commands and Python handlers work, and a retry by mv, on each."""
    spool = SpoolDir(mounted / "spool")
    spool.configure(CONFIG)
    daemon = Spoold(spool, mounted / "log")
    try:
        daemon.wait_ready()
        for number in range(20):
            spool.drop(f"{number}.bin", os.urandom(5000))
            spool.drop(f"{number}.txt", b"three words here")
        for number in range(20):
            by_hand = subprocess.run(
                ["sha256sum"], capture_output=True, check=True,
                input=(job := spool.wait(f"{number}.bin")).data,
            )
            assert job.out == by_hand.stdout
            assert spool.wait(f"{number}.txt").record["value"] == 3
        again = spool.wait("0.txt")
        os.rename(again.path, spool.path / "incoming" / again.entry)
        assert spool.wait("0.txt").name.runs == 1
    finally:
        daemon.close()
