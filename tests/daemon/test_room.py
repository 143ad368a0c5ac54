# SPDX-License-Identifier: MIT
"""Limits of a spool, and what producers are told of them."""

import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from daemon.test_run import Start, shell
from spooler import client, gate, layout
from spooler.errors import SpoolClosed
from spooler.reserve import RESERVE_BYTES
from support import (
    SPOOLCTL,
    SPOOLD,
    SpoolDir,
    environment,
    run_spoold,
    wait_until,
)

QUIET = 'default = "x"\nrescan = "200ms"\n'


def spoolctl(
    spool: SpoolDir, *words: str, data: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run spoolctl as a user would."""
    return subprocess.run(
        [sys.executable, SPOOLCTL, "-C", str(spool.path), *words],
        input=data, capture_output=True, text=True, env=environment(None),
        timeout=60,
    )


def closed(spool: SpoolDir) -> str:
    """What producers are told; "" while the spool is open."""
    told = gate.decode((spool.path / gate.GATE).read_bytes())
    return told.closed


def held_up(concurrency: int = 1) -> str:
    """A handler that keeps its jobs waiting until told."""
    return shell("x", "cat >/dev/null; exec sleep 1000", match=["*"],
                 concurrency=concurrency)


def test_the_limit_of_jobs_closes_the_spool(
    spool: SpoolDir, spoold: Start
) -> None:
    """At max_pending submit exits 75; dropped files are taken all the same;
    the spool opens again by itself."""
    go = spool.path.parent / "go"
    spool.configure(QUIET + "max_pending = 20\n" + shell(
        "x", f"while ! test -e {go}; do sleep 0.05; done", match=["*"],
        concurrency=4,
    ))
    daemon = spoold()
    for number in range(30):
        spool.drop(f"n{number}")
    wait_until(lambda: closed(spool), what=lambda: daemon.log)
    assert "max_pending is 20" in closed(spool)
    refused = spoolctl(spool, "submit", "x")
    assert refused.returncode == 75 and refused.stdout == ""
    assert "max_pending is 20" in refused.stderr
    assert "nothing was submitted" in refused.stderr
    batch = spoolctl(spool, "submit", "--batch", "x", data="1\n2\n")
    assert (batch.returncode, batch.stdout) == (75, "")
    assert spool.status()["closed"] == closed(spool)
    assert "closed:" in spoolctl(spool, "status").stdout
    spool.drop("by-hand")
    patient = subprocess.Popen(
        [sys.executable, SPOOLCTL, "-C", str(spool.path), "submit",
         "--wait-for-room", "x"],
        stdout=subprocess.PIPE, text=True, env=environment(None),
    )
    go.touch()
    out, _ = patient.communicate(timeout=30)
    assert patient.returncode == 0 and len(out.split()) == 1
    wait_until(lambda: spool.count("done") == 32, what=spool.tree)
    wait_until(lambda: not closed(spool))
    assert "open again" in daemon.log
    assert spoolctl(spool, "submit", "x").returncode == 0


def is_held(lock: pathlib.Path) -> bool:
    """Whether somebody holds a lock."""
    with open(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_without_a_daemon_the_owner_counts(
    spool: SpoolDir, spoold: Start
) -> None:
    """A dead spoold does not let the spool fill without end."""
    spool.configure(QUIET + "max_pending = 5\n" + held_up())
    daemon = spoold()
    daemon.kill()
    daemon.assert_nothing_left()
    # A process that dies has no environment before it has no lock.
    wait_until(lambda: not any(map(is_held, spool.path.glob("run/locks/*"))))
    with client.Client(str(spool.path), durable=False) as producer:
        for _ in range(5):
            producer.submit("x")
        with pytest.raises(SpoolClosed, match="spoold is not running"):
            producer.submit("x")
        os.unlink(spool.path / "incoming" / spool.listed("incoming")[0])
        producer.submit("x")


def test_the_limit_of_bytes_closes_the_spool(
    spool: SpoolDir, spoold: Start
) -> None:
    """What waits is weighed by what it takes on disk."""
    spool.configure(QUIET + 'max_bytes = "1MiB"\n' + held_up())
    spoold()
    spool.drop("running")
    wait_until(lambda: spool.count("active"))
    with open(spool.path / "tmp" / "sparse", "wb") as file:
        file.truncate(1 << 40)  # no room at all
    spool.publish("sparse")
    for number in range(8):
        assert not closed(spool)
        spool.drop(f"n{number}", b"x" * (128 << 10))
    wait_until(lambda: closed(spool))
    assert "max_bytes is 1.0 MiB" in closed(spool)
    for job in list(spool.jobs("incoming")):
        job.path.unlink()
    wait_until(lambda: not closed(spool))


def test_a_reload_changes_the_limits(spool: SpoolDir, spoold: Start) -> None:
    """The operator who raises a limit lets producers in at once."""
    spool.configure(QUIET + "max_pending = 1\n" + held_up())
    daemon = spoold()
    spool.drop("a")
    spool.drop("b")
    spool.drop("c")
    wait_until(lambda: closed(spool))
    spool.configure(QUIET + held_up())
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: not closed(spool))
    told = gate.decode((spool.path / gate.GATE).read_bytes())
    assert told.max_pending == 0


def test_anybody_may_read_the_gate(spool: SpoolDir, spoold: Start) -> None:
    """Whatever the umask of spoold: producers are other users."""
    spool.configure(QUIET + held_up())
    spoold(command=["sh", "-c", 'umask 077; exec "$@"', "sh",
                    sys.executable, SPOOLD])
    mode = (spool.path / gate.GATE).stat().st_mode
    assert mode & 0o777 == 0o644


@pytest.fixture
def small(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of 16 MiB with 200 inodes."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root to mount a file system of its own")
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m,nr_inodes=200", "none",
         str(path)], capture_output=True, text=True,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_submissions_leave_the_disk_some_room(
    small: pathlib.Path, spoold: Start
) -> None:
    """Below min_free and min_free_inodes submit refuses, with or without
    spoold; above it goes on by itself."""
    spool = SpoolDir(small / "q")
    spool.configure(QUIET + 'min_free = "4MiB"\nmin_free_inodes = 50\n'
                    + shell("x", "true", match=["*"]))
    daemon = spoold(spool=spool)
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * (12 << 20))
    refused = spoolctl(spool, "submit", "x")
    assert refused.returncode == 75 and "min_free" in refused.stderr
    wait_until(lambda: spool.status()["closed"])
    ballast.unlink()
    wait_until(lambda: not spool.status()["closed"])
    assert spoolctl(spool, "submit", "x").returncode == 0
    litter = [small / f"i{number}" for number in range(160)]
    made = []
    for path in litter:
        try:
            path.touch()
        except OSError:
            break
        made.append(path)
    daemon.stop()
    refused = spoolctl(spool, "submit", "x")
    assert refused.returncode == 75
    assert "min_free_inodes" in refused.stderr
    for path in made:
        path.unlink()
    assert spoolctl(spool, "submit", "x").returncode == 0


def test_running_jobs_are_filed_on_the_reserve(
    small: pathlib.Path, spoold: Start
) -> None:
    """The disk fills while a job runs: its verdict and record are filed all
    the same, claims pause, and go on when there is room."""
    spool = SpoolDir(small / "q")
    go = small / "q" / "go"
    spool.configure(QUIET + "min_free = 0\nmin_free_inodes = 0\n" + shell(
        "x", f"echo so far; read line <{go}", match=["*"],
    ))
    os.mkfifo(go)
    daemon = spoold(spool=spool)
    reserve = spool.path / "run" / "reserve"
    wait_until(reserve.exists)
    assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
    spool.drop("a")
    wait_until(lambda: spool.count("active"))
    with open(small / "ballast", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    writer = threading.Thread(target=lambda: go.write_text("result\n"))
    writer.start()
    assert spool.wait("a").out == b"so far\n"
    writer.join()
    assert "the reserve is given up" in daemon.log
    assert not reserve.exists()
    (small / "ballast").unlink()
    wait_until(reserve.exists)
    spool.drop("b")
    wait_until(lambda: spool.count("active"))
    go.write_text("more\n")
    assert spool.wait("b").out == b"so far\n"


def test_producers_who_may_not_read_are_told_all_the_same(
    tmp_path: pathlib.Path
) -> None:
    """A spool with no gate has no limits; a broken one hinders nobody."""
    path = tmp_path / "q"
    layout.create(str(path))
    with client.Client(str(path), durable=False) as producer:
        producer.submit("x")
        (path / gate.GATE).write_bytes(b"\xff\nmin_free x\nnonsense\n\n")
        producer.submit("x")
        (path / gate.GATE).unlink()
        (path / gate.GATE).symlink_to("/dev/zero")
        producer.submit("x")
        (path / gate.GATE).unlink()
        (path / gate.GATE).write_bytes(b"closed for lunch\n")
        with pytest.raises(SpoolClosed, match="for lunch"):
            producer.submit("x")


def test_a_spool_without_limits_starts_and_ends(
    tmp_path: pathlib.Path
) -> None:
    """The gate is there once spoold was, and stays for the time it is not."""
    path = tmp_path / "q"
    layout.create(str(path))
    assert run_spoold(path, "--drain").returncode == 0
    told = gate.decode((path / gate.GATE).read_bytes())
    assert not told.closed and told.min_free == 8 << 20
