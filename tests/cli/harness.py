# SPDX-License-Identifier: MIT
"""What the tests of spoolctl share: running it, and spools made by hand."""

import dataclasses
import fcntl
import json
import os
import pathlib
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from spooler import jobread, jobwrite, layout, names, record
from spooler.jobread import Document
from spooler.names import Name
from spooler.record import Record, Run

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPOOLCTL = str(ROOT / "bin" / "spoolctl")
SPOOLD = str(ROOT / "bin" / "spoold")
STATES = ("incoming", "deferred", "hold", "active", "done", "failed")
TIMEOUT_S = 60.0
NS = 1_000_000_000
NOBODY = 65534
CLAIM = "0" * (names.OWNER_CHARS + names.TOKEN_CHARS)
TWIN = "0" * names.TWIN_CHARS

#: What --json tells of every job, and of one that has ended.
FIELDS = {
    "v", "id", "name", "handler", "state", "priority", "submitted", "due",
    "attempts", "max_attempts", "reason", "tags",
}
FINAL_FIELDS = FIELDS | {
    "started", "finished", "duration", "exit_status", "signal", "value",
}

_UNWANTED = (
    "SPOOL_DIR", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES",
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "PYTHONUTF8",
    "PYTHONIOENCODING", "XDG_STATE_HOME",
)


def environment(**extra: str) -> dict[str, str]:
    """The environment of the programs under test."""
    environ = {k: v for k, v in os.environ.items() if k not in _UNWANTED}
    environ.update({"LC_ALL": "C.UTF-8", "TERM": "xterm"})
    environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT / "tests"), environ.get("PYTHONPATH", "")])
    )
    environ.update(extra)
    return environ


def until(
    predicate: Callable[[], Any], what: str = "", seconds: float = TIMEOUT_S
) -> Any:
    """Return the first truthy value of *predicate*, or fail."""
    deadline = time.monotonic() + seconds
    while not (value := predicate()):
        assert time.monotonic() < deadline, f"never so: {what}"
        time.sleep(0.005)
    return value


@dataclasses.dataclass(frozen=True)
class Done:
    """How a run of spoolctl ended, and what it wrote."""

    status: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        """Standard output, which must be UTF-8."""
        return self.raw.decode("utf-8")

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.removesuffix("\n").split("\n") if self.raw else []

    @property
    def rows(self) -> list[list[str]]:
        """The rows of a listing, its header left out, as columns."""
        return [line.split(maxsplit=6) for line in self.lines[1:]]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines of standard output."""
        return [json.loads(line) for line in self.lines]

    @property
    def object(self) -> dict[str, Any]:
        """The one JSON line of standard output."""
        (only,) = self.objects
        return only


def finished(
    argv: list[str], status: int | None, raw: bytes, err: bytes, code: int
) -> Done:
    """Hold a finished run to what every run must be."""
    done = Done(code, raw, err.decode("utf-8", "backslashreplace"))
    shown = f"{argv[2:]} exited {code}\n{raw[-2000:]!r}\n{done.err[-3000:]}"
    assert status is None or code == status, shown
    assert "Traceback" not in done.err, shown
    assert "Exception ignored" not in done.err, shown
    return done


class Cli:
    """Runs bin/spoolctl as a process, on a spool of its own."""

    def __init__(
        self, path: pathlib.Path, environ: dict[str, str]
    ) -> None:
        """Make a spool at *path*."""
        self.path = path
        self.environ = dict(environ)  # a test may change its own
        self._started: list[subprocess.Popen[bytes]] = []
        layout.create(str(path))

    def argv(self, *words: str | bytes) -> list[Any]:
        """The command line for *words*."""
        return [sys.executable, SPOOLCTL, "-C", str(self.path), *words]

    def __call__(
        self,
        *words: str | bytes,
        status: int | None = 0,
        input: bytes | str = b"",
        argv: list[Any] | None = None,
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> Done:
        """
        Run spoolctl and wait for its end.

        Args:
            status: the exit status it must have; None: any.
            argv: a command line instead of that for *words*.
            env: added to the environment.
        """
        argv = self.argv(*words) if argv is None else argv
        if isinstance(input, str):
            input = input.encode()
        options.setdefault("stdout", subprocess.PIPE)
        ended = subprocess.run(
            argv, input=input, stderr=subprocess.PIPE, timeout=TIMEOUT_S,
            env={**self.environ, **(env or {})}, **options,
        )
        return finished(
            argv, status, ended.stdout or b"", ended.stderr,
            ended.returncode,
        )

    def start(
        self, *words: str | bytes, **options: Any
    ) -> "subprocess.Popen[bytes]":
        """Start spoolctl; ``ended`` waits for it."""
        for stream in ("stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL)
        self._started.append(subprocess.Popen(
            self.argv(*words), env=self.environ, **options
        ))
        return self._started[-1]

    def waiting(
        self, *words: str | bytes
    ) -> "subprocess.Popen[bytes]":
        """Start a wait for several jobs, and let it find them."""
        found = self.put_done()
        process = self.start("wait", "--json", found.id, *words)
        assert process.stdout is not None
        # It tells of the one that has ended when it has seen them all.
        assert found.id.encode() in process.stdout.readline()
        return process

    def close(self) -> None:
        """End what a test that failed left running."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def ended(
        self, process: "subprocess.Popen[bytes]", status: int | None = 0
    ) -> Done:
        """Wait for what ``start`` began."""
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert isinstance(process.args, list)
        return finished(
            process.args, status, out or b"", err or b"", process.returncode
        )

    def on_terminal(
        self,
        *words: str | bytes,
        columns: int = 80,
        typed: bytes = b"",
        env: dict[str, str] | None = None,
    ) -> tuple[int, list[str]]:
        """
        Run spoolctl on a terminal.

        Args:
            typed: what a person types.

        Returns:
            Its exit status and the lines on the screen.
        """
        master, slave = pty.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        process = subprocess.Popen(
            self.argv(*words), stdin=slave, stdout=slave, stderr=slave,
            env={**self.environ, **(env or {})}, start_new_session=True,
        )
        os.close(slave)
        os.write(master, typed)
        seen = b""
        try:
            while chunk := os.read(master, 1 << 16):
                seen += chunk
        except OSError:
            pass  # EIO: the other side closed the terminal
        finally:
            os.close(master)
        status = process.wait(TIMEOUT_S)
        text = seen.decode("utf-8").replace("\r\n", "\n")
        assert "Traceback" not in text, text
        return status, text.removesuffix("\n").split("\n")

    # What lies in the spool.

    def configure(self, text: str) -> None:
        """Write spool.toml."""
        (self.path / "spool.toml").write_text("format = 1\n" + text)

    def listed(self, state: str) -> list[str]:
        """The entries of one directory, sorted."""
        return sorted(os.listdir(self.path / state))

    def tree(self) -> dict[str, list[str]]:
        """The entries of every directory with jobs."""
        return {state: self.listed(state) for state in ("tmp", *STATES)}

    def state_of(self, job_id: str) -> str | None:
        """The directory a job lies in; None if it is gone."""
        for state in STATES:
            for entry in self.listed(state):
                name = names.parse(entry)
                if name is not None and name.id == job_id:
                    if "," in entry:
                        return state
        return None

    def await_state(self, job_id: str, state: str) -> None:
        """Wait until a job lies in the directory *state*."""
        until(lambda: self.state_of(job_id) == state, f"{job_id} {state}")

    def only(self, state: str = "incoming") -> tuple[Name, bytes]:
        """Name and content of the one job in a directory."""
        (entry,) = self.listed(state)
        name = names.parse(entry)
        assert name is not None, entry
        return name, (self.path / state / entry).read_bytes()

    def document(self) -> tuple[Name, Document, bytes]:
        """Name, fields and body of the one job that waits."""
        name, data = self.only()
        if jobread.is_json(data):
            document = jobread.parse_json(data)
            return name, document, document.body or b""
        end = jobread.header_end(data[:jobwrite.HEADER_MAX_BYTES])
        return name, jobread.parse_header(data[:end]), data[end:]

    def drop(self, name: str | bytes, data: bytes = b"") -> None:
        """Drop a file as any program would."""
        text = os.fsdecode(name)
        part = self.path / "tmp" / text
        part.write_bytes(data)
        part.rename(self.path / "incoming" / text)

    # Jobs made by hand, as spoold would leave them.

    def put(
        self,
        state: str,
        tail: str | bytes = "sh.job",
        *,
        age_s: float = 0.0,
        out: bytes = b"",
        err: bytes = b"",
        told: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Name:
        """
        Lay a job into a directory.

        Args:
            age_s: since its submission.
            out, err: what it wrote.
            told: fields of its record; None: it has none.
            fields: of its name.
        """
        fields.setdefault("priority", names.DEFAULT_PRIORITY)
        fields.setdefault("id", new_id(age_s))
        name = Name(tail=os.fsdecode(tail), **fields)
        (self.path / state / str(name)).touch()
        for kind, data in (("out", out), ("err", err)):
            if data:
                self.beside(state, name, kind).write_bytes(data)
        if told is not None:
            told = {"out_bytes": len(out), "err_bytes": len(err), **told}
            self.write_record(state, name, **told)
        return name

    def beside(self, state: str, name: Name, kind: str) -> pathlib.Path:
        """The path of a sidecar."""
        return self.path / state / f"{name.stem}.{kind}"

    def write_record(self, state: str, name: Name, **told: Any) -> None:
        """Write a record beside a job."""
        fields = {"id": name.id, "max_attempts": 3, **told}
        data = record.encode(Record(**fields))
        self.beside(state, name, "result").write_bytes(data)

    def put_waiting(self, tail: str | bytes = "sh.job", **more: Any) -> Name:
        """Lay a job that waits."""
        return self.put("incoming", tail, **more)

    def put_done(self, tail: str | bytes = "sh.job", **more: Any) -> Name:
        """Lay a job that was done in 1.5 s."""
        more = {"runs": 1, "verdict": "ok", "micros": 1_500_000, **more}
        return self.put("done", tail, **more)

    def put_failed(
        self,
        tail: str | bytes = "sh.job",
        text: str = "no credentials",
        verdict: str = "exit65",
        **more: Any,
    ) -> Name:
        """Lay a job that failed, and its record."""
        more = {"runs": 1, "micros": 2_000, **more}
        kind = verdict.rstrip("0123456789")
        status = int(verdict[len(kind):] or 0) or None
        kind = {"sig": "signal"}.get(kind, kind)
        told = more.pop("told", {})
        runs = (Run(more["runs"], time.time_ns(), 0.002, kind, status, text),)
        return self.put(
            "failed", tail, verdict=verdict, told={"runs": runs, **told},
            **more,
        )

    def put_deferred(
        self,
        tail: str | bytes = "sh.job",
        in_s: float = 3600.0,
        text: str = "421 greylisted",
        **more: Any,
    ) -> Name:
        """Lay a job that backs off after exit status 75, and its record."""
        due_ns = time.time_ns() + round(in_s * NS)
        more = {"runs": 1, "verdict": "exit75", **more}
        run = Run(
            more["runs"], time.time_ns(), 0.002, "exit", 75, text, False
        )
        return self.put(
            "deferred", tail, due_ns=due_ns, told={"runs": (run,)}, **more
        )

    def put_active(self, tail: str | bytes = "sh.job", **more: Any) -> Name:
        """Lay a job claimed by nobody who lives."""
        return self.put(
            "active", tail, **{"runs": 1, "claim": CLAIM, **more}
        )


_last_ns = 0


def new_id(age_s: float = 0.0) -> str:
    """A new id, of a job submitted *age_s* seconds ago."""
    global _last_ns
    _last_ns = max(time.time_ns(), _last_ns + 1)
    dice = int.from_bytes(os.urandom(4), "big")
    return names.mint_id(_last_ns - round(age_s * NS), dice)


class Daemon:
    """A running spoold."""

    def __init__(
        self, cli: Cli, log: pathlib.Path, prefix: list[str]
    ) -> None:
        """Start it on the spool of *cli* and wait until it is ready."""
        self._log = log
        address = f"spooler-cli-{uuid.uuid4()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(f"\0{address}")
            sock.settimeout(0.2)
            with open(log, "wb") as stderr:
                self._process = subprocess.Popen(
                    [*prefix, sys.executable, SPOOLD, str(cli.path)],
                    stdin=subprocess.DEVNULL, stderr=stderr,
                    env={**cli.environ, "NOTIFY_SOCKET": f"@{address}"},
                )
            self.pid = self._process.pid
            deadline = time.monotonic() + TIMEOUT_S
            while not self._is_ready(sock):
                if self._process.poll() is None:
                    if time.monotonic() < deadline:
                        continue
                    self.kill()
                raise AssertionError(f"spoold is not ready: {self.log}")

    @staticmethod
    def _is_ready(sock: socket.socket) -> bool:
        try:
            return b"READY=1" in sock.recv(1 << 16).split(b"\n")
        except TimeoutError:
            return False

    @property
    def log(self) -> str:
        """What it wrote on standard error."""
        return self._log.read_text(errors="backslashreplace")

    def stop(self) -> None:
        """End it, if it still runs, in the usual way."""
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait()
            raise AssertionError(f"spoold did not end: {self.log}") from None

    def kill(self) -> None:
        """End it as a crash would."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()


CONFIG = """\
workers = 4
stop_timeout = "0s"
[handler.sh]                # the first argument is the script
command = ["sh", "-c"]
attempts = 1
[handler.again]
command = ["sh", "-c"]
attempts = 5
backoff = "1h"
[handler.one]
command = ["sh", "-c"]
attempts = 1
concurrency = 1
[handler.echo]
command = ["printf", "%s|"]
[handler.cat]
command = ["cat"]
[handler.words]
command = ["wc", "-w"]
match = ["*.txt"]
"""


class Served(Cli):
    """The same with a spoold and a few handlers."""

    def __init__(
        self, path: pathlib.Path, environ: dict[str, str],
        config: str, prefix: list[str],
    ) -> None:
        """Make a spool at *path* and start spoold on it."""
        super().__init__(path, environ)
        self.configure(config)
        self.daemon = Daemon(self, path.parent / "spoold.log", prefix)

    def submit(self, *words: str | bytes) -> str:
        """Submit a job; returns its id."""
        return self("submit", *words).out.strip()

    def settled(self, *words: str | bytes) -> str:
        """Submit a job and wait for its verdict; returns its id."""
        job_id = self.submit(*words)
        until(
            lambda: self.state_of(job_id) in ("done", "failed"),
            f"verdict of {words}",
        )
        return job_id

    def running(self, handler: str = "sh") -> tuple[str, Callable[[], None]]:
        """
        Submit a job that runs until it is let go.

        Returns:
            Its id, and what lets it go.
        """
        gate = self.path.parent / f"gate-{uuid.uuid4()}"
        os.mkfifo(gate)
        script = f"read line < {gate}"
        job_id = self.submit(handler, "--", script)
        self.await_state(job_id, "active")
        return job_id, lambda: (gate.write_text("go\n"), None)[1]


#: Runs spoolctl as a user who owns nothing.  All is imported first, because
#: the interpreter may lie where that user may not look.
AS_NOBODY = f"""\
import base64, ctypes, importlib, json, os, sys
from spooler import holding, options
from spooler.cli import app, main, quick
importlib.import_module("spooler.cli." + sys.argv[3])
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
sys.argv[0] = "spoolctl"
main()
"""


def as_nobody(cli: Cli, *words: str) -> list[str]:
    """A command line that runs spoolctl as a user who owns nothing."""
    return [
        sys.executable, "-c", AS_NOBODY, "-C", str(cli.path), *words
    ]


def powerless() -> list[str]:
    """What makes a command respect the modes of files, even if we are
    root."""
    if os.getuid():
        return []
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"root can read every file: {error}")
    return prefix
