# SPDX-License-Identifier: MIT
"""Signs of life: only from a spoold that works, and always from one."""

import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from support import (
    SPOOLCTL,
    SPOOLD,
    Spoold,
    SpoolDir,
    environment,
    sized,
    wait_until,
)

from spooler.client import Client

Start = Callable[..., Spoold]

BUSY_S = sized(10, 3600)
CONFIG = """
[handler.mark]
python = "sample_handlers:mark"
[handler.touch]
command = ["touch"]
[handler.spin]
python = "sample_handlers:spin"
[handler.shspin]
command = ['sh', '-c', 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done']
"""


class Manager:
    """
    Starts spoold as systemd does, and kills one that gives no sign of life.

    Attributes:
        kills: seconds from the last sign of each that was killed.
        gaps: seconds from each sign to the next.
    """

    def __init__(
        self, spool: SpoolDir, log: pathlib.Path, watchdog_s: float
    ) -> None:
        self.kills: list[float] = []
        self.gaps: list[float] = []
        self._name = f"spooler-test-{uuid.uuid4()}"
        self._spool = spool
        self._log = log
        self._watchdog_s = watchdog_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self._name}")
        self.ready = threading.Event()
        self._over = threading.Event()
        self.process = self._start()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _start(self) -> "subprocess.Popen[bytes]":
        self.ready.clear()
        usec = str(int(self._watchdog_s * 1e6))
        with open(self._log, "ab") as log:
            return subprocess.Popen(
                [sys.executable, SPOOLD, "--workers", "2",
                 str(self._spool.path)],
                stdin=subprocess.DEVNULL, stderr=log,
                env=environment(self._name, WATCHDOG_USEC=usec),
            )

    def _watch(self) -> None:
        last = None  # signs are expected once it is ready
        while not self._over.is_set():
            wait_s = self._watchdog_s
            if last is not None:
                wait_s += last - time.monotonic()
            told = self._hear(max(0.0, wait_s))
            now = time.monotonic()
            if "READY=1" in told:
                last = now
                self.ready.set()
            elif "WATCHDOG=1" in told and last is not None:
                self.gaps.append(now - last)
                last = now
            elif last is not None and now - last >= self._watchdog_s:
                self.kills.append(now - last)
                self.process.kill()
                self.process.wait()
                self.process = self._start()
                last = None

    def _hear(self, wait_s: float) -> list[str]:
        if not select.select([self._socket], [], [], wait_s)[0]:
            return []
        return self._socket.recv(1 << 16).decode().split("\n")

    def close(self) -> None:
        """Stop for good."""
        self._over.set()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", f"\0{self._name}")
        self._thread.join()
        self.process.terminate()
        assert self.process.wait(30) == 0, self._log.read_text()
        self._socket.close()


@pytest.fixture
def manager(
    spool: SpoolDir, tmp_path: pathlib.Path
) -> Iterator[Callable[[float], Manager]]:
    """Make a manager; its spoold is stopped at the end."""
    made = []

    def make(watchdog_s: float) -> Manager:
        spool.configure(CONFIG)
        made.append(Manager(spool, tmp_path / "spoold.log", watchdog_s))
        assert made[-1].ready.wait(30)
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_stopped_spoold_is_killed(
    spool: SpoolDir, manager: Callable[[float], Manager]
) -> None:
    """It gives no sign, so its manager ends it; the next one works on."""
    systemd = manager(1.0)
    systemd.ready.clear()
    systemd.process.send_signal(signal.SIGSTOP)
    spool.drop_job("a", "spin")
    wait_until(lambda: systemd.kills)
    assert systemd.ready.wait(30)
    spool.wait("a.job")
    print(f"scale watchdog: killed {systemd.kills[0]:.2f} s after the last"
          " sign of life, WatchdogSec 1 s")
    assert len(systemd.kills) == 1


@pytest.mark.parametrize("kind", ["python", "command"])
def test_a_stopped_worker_is_replaced(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path, kind: str
) -> None:
    """One that does nothing about a job is, and the job is run: that spoold
    still lives would say nothing of it."""
    spool.configure(CONFIG)
    daemon = spoold("--workers", "1")
    (pid,) = wait_until(lambda: daemon.workers(kind))
    first = "mark" if kind == "python" else "touch"
    spool.drop_job("before", first, str(tmp_path / "x"))
    spool.wait("before.job")
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    spool.drop_job("after", first, str(tmp_path / "y"))
    spool.wait("after.job", timeout=90)
    print(f"scale watchdog: a stopped worker ({kind}) was replaced, and its"
          f" job done, after {time.monotonic() - began:.1f} s")
    assert daemon.log.count("takes no jobs; ended") == 1
    assert pid not in daemon.workers(kind)


def test_a_busy_machine_is_no_hang(
    spool: SpoolDir, manager: Callable[[float], Manager]
) -> None:
    """With every processor busy and jobs coming faster than they are done,
    the signs come in time."""
    watchdog_s = 10.0  # the unit's are 30
    systemd = manager(watchdog_s)
    until = time.monotonic() + BUSY_S
    spinners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    count = 0
    try:
        with Client(str(spool.path)) as client:
            while time.monotonic() < until:
                client.submit_many([("spin", (), b""), ("shspin", (), b"")])
                count += 2
                subprocess.run(
                    [sys.executable, SPOOLCTL, "-C", str(spool.path), "ls"],
                    stdout=subprocess.DEVNULL, check=True,
                )
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
    print(
        f"scale watchdog: {BUSY_S:.0f} s at 100 % CPU, {count} jobs,"
        f" {len(systemd.gaps)} signs of life, longest without"
        f" {max(systemd.gaps):.2f} s, WatchdogSec {watchdog_s:g} s,"
        f" {len(systemd.kills)} kills"
    )
    assert not systemd.kills
