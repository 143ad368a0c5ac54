# SPDX-License-Identifier: MIT
"""
A real systemd as PID 1 of namespaces of its own, with the wheel installed.

Over an overlay of the machine's root, in mount, pid, net, ipc, uts and
control group namespaces: nothing that happens in it reaches the machine, and
all of it ends with the process that started it, even if that is killed.
"""

import ctypes
import importlib.metadata
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = pathlib.Path(__file__).resolve().parent
PREFIX = "/opt/spooler"  #: where the wheel is installed
NEEDED = ("watchdog", "filelock", "click", "pip")
UP_S = 60.0
_GROUP = "spooler-bench-"
_HALT = signal.SIGRTMIN + 4  #: of systemd: power off
_PDEATHSIG = 1

#: Run below the new root.
INSTALL = """\
set -eu
{python} -m venv --without-pip {prefix}
PYTHONPATH=/opt/stage/pip {prefix}/bin/python -m pip install --quiet \\
    --no-index --disable-pip-version-check --no-deps /opt/stage/*.whl
cp -r /opt/stage/site/. {prefix}/lib/python3*/site-packages/
"""


def lacks() -> str | None:
    """Why this machine cannot do it; None: it can."""
    if os.getuid() != 0:
        return "only root can make a systemd of its own"
    if not os.path.exists("/lib/systemd/systemd"):
        return "no systemd is installed; apt install systemd-sysv"
    for tool in ("unshare", "nsenter", "systemd-analyze"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--net", "--ipc", "--uts",
         "--cgroup", "sh", "-c", "mount -t tmpfs tmpfs /mnt && mkdir"
         " /mnt/u /mnt/w /mnt/r && mount -t overlay overlay /mnt/r"
         " -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w"],
        capture_output=True, text=True,
    )
    if done.returncode:
        return f"no namespaces to be had: {done.stderr.strip()}"
    if not groups():
        return "no control groups that we may make"
    return None


def groups() -> dict[str, pathlib.Path]:
    """The writable control group mounts, by file system and options."""
    found = {}
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options = line.split()[:4]
        if kind in ("cgroup", "cgroup2") and os.access(where, os.W_OK):
            if "cpuset" not in options:  # a new one there takes no process
                found[f"{kind} {options}"] = pathlib.Path(where)
    return found


def _wheel(scratch: pathlib.Path, give: pathlib.Path) -> None:
    """Build the wheel, from a copy: a build leaves things behind."""
    source = scratch / "source"
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(
            ".git", ".venv", "*.egg-info", "build", "tests", "__pycache__"
        ),
    )
    command = [
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
        "--disable-pip-version-check", "--wheel-dir", str(give), str(source),
    ]
    # With what is here if it will do, else with what the network has.
    done = subprocess.run(
        [*command, "--no-build-isolation"], capture_output=True
    )
    if done.returncode:
        subprocess.run(command, check=True)  # what failed is printed


def _dependencies(give: pathlib.Path) -> None:
    """Copy what the wheel needs from where it is installed already."""
    for name in NEEDED:
        dist = importlib.metadata.distribution(name)
        for file in dist.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = give / ("pip" if name == "pip" else "site") / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(dist.locate_file(file)), target)


class Bench:
    """
    One systemd, from start to end.

    Attributes:
        name: of its control groups, unique on the machine.
    """

    def __init__(self, scratch: pathlib.Path) -> None:
        """Build, boot, and wait until it is up; *scratch* is ours."""
        give = scratch / "give"
        give.mkdir(parents=True)
        _wheel(scratch, give)
        _dependencies(give)
        (give / "install.sh").write_text(INSTALL.format(
            python=os.path.realpath(sys.executable), prefix=PREFIX,
        ))
        self._stage = scratch
        sweep()
        self.name = f"{_GROUP}{os.getpid()}"
        self._paths = [path / self.name for path in groups().values()]
        kinds = " ".join(groups())
        for path in self._paths:
            path.mkdir(exist_ok=True)
        self._console = open(scratch / "console", "wb")
        self._process = subprocess.Popen(
            ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts",
             "--ipc", "--net", "--cgroup", "sh", str(HERE / "init.sh"),
             str(scratch), "1" if "cgroup rw" in kinds else "2"],
            stdin=subprocess.DEVNULL, stdout=self._console,
            stderr=self._console, start_new_session=True,
            preexec_fn=self._enter,
        )
        try:
            self._wait_up()
        except BaseException:
            self.close()
            raise

    def _enter(self) -> None:
        # So that it ends with us however we end.
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
        for path in self._paths:
            with open(path / "cgroup.procs", "w") as file:
                file.write("0")

    def _wait_up(self) -> None:
        deadline = time.monotonic() + UP_S
        state = ""
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.leader is not None:
                state = self.run(
                    "systemctl", "is-system-running", check=False
                ).strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(0.1)
        raise AssertionError(f"systemd did not come up ({state}): " + (
            self._stage / "console"
        ).read_text(errors="replace")[-2000:])

    @property
    def leader(self) -> int | None:
        """The pid of systemd; None before it is one."""
        pid = self._process.pid
        try:
            children = pathlib.Path(
                f"/proc/{pid}/task/{pid}/children"
            ).read_text().split()
            if children and pathlib.Path(
                f"/proc/{children[0]}/comm"
            ).read_text().strip() == "systemd":
                return int(children[0])
        except OSError:
            pass
        return None

    def run(
        self, *argv: str, check: bool = True, stdin: str = "",
        timeout: float = 60,
    ) -> str:
        """Run a command as root in there; returns its standard output."""
        done = self.try_run(*argv, stdin=stdin, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(
                f"{argv} exits {done.returncode}: {done.stdout}{done.stderr}"
            )
        return done.stdout

    def try_run(
        self, *argv: str, stdin: str = "", timeout: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """The same, whatever comes of it."""
        return subprocess.run(
            ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p",
             "-C", "-r", "-w", "--", "env", "-i",
             "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
             "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", *argv],
            input=stdin, capture_output=True, text=True, timeout=timeout,
        )

    def shell(self, script: str, check: bool = True) -> str:
        """Run a script for sh as root in there."""
        return self.run("sh", "-euc", script, check=check)

    def write(self, path: str, text: str) -> None:
        """Write a file in there, making its directories."""
        self.run("mkdir", "-p", os.path.dirname(path))
        self.run("tee", path, stdin=text)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        options = [f"--property={name}" for name in names]
        lines = self.run("systemctl", "show", unit, *options).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def until(
        self, predicate: Callable[[], object], what: str, timeout: float = 20
    ) -> None:
        """Wait for something in there to become true."""
        deadline = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not within {timeout:g}s: {what}\n" + self.run(
                        "journalctl", "-n", "40", "--no-pager", check=False
                    )
                )
            time.sleep(0.05)

    def close(self) -> None:
        """End all of it."""
        if self._process.poll() is None:
            leader = self.leader
            if leader is not None:
                os.kill(leader, _HALT)
                try:
                    self._process.wait(10)
                except subprocess.TimeoutExpired:
                    pass
            self._process.kill()  # its child goes with it
        self._process.wait()
        self._console.close()
        for path in self._paths:
            _remove_group(path)


def sweep() -> None:
    """Remove the empty control groups that killed runs left."""
    for mount in groups().values():
        for path in mount.glob(f"{_GROUP}*"):
            pid = path.name.removeprefix(_GROUP)
            if not os.path.exists(f"/proc/{pid}"):
                _remove_group(path)


def _remove_group(path: pathlib.Path) -> None:
    deadline = time.monotonic() + 5
    while path.exists() and time.monotonic() < deadline:
        for inner, _, _ in os.walk(path, topdown=False):
            try:
                os.rmdir(inner)
            except OSError:
                time.sleep(0.02)  # its processes are ending
