# SPDX-License-Identifier: MIT
"""
Who is who: the test is root where it can be; spoold and the producers are
users of their own, so that the kernel's rules apply between them.
"""

import atexit
import dataclasses
import functools
import importlib.util
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from support import ROOT

#: The figures of the long form take minutes and hours.
SERVER_UID = 61000
HOSTILE_UID = 65534
#: What spoold imports that is not its own.
_REQUIRED = ("click", "filelock", "watchdog")
_AS = """\
import os, sys
uid = int(sys.argv[1])
os.setgroups([int(gid) for gid in sys.argv[2].split(",") if gid])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
os.execv(sys.argv[3], sys.argv[3:])
"""
_PROBE = "import spooler.cli, spooler.daemon, spooler.workermain"


@dataclasses.dataclass(frozen=True)
class Users:
    """
    The users that play the parts.

    Attributes:
        server: runs spoold and owns the spool.
        hostile: submits, and means no good.
        python: an interpreter that *server* can run.
        path: where that finds the program and these tests.
        why_alone: why all are the user of the test; None if they are not.
    """

    server: int
    hostile: int
    python: str
    path: str
    why_alone: str | None = None

    @property
    def apart(self) -> bool:
        """Whether the kernel keeps them apart."""
        return self.why_alone is None

    def environment(self) -> dict[str, str]:
        """For what *server* runs."""
        return {**os.environ, "PYTHONPATH": self.path}


def as_user(uid: int, groups: Iterable[int] = ()) -> tuple[str, ...]:
    """The beginning of a command line that runs the rest as *uid*."""
    if uid == os.geteuid():
        return ()
    listed = ",".join(map(str, groups))
    return sys.executable, "-c", _AS, str(uid), listed


@functools.cache
def pick() -> Users:
    """Choose the users; say so if there is only one."""
    own = os.geteuid()
    here = os.pathsep.join(filter(None, (
        str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", ""),
    )))
    why = f"the test runs as uid {own}, not as root"
    if own == 0:
        kit = _kit()
        path = f"{kit}{os.pathsep}{kit / 'tests'}"
        for python in (sys.executable, "/usr/bin/python3",
                       "/usr/local/bin/python3"):
            users = Users(SERVER_UID, HOSTILE_UID, python, path)
            probe = subprocess.run(
                [*as_user(SERVER_UID), python, "-c", _PROBE], cwd="/",
                env=users.environment(), capture_output=True, text=True,
            )
            if probe.returncode == 0:
                return users
            why = probe.stderr.strip().rpartition("\n")[2]
        why = f"uid {SERVER_UID} cannot run spoold: {why}"
    print(f"hostile: one user plays all parts: {why}")
    return Users(own, own, sys.executable, here, why)


def _kit() -> pathlib.Path:
    """The program where other users can read it, whatever the clone's mode."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="spool-kit-"))
    atexit.register(shutil.rmtree, directory)
    for name in ("spooler", "bin", "tests/hostile"):
        shutil.copytree(ROOT / name, directory / name)
    for name in _REQUIRED:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        shutil.copytree(pathlib.Path(spec.origin).parent, directory / name)
    for found in (directory, *directory.rglob("*")):
        os.chmod(found, 0o755)
    return directory


class Child:
    """A forked process of another user that does one thing."""

    def __init__(
        self, uid: int, work: Callable[[], Any], groups: Iterable[int] = (),
        stay: bool = False,
    ) -> None:
        """
        Begin *work* as *uid*.

        Args:
            work: returns JSON.
            stay: whether to live on until killed, with all that was opened.
        """
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._run(uid, work, groups, write)
                os.close(write)
                while stay:
                    signal.pause()
            finally:
                os._exit(0)
        os.close(write)

    def _run(
        self, uid: int, work: Callable[[], Any], groups: Iterable[int],
        write: int,
    ) -> None:
        answer: dict[str, Any] = {}
        try:
            if uid != os.geteuid():
                os.setgroups(list(groups))
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            os.umask(0o027)
            answer["value"] = work()
        except BaseException as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        data = json.dumps(answer).encode("ascii")
        while data:
            data = data[os.write(write, data):]

    def has_answer(self, timeout_s: float = 0.0) -> bool:
        """Whether *work* has come to an end."""
        return bool(select.select([self._read], [], [], timeout_s)[0])

    def answer(self) -> Any:
        """What *work* returned; AssertionError if it raised."""
        with open(self._read, "rb", closefd=False) as stream:
            answer = json.loads(stream.read())
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def result(self) -> Any:
        """The same, once the process has ended."""
        try:
            return self.answer()
        finally:
            self.end()

    def end(self) -> None:
        """Wait for the process."""
        os.close(self._read)
        os.waitpid(self.pid, 0)

    def kill(self) -> None:
        """End a process that would stay."""
        os.kill(self.pid, signal.SIGKILL)
        self.end()
