# SPDX-License-Identifier: MIT
"""Where events are few, late or none, jobs are found all the same."""

import errno
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from support import ROOT, SPOOLD, Spoold, SpoolDir, wait_until

Start = Callable[..., Spoold]

RESCAN_S = 6  #: between scans where there are events
POLL_S = 1.0  #: between scans where there are no events
CONFIG = """
rescan = "{rescan}"
[handler.noop]
python = "sample_handlers:noop"
match = ["*"]
"""

#: spoold that cannot get inotify as long as a file is there.
PRETENDED = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
import spooler.watch

real = spooler.watch.InotifyFD
number = int(os.environ["LIMIT_ERRNO"])

def limited():
    if os.path.exists(os.environ["LIMIT"]):
        raise OSError(number, os.strerror(number))
    return real()

spooler.watch.InotifyFD = limited
from spooler.cli.spoold import main
main()
"""

#: spoold whose events all vanish, and which is not told.
SWALLOWED = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import spooler.watch

spooler.watch.Watch.on_event = lambda self, event: None
from spooler.cli.spoold import main
main()
"""

_SYSCTL = "/proc/sys/user/max_inotify_"


def busy_s() -> float:
    """What a busy machine may add."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Limit:
    """A limit of the kernel, in a user namespace of its own."""

    def __init__(self, what: str) -> None:
        """Impose it on whatever runs behind ``prefix``."""
        self._file = f"/proc/sys/user/max_inotify_{what}"
        self.prefix = [
            "unshare", "--user", "--map-root-user", "sh", "-c",
            f'echo 0 >{self._file} && exec "$@"', "sh",
        ]
        self.command = [*self.prefix, sys.executable, SPOOLD]
        self.env: dict[str, str] = {}

    def why_not(self) -> str:
        """Why it cannot be imposed; empty if it can."""
        try:
            tried = subprocess.run(
                [*self.prefix, "cat", self._file], capture_output=True,
                text=True,
            )
        except OSError as error:
            return str(error)
        return "" if tried.stdout == "0\n" else tried.stderr

    def lift(self, pid: int) -> None:
        """There is enough for all now."""
        subprocess.run(
            ["nsenter", "--user", "--preserve-credentials", f"--target={pid}",
             "sh", "-c", f"echo 1000 >{self._file}"],
            check=True, capture_output=True,
        )


class Pretended(Limit):
    """A limit that watchdog is made to meet."""

    def __init__(self, what: str, tmp_path: pathlib.Path) -> None:
        """Impose it."""
        super().__init__(what)
        self._flag = tmp_path / "limit"
        self._flag.touch()
        script = tmp_path / "limited.py"
        script.write_text(PRETENDED)
        number = errno.EMFILE if what == "instances" else errno.ENOSPC
        self.command = [sys.executable, str(script)]
        self.env = {"LIMIT": str(self._flag), "LIMIT_ERRNO": str(number)}

    def lift(self, pid: int) -> None:
        """There is enough for all now."""
        self._flag.unlink()


@pytest.fixture(params=["instances", "watches"])
def limit(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Limit:
    """Impose a limit on the daemons that are started with it."""
    what = str(request.param)
    made = Limit(what)
    why = made.why_not()
    if why:
        print(f"events: a limit of {what} is only pretended: {why}")
        made = Pretended(what, tmp_path)
    return made


def _await(spool: SpoolDir, name: str, limit_s: float) -> float:
    """Drop a file; returns how long it took until it was done."""
    began = time.monotonic()
    spool.drop(name)
    spool.wait(name, timeout=limit_s)
    return time.monotonic() - began


def _status(spool: SpoolDir) -> str:
    return subprocess.run(
        [sys.executable, str(ROOT / "bin" / "spoolctl"), "-C",
         str(spool.path), "status"], capture_output=True, text=True,
    ).stdout


def test_without_events_jobs_start_within_a_second(
    spool: SpoolDir, spoold: Start, limit: Limit
) -> None:
    """Without inotify spoold says so, polls, and hears again later."""
    spool.configure(CONFIG.format(rescan=f"{RESCAN_S}s"))
    daemon = spoold(command=limit.command, env=limit.env)
    assert spool.status()["watching"] is False
    assert "no events from incoming/" in daemon.log
    assert "scanning" in _status(spool)
    scanned = 0.0
    for number in range(3):
        took = _await(spool, f"a{number}", POLL_S + busy_s())
        scanned = max(scanned, took)
        time.sleep(0.13)  # not in step with the scans
    limit.lift(daemon.pid)
    wait_until(
        lambda: spool.status()["watching"], RESCAN_S + busy_s(),
        lambda: daemon.log,
    )
    assert "scanning" not in _status(spool)
    heard = 0.0
    for number in range(6):
        # Scans are too far apart for all of them.
        heard = max(heard, _await(spool, f"b{number}", busy_s()))
    print(
        f"events none, then some: worst wait {scanned:.2f}s of scans,"
        f" {heard:.2f}s of events"
    )


def test_events_that_vanish_delay_a_job_by_one_scan(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """A job nobody was told of starts with the next scan at the latest."""
    spool.configure(CONFIG.format(rescan="500ms"))
    script = tmp_path / "swallowed.py"
    script.write_text(SWALLOWED)
    spoold(command=[sys.executable, str(script)])
    assert spool.status()["watching"]
    worst = 0.0
    for number in range(12):
        worst = max(worst, _await(spool, f"a{number}", 0.5 + 1.0 + busy_s()))
        time.sleep(number * 0.037 % 0.1)
    print(f"events swallowed: 12 jobs, worst wait {worst:.2f}s")


def test_wait_does_without_events(
    spool: SpoolDir, spoold: Start
) -> None:
    """``spoolctl wait`` sees the end of a job that nobody tells it of."""
    limit = Limit("instances")
    why = limit.why_not()
    if why:
        print(f"events: wait at a limit not tested: {why}")
        pytest.skip(f"no limits in a user namespace: {why}")
    spool.configure(CONFIG.format(rescan="1h"))
    spool.drop("late")
    process = subprocess.Popen(
        [*limit.prefix, sys.executable, str(ROOT / "bin" / "spoolctl"), "-C",
         str(spool.path), "wait", "--timeout", "20s", "late"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        spoold()
        spool.wait("late")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
