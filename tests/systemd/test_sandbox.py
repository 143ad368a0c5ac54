# SPDX-License-Identifier: MIT
"""
Every option of the sandbox refuses what it is for, to the jobs themselves.

A probe must be refused in a job, and, so that it can fail, be allowed
outside of the service: to the same user where that user could do it, else
to root.
"""

import ctypes
import dataclasses
import importlib.resources
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from systemd.bench import Bench
from systemd.conftest import PYTHON, SPOOLCTL, UNITS, Service

#: Options that are about the life of the service, not about its reach.
LIFE = {
    "Type", "NotifyAccess", "ExecStartPre", "ExecStart", "ExecReload",
    "WatchdogSec", "TimeoutStartSec", "TimeoutStopSec", "KillMode",
    "Restart", "RestartSec", "RestartPreventExitStatus", "OOMPolicy",
    "Delegate", "DelegateSubgroup",
}
#: What no probe can reach for what stands before it; systemd is asked
#: whether it holds.
BEHIND = {
    "DevicePolicy": ("closed", "PrivateDevices"),
    "RemoveIPC": ("yes", "PrivateIPC"),
    "KeyringMode": ("private", "that nobody has keys"),
    "UMask": ("0077", "the umask of commands"),
}


@dataclasses.dataclass(frozen=True)
class Probe:
    """One line of the table."""

    option: str
    call: str  #: of probe.py, with arguments
    control: str = "spooler"  #: who may do it outside; "": nobody can tell

    @property
    def name(self) -> str:
        """A name for the job."""
        return re.sub(r"\W+", "-", f"{self.option}-{self.call}")


TABLE = [
    Probe("User", "be_root", "root"),
    Probe("Group", "be_root", "root"),
    Probe("LimitCORE", "core", ""),
    Probe("ProtectSystem", "write_elsewhere"),
    Probe("ReadOnlyPaths", "write_run"),
    Probe("ProtectHome", "see_home"),
    Probe("PrivateTmp", "see_tmp"),
    Probe("PrivateMounts", "other_namespace mnt {mnt}"),
    Probe("PrivateDevices", "device"),
    Probe("PrivateIPC", "other_namespace ipc {ipc}"),
    Probe("ProtectClock", "set_clock", "root"),
    Probe("ProtectHostname", "other_namespace uts {uts}"),
    Probe("ProtectKernelTunables", "tunables", ""),
    Probe("ProtectKernelModules", "modules"),
    Probe("ProtectKernelLogs", "kernel_log", "root"),
    Probe("ProtectControlGroups", "other_group {group}", "root"),
    Probe("ProtectProc", "see_process"),
    Probe("ProcSubset", "see_system"),
    Probe("NoNewPrivileges", "become_root"),
    Probe("CapabilityBoundingSet", "capabilities"),
    Probe("AmbientCapabilities", "capabilities"),
    Probe("RestrictSUIDSGID", "set_uid_bit"),
    Probe("RestrictNamespaces", "namespace"),
    Probe("RestrictRealtime", "realtime", "root"),
    Probe("RestrictAddressFamilies", "netlink"),
    Probe("LockPersonality", "personality"),
    Probe("MemoryDenyWriteExecute", "write_and_execute"),
    Probe("SystemCallArchitectures", "foreign_call"),
    Probe("SystemCallFilter", "give_away"),
    Probe("SystemCallFilter", "renice"),
    Probe("SystemCallFilter", "trace"),
    Probe("SystemCallErrorNumber", "trace"),
    Probe("TasksMax", "many_processes"),
]
CONFIG = f"""
[handler.probe]
command = ["{PYTHON}", "/opt/probe.py"]
attempts = 1
"""


#: Probes that make system calls by their number.
NUMBERED = {"foreign_call", "trace", "set_clock"}


@pytest.fixture(scope="module")
def known(bench: Bench) -> dict[str, str]:
    """What is so outside of the service: words for the table."""
    known = {
        kind: bench.run("readlink", f"/proc/1/ns/{kind}").strip()
        for kind in ("mnt", "ipc", "uts")
    }
    known["group"] = bench.shell(
        "test -d /sys/fs/cgroup/systemd && echo /sys/fs/cgroup/systemd/probe"
        " || echo /sys/fs/cgroup/probe"
    ).strip()
    return known


def _skip_elsewhere(probe: Probe) -> None:
    if probe.call in NUMBERED and os.uname().machine != "x86_64":
        pytest.skip(f"{probe.call} knows the numbers of x86-64 alone")


def _drop(one: Service, name: str, words: list[str]) -> None:
    args = "".join(f"Arg: {word}\n" for word in words)
    one.drop(f"{name}.job", f"Handler: probe\n{args}\n")


@pytest.fixture(scope="module")
def probed(bench: Bench, known: dict[str, str]) -> Iterator[Service]:
    """A service as it is installed, every probe submitted to it."""
    one = Service(bench, "probed")
    one.configure(CONFIG)
    one.override("[Service]\nTasksMax=30\n")
    one.start()
    for probe in TABLE:
        _drop(one, probe.name, probe.call.format(**known).split())
    yield one
    bench.run("systemctl", "stop", one.unit)


@pytest.fixture(scope="module")
def verdicts(probed: Service) -> dict[str, dict[str, Any]]:
    """What became of every probe."""
    count = f"ls {probed.spool}/done {probed.spool}/failed | grep -c '[.]job$'"
    probed.bench.until(
        lambda: int(probed.bench.shell(count, check=False)) >= len(TABLE),
        "the verdicts of all probes", 60,
    )
    listed = probed.bench.run(
        SPOOLCTL, "-C", probed.spool, "ls", "--json", "done", "failed"
    )
    jobs = [json.loads(line) for line in listed.splitlines()]
    return {job["name"]: job for job in jobs}


@pytest.mark.parametrize("probe", TABLE, ids=lambda probe: probe.name)
def test_refused(
    verdicts: dict[str, dict[str, Any]], probe: Probe
) -> None:
    """A job cannot do it."""
    _skip_elsewhere(probe)
    job = verdicts[f"{probe.name}.job"]
    assert job["state"] == "done", f"{probe}: {job['reason']}"


@pytest.mark.parametrize(
    "probe", [probe for probe in TABLE if probe.control],
    ids=lambda probe: probe.name,
)
def test_allowed_outside(
    bench: Bench, known: dict[str, str], probe: Probe
) -> None:
    """Without the service it can be done: the probe can fail."""
    _skip_elsewhere(probe)
    become = [] if probe.control == "root" else [
        "setpriv", "--reuid=spooler", "--regid=spooler", "--clear-groups",
    ]
    words = probe.call.format(**known).split()
    if probe.call in ("set_uid_bit", "give_away"):
        words.append("/opt/open")
    # Where the interpreter lies in a home directory, spooler cannot run it.
    python = "/usr/bin/python3"
    done = bench.try_run(
        *become, python, "/opt/probe.py", *words
    )
    assert done.returncode == 1, f"{probe}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr


def test_every_option_is_in_the_table() -> None:
    """An option is proven by a probe, or it is said why it cannot be."""
    data = importlib.resources.files("spooler") / "data" / "spoold@.service"
    text = data.read_text(encoding="utf-8").partition("[Service]")[2]
    options = set(re.findall(r"^(\w+)=", text.partition("[Install]")[0], re.M))
    options.add("ProtectHome")
    proven = {probe.option for probe in TABLE} | set(BEHIND)
    # Every job there is proves these two.
    proven |= {"ReadWritePaths", "SupplementaryGroups"}
    assert options - LIFE == proven


@pytest.mark.parametrize("option", BEHIND)
def test_what_no_probe_reaches(probed: Service, option: str) -> None:
    """systemd says that it holds."""
    assert probed.show(option)[option] == BEHIND[option][0]


@pytest.fixture
def port(bench: Bench) -> Iterator[int]:
    """A service on the machine's loopback interface."""
    ready = threading.Event()
    found: list[socket.socket] = []

    def listen() -> None:
        # Of this thread alone, which ends with the test.
        with open(f"/proc/{bench.leader}/ns/net") as namespace:
            _setns(namespace.fileno())
        listener = socket.create_server(("127.0.0.1", 0))
        found.append(listener)
        ready.set()
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield found[0].getsockname()[1]
    found[0].shutdown(socket.SHUT_RDWR)
    found[0].close()
    thread.join(10)


def _setns(fd: int) -> None:
    assert ctypes.CDLL(None, use_errno=True).setns(fd, 0) == 0


@pytest.mark.parametrize(
    ("more", "state"), [(False, "failed"), (True, "done")]
)
def test_no_network(
    bench: Bench, port: int, more: bool, state: str
) -> None:
    """The drop-in takes the network from the jobs; else they have it."""
    one = Service(bench, f"net{int(more)}")
    one.configure(CONFIG)
    if more:
        bench.run("mkdir", "-p", f"{UNITS}/{one.unit}.d")
        bench.shell(
            f"{SPOOLCTL} unit --no-network"
            f" >{UNITS}/{one.unit}.d/no-network.conf"
        )
        bench.run("systemctl", "daemon-reload")
    one.start()
    try:
        _drop(one, "net", ["connect", str(port)])
        assert one.wait("net.job")["state"] == state
    finally:
        bench.run("systemctl", "stop", one.unit)
