# SPDX-License-Identifier: MIT
"""Real files, dropped by a shell script, come out as by hand."""

import os
import pathlib
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator

import pytest
from support import Spoold, SpoolDir, wait_until

WANTED = 300
SIZE_MAX = 200_000
PLACES = ("/usr/share/doc", "/usr/share/man", sysconfig.get_path("stdlib"))
KINDS = ("gz", "sum", "words")

CONFIG = """
durability = "relaxed"
[handler.gzip]
command = ["gzip", "-9", "-n"]
match = ["*.gz-me"]
[handler.sha256sum]
command = ["sha256sum"]
match = ["*.sum-me"]
[handler.words]
python = "sample_handlers:words"
match = ["*.words-me"]
"""

#: Reads pairs of a source and a name; needs nothing but cp and mv.
DROP = """
while IFS='\t' read -r source name; do
    cp -- "$source" "$1/tmp/$name" && mv -- "$1/tmp/$name" "$1/incoming/" ||
        exit 1
done
"""


def real_files() -> list[str]:
    """Regular files this machine has anyway, in a fixed order."""
    found = []
    for place in PLACES:
        for directory, directories, entries in os.walk(place):
            directories.sort()
            for entry in sorted(entries):
                path = os.path.join(directory, entry)
                if "\n" in path or "\t" in path or os.path.islink(path):
                    continue
                if os.path.isfile(path) and os.access(path, os.R_OK):
                    if os.path.getsize(path) <= SIZE_MAX:
                        found.append(path)
                if len(found) == WANTED:
                    return found
    return found


@pytest.fixture(params=["tmp_path", "/dev/shm"])
def place(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[pathlib.Path]:
    """A directory, on the usual file system and on one in memory."""
    if request.param == "tmp_path":
        yield tmp_path
        return
    if not os.access(request.param, os.W_OK):
        pytest.skip(f"no {request.param}")
    if os.stat(request.param).st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{request.param} is the same file system")
    with tempfile.TemporaryDirectory(dir=request.param) as directory:
        yield pathlib.Path(directory)


@pytest.mark.skipif(
    None in map(shutil.which, ("gzip", "sha256sum")),
    reason="no gzip or sha256sum",
)
def test_real_files_come_out_as_by_hand(
    place: pathlib.Path, spoold: Callable[..., Spoold]
) -> None:
    """Every output is what its command gives by hand, every file whole."""
    files = real_files()
    assert len(files) == WANTED
    jobs = {
        f"{number:03}.{os.path.basename(path)[:150]}"
        f".{KINDS[number % len(KINDS)]}-me": path
        for number, path in enumerate(files)
    }
    spool = SpoolDir(place / "spool")
    spool.configure(CONFIG)
    spoold(spool=spool)
    lines = "".join(f"{path}\t{name}\n" for name, path in jobs.items())
    subprocess.run(
        ["sh", "-c", DROP, "sh", str(spool.path)], check=True,
        input=os.fsencode(lines),
    )
    wait_until(
        lambda: spool.count("done") == WANTED, 60, what=spool.tree
    )
    assert not list(spool.jobs("incoming", "active", "deferred", "failed"))
    assert spool.listed("tmp") == []
    by_hand = {
        "gz-me": lambda data: _output_of(["gzip", "-9", "-n"], data),
        "sum-me": lambda data: _output_of(["sha256sum"], data),
    }
    seen = set()
    for job in spool.jobs("done"):
        name = job.name.dropped_name
        assert name is not None
        seen.add(name)
        original = pathlib.Path(jobs[name]).read_bytes()
        assert job.data == original
        kind = name.rpartition(".")[2]
        if kind in by_hand:
            assert job.out == by_hand[kind](original)
            assert job.record["runs"][0]["kind"] == "ok"
        else:
            assert job.record["value"] == len(original.split())
    assert seen == set(jobs)


def _output_of(command: list[str], data: bytes) -> bytes:
    return subprocess.run(
        command, input=data, stdout=subprocess.PIPE, check=True
    ).stdout
