# SPDX-License-Identifier: MIT
"""A full disk: claims pause, nothing is lost, and it heals by itself."""

import pathlib
import subprocess
from collections.abc import Callable, Iterator

import pytest
from support import Spoold, SpoolDir, document, wait_until

Start = Callable[..., Spoold]

CONFIG = """
[handler.no]
command = ["false"]
attempts = 1
[handler.echo]
python = "sample_handlers:echo"
attempts = 1
"""


@pytest.fixture
def small(tmp_path: pathlib.Path) -> Iterator[SpoolDir]:
    """A spool on a file system of 2 MB."""
    place = tmp_path / "small"
    place.mkdir()
    result = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)],
        capture_output=True, text=True,
    )
    if result.returncode != 0:
        pytest.skip(f"cannot mount: {result.stderr.strip()}")
    yield SpoolDir(place / "spool")
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(path: pathlib.Path) -> None:
    """Write until nothing goes in any more."""
    with open(path, "wb", buffering=0) as stream:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                pass


@pytest.mark.parametrize("handler", ["no", "echo", "unknown"])
def test_a_full_disk_pauses_and_heals(
    small: SpoolDir, spoold: Start, handler: str
) -> None:
    """With no room for a verdict, a job waits for room and then has one."""
    small.configure(CONFIG)
    daemon = spoold(spool=small)
    small.drop_job("before", "echo", "x")
    small.wait("before.job")
    names = [f"{number}.job" for number in range(5)]
    for name in names:
        small.write(name, document(handler, "-", body=b"body"))
    full = small.path / "tmp" / "full"
    fill(full)
    for name in names:
        small.publish(name)
    wait_until(lambda: small.status()["trouble"], what=lambda: daemon.log)
    assert daemon.process.poll() is None
    assert not list(small.jobs("failed"))
    full.unlink()
    for name in names:
        found = small.wait(name, "done" if handler == "echo" else "failed")
        assert found.data == document(handler, "-", body=b"body")
        assert found.record["id"] == found.name.id
    wait_until(lambda: small.status()["trouble"] is None)
    assert daemon.log.count("in trouble") == 1, daemon.log
