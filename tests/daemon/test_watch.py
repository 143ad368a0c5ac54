# SPDX-License-Identifier: MIT
"""How a dropped file is found: by events, by scans, after lost events."""

import os
import pathlib
import signal
import sys
from collections.abc import Callable

import pytest
from support import ROOT, Spoold, SpoolDir, wait_until

Start = Callable[..., Spoold]

#: With scans an hour apart, only events can make a job start.
EVENTS_ONLY = """
rescan = "1h"
default = "true"
[handler.true]
command = ["true"]
[handler.noop]
python = "sample_handlers:noop"
match = ["n*"]
"""

#: spoold on a machine that has no inotify to give.
DEAF = f"""
import errno, os, sys
sys.path.insert(0, {str(ROOT)!r})
import spooler.watch

def deaf():
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

spooler.watch.InotifyFD = deaf
from spooler.cli.spoold import main
main()
"""


@pytest.fixture
def served(spool: SpoolDir, spoold: Start) -> SpoolDir:
    """A spool whose daemon hears of files by events alone."""
    spool.configure(EVENTS_ONLY)
    spoold()
    assert spool.status()["watching"]
    return spool


def test_a_renamed_file_is_heard_of(served: SpoolDir) -> None:
    """A job dropped by rename runs without any scan."""
    for number in range(20):
        served.drop(f"{number}.x", b"x")
        served.wait(f"{number}.x")


def test_a_linked_file_is_heard_of(served: SpoolDir) -> None:
    """A job dropped by link(2) runs without any scan."""
    for number in range(20):
        path = served.write(f"{number}.x", b"x")
        os.link(path, served.path / "incoming" / f"{number}.x")
        os.unlink(path)
        served.wait(f"{number}.x")


def test_a_directory_does_not_disturb_events(served: SpoolDir) -> None:
    """After a directory came and went, files are still heard of."""
    (served.path / "incoming" / "directory").mkdir()
    (served.path / "tmp" / "moved").mkdir()
    served.publish("moved")
    served.drop("a.x")
    served.wait("a.x")
    (served.path / "incoming" / "directory").rmdir()
    served.drop("b.x")
    served.wait("b.x")


def test_claims_raise_no_events(served: SpoolDir, spoold: Start) -> None:
    """What leaves incoming/ is not asked for: it would delay arrivals."""
    pid = served.status()["pid"]
    masks = []
    for entry in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            text = pathlib.Path(f"/proc/{pid}/fdinfo/{entry}").read_text()
        except FileNotFoundError:
            continue  # closed since it was listed
        for line in text.splitlines():
            if line.startswith("inotify "):
                fields = dict(
                    field.split(":", 1) for field in line.split()[1:]
                )
                inode = int(fields["ino"], 16)
                if inode == (served.path / "incoming").stat().st_ino:
                    masks.append(int(fields["mask"], 16))
    (mask,) = masks
    in_moved_from, in_delete, in_moved_to, in_create = 0x40, 0x200, 0x80, 0x100
    assert not mask & (in_moved_from | in_delete)
    assert mask & in_moved_to and mask & in_create


def test_jobs_wait_for_a_daemon(spool: SpoolDir, spoold: Start) -> None:
    """What was dropped before the start is found by the first scan."""
    spool.configure(EVENTS_ONLY)
    for number in range(50):
        spool.drop(f"n{number}")
    spoold()
    for number in range(50):
        spool.wait(f"n{number}")


def test_without_events_jobs_are_found_by_scans(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Where no events are to be had, scans are enough, and status says so."""
    spool.configure(EVENTS_ONLY)
    script = tmp_path / "deaf.py"
    script.write_text(DEAF)
    daemon = spoold(command=[sys.executable, str(script)])
    assert spool.status()["watching"] is False
    assert "no events from incoming/" in daemon.log
    for number in range(3):
        spool.drop(f"{number}.x")
        spool.wait(f"{number}.x")


def test_lost_events_lose_no_job(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """More arrivals than the kernel queues while spoold sleeps all run."""
    spool.configure('durability = "relaxed"\n' + EVENTS_ONLY)
    daemon = spoold("--workers", "2")
    limit = pathlib.Path("/proc/sys/fs/inotify/max_queued_events")
    count = min(40_000, max(20_000, int(limit.read_text()) + 1000))
    first = spool.write("first")
    for number in range(count):
        # Links are cheaper than files; each is a job of its own name.
        if number % 10_000 == 0:
            first = spool.write(f"first{number}")
        os.link(first, spool.path / "tmp" / f"n{number}")
    daemon.signal(signal.SIGSTOP)
    for number in range(count):
        spool.publish(f"n{number}")
    daemon.signal(signal.SIGCONT)
    done = spool.path / "done"
    wait_until(
        lambda: not os.listdir(spool.path / "incoming")
        and len(os.listdir(done)) >= count,
        90, what=spool.tree,
    )
    names = [job.name.tail for job in spool.jobs("done")]
    assert sorted(names) == sorted(f"n{number}" for number in range(count))
    assert {job.name.runs for job in spool.jobs("done")} == {1}


def test_a_replaced_incoming_is_served(
    spool: SpoolDir, spoold: Start
) -> None:
    """A daemon whose incoming/ was replaced serves the new one by itself."""
    spool.configure(EVENTS_ONLY.replace("1h", "200ms"))
    daemon = spoold()
    spool.drop("a.x")
    spool.wait("a.x")
    (spool.path / "incoming").rmdir()
    (spool.path / "incoming").mkdir(0o700)
    spool.drop("b.x")
    spool.wait("b.x")
    assert "another lies in its place" in daemon.log
    spool.drop("c.x")
    spool.wait("c.x")
