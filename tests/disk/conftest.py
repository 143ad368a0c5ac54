# SPDX-License-Identifier: MIT
"""Fixtures: small file systems of our own, to be troubled."""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import pytest
from crash import machine
from support import SpoolDir

#: Nothing is refused before the disk itself refuses it.
CONFIG = '''
rescan = "200ms"
min_free = 0
min_free_inodes = 0
[handler.say]
command = ["sh", "-c", """
echo so far; cat >/dev/null; until read l <{go}; do :; done
"""]
match = ["*.say"]
concurrency = 8
attempts = 2
backoff = "10ms"
[handler.echo]
python = "sample_handlers:echo"
attempts = 1
'''


@dataclasses.dataclass
class Disk:
    """
    A small file system, mounted.

    Attributes:
        kind: ext4, xfs or btrfs.
        path: where.
        device: what is mounted there.
    """

    kind: str
    path: pathlib.Path
    device: str

    def spool(self, go: pathlib.Path) -> SpoolDir:
        """A spool on it; jobs of ``say`` wait for a line from *go*."""
        made = SpoolDir(self.path / "spool")
        made.configure(CONFIG.replace("{go}", str(go)))
        return made

    def fill(self) -> list[pathlib.Path]:
        """Write until nothing goes in; returns what to remove."""
        made = []
        for number, size in enumerate((1 << 22, 1 << 16, 1 << 12, 1)):
            path = self.path / f"ballast{number}"
            made.append(path)
            with contextlib.suppress(OSError), open(
                path, "wb", buffering=0
            ) as stream:
                while True:
                    stream.write(b"x" * size)
            with contextlib.suppress(OSError):
                machine.sync_tree(str(self.path))
        # Small ones take what is left for names.
        litter = self.path / "litter"
        with contextlib.suppress(OSError):
            litter.mkdir()
            for number in range(100_000):
                path = litter / f"{number:0200}"
                path.touch()
                made.append(path)
        return made


@pytest.fixture
def disk_of(tmp_path: pathlib.Path) -> Iterator[Callable[..., Disk]]:
    """Make small file systems; they are unmounted at the end."""
    with contextlib.ExitStack() as stack:

        def make(kind: str, options: str = "") -> Disk:
            why = machine.why_not(kind)
            if why is not None:
                pytest.skip(why)
            scratch = stack.enter_context(tempfile.TemporaryDirectory(
                prefix="spool-disk-", dir=machine.SCRATCH
            ))
            image = os.path.join(scratch, "image")
            where = tmp_path / kind
            where.mkdir()
            machine.make_image(kind, image)
            device = stack.enter_context(machine.loop_device(image))
            # btrfs gives freed room back a commit or two later: 30 s each.
            soon = "commit=1" if kind == "btrfs" else ""
            told = ",".join(
                filter(None, [machine.OPTIONS[kind], soon, options])
            )
            machine.mount(device, str(where), kind, told)
            stack.callback(
                subprocess.run, ["umount", "-l", str(where)], check=False,
                capture_output=True,
            )
            return Disk(kind, where, device)

        yield make


@pytest.fixture
def go(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A pipe that running jobs wait at."""
    path = tmp_path / "go"
    os.mkfifo(path)
    # Open all the while: what is written goes when nobody has it open.
    kept = os.open(path, os.O_RDWR)
    yield path
    os.close(kept)
