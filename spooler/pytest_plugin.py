# SPDX-License-Identifier: MIT
"""
Fixtures for the tests of programs that use spooler.

    def test_thumbnail(spool):
        job = thumbnail.options(delay="1h").submit("a.jpg")
        assert spool.drain() == []
        spool.advance("1h")
        assert spool.drain() == [job.id]
        assert job.result(0) == "a-small.jpg"

``spool`` is a real spool, and the one that is meant where none is named;
``drain`` runs its jobs in the process of the test.  ``spoold`` is a real
daemon that serves it.
"""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from spooler.options import Duration

_READY_S = 30.0
_MAIN = "from spooler.cli.spoold import main; main()"


class LocalSpool:
    """
    A spool whose jobs run when a test says so.

    Attributes:
        path: of the spool.
        configured: whether the test wrote spool.toml.
    """

    def __init__(self, path: pathlib.Path) -> None:
        # Here, so that a run of tests that need none imports none of it.
        from spooler import layout
        from spooler.station import Station

        layout.create(str(path))
        self.path = path
        self.configured = False
        self._ahead_ns = 0
        self._station = Station(str(path), self.now_ns)

    def now_ns(self) -> int:
        """The clock that delays and retries go by."""
        return time.time_ns() + self._ahead_ns

    def advance(self, duration: Duration) -> None:
        """
        Set the clock ahead by seconds, a text like ``5m``, a timedelta.

        It is that of delays and retries, and of how long jobs are unique.
        A running ``spoold`` goes by the machine's.
        """
        from spooler.options import seconds

        self._ahead_ns += round(seconds(duration) * 1e9)

    def drain(self) -> list[str]:
        """
        Run all jobs that are due, in this process, and what comes of them.

        Handlers are those of spool.toml, and every task that was imported.
        Retries wait the longest that their backoff allows: ``advance``.
        Timeouts do not hold.

        Returns:
            The ids of the jobs that ran, one for each run, in order.
        """
        return self._station.drain()

    def configure(self, text: str) -> None:
        """Write spool.toml."""
        path = self.path / "spool.toml"
        path.write_text(text, encoding="utf-8")
        self.configured = True


class LocalDaemon:
    """
    A running spoold.

    Attributes:
        process: of the daemon.
        log_path: of what it logs.
    """

    def __init__(self, spool: LocalSpool, log_path: pathlib.Path) -> None:
        self.log_path = log_path
        name = f"spooler-{uuid.uuid4()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(f"\0{name}")
            with open(log_path, "wb") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-c", _MAIN, str(spool.path)],
                    stdin=subprocess.DEVNULL, stderr=log,
                    env={
                        **os.environ, "NOTIFY_SOCKET": f"@{name}",
                        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    },
                )
            self._wait_ready(notify)

    def _wait_ready(self, notify: socket.socket) -> None:
        end = time.monotonic() + _READY_S
        notify.settimeout(0.1)
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if b"READY=1" in notify.recv(1 << 16).split(b"\n"):
                    return
            except TimeoutError:
                pass
        self.stop()
        raise RuntimeError(f"spoold did not start: {self.log}")

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self.log_path.read_text(errors="backslashreplace")

    def stop(self) -> int:
        """Tell it to stop, and wait; returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _toml() -> str:
    """A configuration for all tasks that a worker can import."""
    import json

    from spooler import tasklist, tasks

    lines = ["format = 1", "workers = 2", 'stop_timeout = "1s"']
    for name, task in tasks.known.items():
        if "<" in task.reference or task.__module__ == "__main__":
            continue
        lines += [f"[handler.{name}]", f'python = "{task.reference}"']
        lines += [
            f"{option} = {json.dumps(value, ensure_ascii=False)}"
            for option, value in tasklist.options_of(task).items()
        ]
    return "\n".join([*lines, ""])


@pytest.fixture
def spool(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalSpool]:
    """A real spool, whose ``drain()`` runs jobs in this process."""
    from spooler import client, holding, options, outbox

    made = LocalSpool(tmp_path / "spool")
    monkeypatch.setenv("SPOOL_DIR", str(made.path))
    for module in (client, holding, options):
        monkeypatch.setattr(module, "now_ns", made.now_ns)
    yield made
    for path in list(outbox.watchers):
        if path == str(made.path):
            outbox.watchers[path].close()


@pytest.fixture
def spoold(
    spool: LocalSpool, tmp_path: pathlib.Path
) -> Iterator[LocalDaemon]:
    """
    A real daemon that serves ``spool``.

    Unless another fixture configured it, it knows every task that was
    imported.
    """
    if not spool.configured:
        spool.configure(_toml())
    daemon = LocalDaemon(spool, tmp_path / "spoold.log")
    yield daemon
    daemon.stop()
