# SPDX-License-Identifier: MIT
"""What the tests of the running daemon share: a spool, a spoold, waiting."""

import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from spooler import asking, layout, names

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPOOLD = str(ROOT / "bin" / "spoold")
SPOOLCTL = str(ROOT / "bin" / "spoolctl")
HANDLERS = str(ROOT / "tests" / "daemon")
STATES = ("incoming", "active", "deferred", "hold", "done", "failed")
#: Which share of the figures to reach is tried: 1 all, 0 the short form.
LONG = float(os.environ.get("SPOOL_LONG") or 0)
TIMEOUT_S = 30.0
#: A stop must not wait for the jobs a test left running.
BASE = 'format = 1\nstop_timeout = "1s"\n'


def sized(short: int, whole: int) -> int:
    """The share of *whole* that is to be tried; *short* in the short form."""
    return max(short, round(whole * LONG))


def wait_until(
    predicate: Callable[[], Any],
    timeout: float = TIMEOUT_S,
    what: Callable[[], str] | str = "",
) -> Any:
    """Return the first truthy value of *predicate*, or fail."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {timeout:g}s: {text}")
        time.sleep(pause)
        pause = min(0.02, pause * 1.5)


def document(
    handler: str | None, *args: str, body: bytes = b"", **fields: object
) -> bytes:
    """Write a job document by hand, as a person would with printf."""
    lines = [] if handler is None else [f"Handler: {handler}"]
    lines += [f"Arg: {arg}" for arg in args]
    for field, value in fields.items():
        lines.append(f"{field.replace('_', '-')}: {value}")
    return "\n".join([*lines, "", ""]).encode() + body


@dataclasses.dataclass(frozen=True)
class Found:
    """A job file as it lies in a directory of the spool."""

    state: str
    entry: str
    name: names.Name
    path: pathlib.Path

    @property
    def data(self) -> bytes:
        """What the job file holds."""
        return self.path.read_bytes()

    def sidecar(self, kind: str) -> bytes | None:
        """What lies beside the job; None if there is nothing."""
        beside = self.path.parent / f"{self.name.stem}.{kind}"
        return beside.read_bytes() if beside.exists() else None

    @property
    def out(self) -> bytes:
        """Captured standard output."""
        return self.sidecar("out") or b""

    @property
    def err(self) -> bytes:
        """Captured standard error."""
        return self.sidecar("err") or b""

    @property
    def record(self) -> dict[str, Any]:
        """The record beside the job."""
        data = self.sidecar("result")
        assert data is not None, f"no record beside {self.path}"
        record = json.loads(data)
        assert isinstance(record, dict)
        return record

    @property
    def reason(self) -> str:
        """Why the last run ended as it did."""
        return str(self.record["runs"][-1]["text"])

    @property
    def kinds(self) -> list[tuple[str, int | None]]:
        """Kind and status of every run."""
        return [(run["kind"], run["status"]) for run in self.record["runs"]]


class SpoolDir:
    """A real spool, used as a shell user would: files and renames."""

    def __init__(self, path: pathlib.Path) -> None:
        """Make a spool at *path*."""
        self.path = path
        layout.create(str(path))
        self.configure("")

    def configure(self, text: str) -> None:
        """Write spool.toml; *text* may repeat no key of BASE."""
        head = BASE
        if "stop_timeout" in text:
            head = "format = 1\n"
        new = self.path / "spool.toml.new"
        new.write_text(head + text, encoding="utf-8")
        new.rename(self.path / "spool.toml")

    def write(self, name: str | bytes, data: bytes = b"") -> str:
        """Write a file into ``tmp/``, not a job yet; returns its path."""
        path = str(self.path / "tmp" / os.fsdecode(name))
        with open(path, "wb") as stream:
            stream.write(data)
        return path

    def publish(self, name: str | bytes) -> None:
        """Move what lies in ``tmp/`` into ``incoming/``, by one rename."""
        text = os.fsdecode(name)
        os.rename(self.path / "tmp" / text, self.path / "incoming" / text)

    def drop(self, name: str | bytes, data: bytes = b"") -> str:
        """Drop a file; returns its name as text."""
        self.write(name, data)
        self.publish(name)
        return os.fsdecode(name)

    def drop_job(
        self, name: str, handler: str | None, *args: str, body: bytes = b"",
        **fields: object,
    ) -> str:
        """Drop a job document ``NAME.job``; returns its name."""
        data = document(handler, *args, body=body, **fields)
        return self.drop(f"{name}.job", data)

    def listed(self, state: str) -> list[str]:
        """The entries of one directory."""
        return sorted(os.listdir(self.path / state))

    def count(self, state: str) -> int:
        """How many jobs lie in one directory; cheap."""
        entries = os.listdir(self.path / state)
        return sum("," in entry for entry in entries)

    def jobs(self, *states: str) -> Iterator[Found]:
        """The jobs in some directories, or in all, in order of flow."""
        for state in states or STATES:
            for entry in os.listdir(self.path / state):
                name = names.parse(entry)
                path = self.path / state / entry
                if name is not None and "," in entry:
                    yield Found(state, entry, name, path)

    def all(self, name: str | bytes, *states: str) -> list[Found]:
        """Every job that was dropped as *name*."""
        tail = os.fsdecode(name)
        return [job for job in self.jobs(*states) if job.name.tail == tail]

    def wait(
        self, name: str | bytes, *states: str, timeout: float = TIMEOUT_S
    ) -> Found:
        """
        Wait for the job dropped as *name* to be in one of *states*.

        Fails at once if it was settled otherwise.
        """
        wanted = states or ("done",)

        def look() -> Found | None:
            for job in self.all(name):
                if job.state in wanted:
                    return job
                if job.state in ("done", "failed"):
                    raise AssertionError(
                        f"{name!r} is {job.state}: {job.sidecar('result')!r}"
                        f" {job.err[-500:]!r}"
                    )
            return None

        found: Found = wait_until(
            look, timeout, lambda: f"{name!r} {wanted}: {self.tree()}"
        )
        return found

    def settled(self, name: str | bytes) -> Found:
        """Wait for the verdict of the job dropped as *name*."""
        return self.wait(name, "done", "failed")

    def tree(self) -> str:
        """What lies where, for messages."""
        parts = []
        for state in ("tmp", *STATES):
            entries = self.listed(state)
            shown = entries if len(entries) < 20 else len(entries)
            parts.append(f"{state}: {shown}")
        return "; ".join(parts)

    def contents(self) -> list[bytes]:
        """What all job files hold, wherever they lie."""
        return sorted(job.data for job in self.jobs())

    def ask(self, **request: Any) -> dict[str, Any] | None:
        """Ask the daemon of this spool; None if none answers."""
        fd = os.open(self.path / "run", os.O_RDONLY | os.O_DIRECTORY)
        try:
            return asking.ask(fd, {"verb": "status", **request})
        finally:
            os.close(fd)

    def status(self) -> dict[str, Any]:
        """The daemon's answer to a question after its health."""
        answer = self.ask()
        assert answer is not None, "no daemon answers"
        return answer


class NotifySocket:
    """Hears what a daemon tells systemd."""

    def __init__(self) -> None:
        """Listen on a name of its own."""
        self.name = f"spooler-test-{uuid.uuid4()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self.name}")
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while data := self._socket.recv(1 << 16):
            self.lines += data.decode().split("\n")

    def count(self, line: str) -> int:
        """How often *line* was told."""
        return self.lines.count(line)

    def close(self) -> None:
        """Stop listening."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", f"\0{self.name}")
        self._thread.join(5)
        assert not self._thread.is_alive()
        self._socket.close()


def environment(notify: str | None, **extra: str) -> dict[str, str]:
    """The environment of a daemon under test."""
    environ = dict(os.environ)
    environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [HANDLERS, environ.get("PYTHONPATH", "")])
    )
    environ.pop("NOTIFY_SOCKET", None)
    if notify is not None:
        environ["NOTIFY_SOCKET"] = f"@{notify}"
        # Workers do not get to see that one; this one marks them as ours.
        environ["SPOOLER_TEST"] = notify
    environ.update(extra)
    return environ


class Spoold:
    """A running daemon."""

    def __init__(
        self,
        spool: SpoolDir,
        log: pathlib.Path,
        *options: str,
        command: Iterable[str] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        """
        Start ``bin/spoold`` as a user would.

        Args:
            log: gets its standard error.
            command: run this instead of the interpreter and bin/spoold.
        """
        self.spool = spool
        self.log_path = log
        self.notify = NotifySocket()
        self._mark = self.notify.name.encode()
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(
                [*(tuple(command) or (sys.executable, SPOOLD)), *options,
                 str(spool.path)],
                stdin=subprocess.DEVNULL, stderr=stderr,
                env=environment(self.notify.name, **(env or {})),
            )
        self.pid = self.process.pid

    def wait_ready(self, times: int = 1) -> None:
        """Wait until it said READY=1 for the *times*-th time."""
        wait_until(
            lambda: self.notify.count("READY=1") >= times
            or self.process.poll() is not None,
            what=lambda: f"spoold ready; log: {self.log}",
        )
        assert self.process.poll() is None, self.log

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self.log_path.read_text(errors="backslashreplace")

    def signal(self, number: int) -> None:
        """Send it a signal, by its pid."""
        self.process.send_signal(number)

    def wait(self, timeout: float = TIMEOUT_S) -> int:
        """Wait for its end; returns the exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"spoold did not end; log: {self.log}"
            ) from None

    def stop(self) -> int:
        """Tell it to stop, and wait."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def processes(self) -> dict[int, str]:
        """Its workers and commands, and whatever those left behind."""
        marks = self._mark, os.fsencode(str(self.spool.path)) + b"/"
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) in (os.getpid(), self.pid):
                continue
            try:
                with open(f"/proc/{entry}/environ", "rb") as stream:
                    environ = stream.read()
                with open(f"/proc/{entry}/cmdline", "rb") as stream:
                    command = stream.read()
            except OSError:
                continue
            if any(mark in environ for mark in marks):
                found[int(entry)] = command.replace(b"\0", b" ").decode(
                    errors="replace"
                )
        return found

    def workers(self, kind: str) -> list[int]:
        """The pids of its workers of a kind, ``python`` or ``command``."""
        return [
            pid for pid, command in self.processes().items()
            if f" -m spooler.workermain {kind} " in command
        ]

    def assert_nothing_left(self, timeout: float = 5.0) -> None:
        """Fail if any process it started is still there."""
        try:
            wait_until(lambda: not self.processes(), timeout)
        except AssertionError:
            left = self.processes()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            assert not left, f"left behind: {left}"

    def close(self) -> None:
        """Stop it if need be; it must end and leave nothing behind."""
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGCONT)
                self.signal(signal.SIGTERM)
                try:
                    self.process.wait(3)
                except subprocess.TimeoutExpired:
                    self.signal(signal.SIGTERM)  # jobs still run: hurry
                try:
                    self.wait(12)
                except AssertionError:
                    self.kill()
                    raise
            self.assert_nothing_left()
        finally:
            self.notify.close()


def run_spoold(
    spool: pathlib.Path, *options: str, timeout: float = TIMEOUT_S
) -> "subprocess.CompletedProcess[str]":
    """Run spoold where it is expected to end by itself."""
    return subprocess.run(
        [sys.executable, SPOOLD, *options, str(spool)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env=environment(None), timeout=timeout,
    )


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            state = stream.read().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in (b"Z", b"X")


def peak_rss(pid: int) -> int:
    """The most memory a process ever had resident, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as stream:
        for line in stream:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmHWM of {pid}")


def toml_list(*words: object) -> str:
    """A command for spool.toml."""
    return json.dumps([str(word) for word in words])
