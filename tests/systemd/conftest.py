# SPDX-License-Identifier: MIT
"""One systemd for all tests of a run, and services in it."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from systemd.bench import HERE, PREFIX, Bench, lacks

SPOOLCTL = f"{PREFIX}/bin/spoolctl"
UNITS = "/etc/systemd/system"
SPOOLS = "/var/spool/spooler"
PYTHON = f"{PREFIX}/bin/python"
#: alice may submit, bob may not.
PEOPLE = "u alice -\nu bob -\nm alice spool\n"


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Boot, and install as spoold(8) says."""
    why = lacks()
    if why is not None:
        pytest.skip(f"no systemd of our own: {why}")
    bench = Bench(tmp_path_factory.mktemp("bench"))
    try:
        bench.run("mkdir", "-p", f"{UNITS}/spoold@.service.d")
        bench.shell(
            f"{SPOOLCTL} unit --sysusers | systemd-sysusers -\n"
            f"{SPOOLCTL} unit --tmpfiles >/etc/tmpfiles.d/spooler.conf\n"
            "systemd-tmpfiles --create spooler.conf\n"
            f"{SPOOLCTL} unit >{UNITS}/spoold@.service\n"
            "systemctl daemon-reload\n"
        )
        bench.run("systemd-sysusers", "-", stdin=PEOPLE)
        _lay_out(bench)
        yield bench
    finally:
        bench.close()


def _lay_out(bench: Bench) -> None:
    """What the probes look for, open to everybody but for the sandbox."""
    bench.write(
        "/opt/probe.py", (HERE / "probe.py").read_text(encoding="utf-8")
    )
    bench.shell(
        "mkdir -p /opt/open /run/open /home/open /tmp/open"
        " /usr/lib/modules/x\n"
        "chmod 1777 /opt/open /run/open /home/open /tmp/open\n"
        "echo x >/home/open/file; chmod 644 /home/open/file\n"
        "cp /usr/bin/id /opt/root-id; chmod 4755 /opt/root-id\n"
    )


class Service:
    """spoold@NAME.service and its spool."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench = bench
        self.name = name
        self.unit = f"spoold@{name}.service"
        self.spool = f"{SPOOLS}/{name}"

    def configure(self, config: str) -> None:
        """Write spool.toml, as root."""
        self.bench.shell(
            f"[ -d {self.spool} ] ||"
            f" install -d -o spooler -g spooler {self.spool}"
        )
        self.bench.write(f"{self.spool}/spool.toml", "format = 1\n" + config)

    def override(self, text: str) -> None:
        """Add to the unit."""
        self.bench.write(f"{UNITS}/{self.unit}.d/test.conf", text)
        self.bench.run("systemctl", "daemon-reload")

    def start(self) -> None:
        """Start it; it is ready then."""
        self.bench.run("systemctl", "start", self.unit)

    def show(self, *names: str) -> dict[str, str]:
        """Properties of the unit."""
        return self.bench.show(self.unit, *names)

    @property
    def pid(self) -> int:
        """Of the daemon, in there."""
        return int(self.show("MainPID")["MainPID"])

    def signal(self, name: str) -> None:
        """Send the daemon a signal."""
        self.bench.run(
            "systemctl", "kill", f"--signal={name}", "--kill-whom=main",
            self.unit,
        )

    def drop(self, name: str, text: str, user: str = "alice") -> None:
        """Submit as a user with a shell would: write, mv."""
        tmp, incoming = f"{self.spool}/tmp/{name}", f"{self.spool}/incoming"
        self.bench.run(
            "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups",
            "sh", "-euc", f"umask 027; cat >{tmp}; mv {tmp} {incoming}/",
            stdin=text,
        )

    def job(self, name: str) -> dict[str, Any] | None:
        """What show tells of a dropped job; None: there is none yet."""
        done = self.bench.try_run(
            SPOOLCTL, "-C", self.spool, "show", "--json", name
        )
        if done.returncode:
            return None
        job = json.loads(done.stdout)
        assert isinstance(job, dict)
        return job

    def wait(self, name: str, *states: str) -> dict[str, Any]:
        """Wait until a dropped job is in one of *states*."""
        wanted = states or ("done", "failed")
        found: list[dict[str, Any]] = []

        def look() -> bool:
            where = " ".join(f"{self.spool}/{state}" for state in wanted)
            listed = self.bench.shell(f"ls {where}")
            if f",{name}\n" in listed:
                found.append(self.job(name) or {})
                return True
            return False

        self.bench.until(look, f"{name} {wanted} of {self.unit}")
        return found[0]

    def log(self, *options: str) -> list[dict[str, Any]]:
        """What it logged, as the journal has it."""
        self.bench.run("journalctl", "--sync")
        text = self.bench.run(
            "journalctl", f"--unit={self.unit}", "--output=json",
            "--no-pager", *options,
        )
        return [json.loads(line) for line in text.splitlines()]

    def logged(self, words: str) -> bool:
        """Whether a line with *words* is in the journal."""
        return any(words in str(each["MESSAGE"]) for each in self.log())


@pytest.fixture
def service(bench: Bench) -> Iterator[Callable[..., Service]]:
    """Make services; stop them in the end."""
    made = []
    count = itertools.count(1)

    def make(config: str = "", override: str = "") -> Service:
        one = Service(bench, f"t{next(_numbers)}-{next(count)}")
        made.append(one)
        if config:
            one.configure(config)
        if override:
            one.override(override)
        return one

    yield make
    for one in made:
        bench.shell(
            f"systemctl kill --signal=CONT {one.unit}\n"
            f"systemctl stop {one.unit}", check=False,
        )


_numbers = itertools.count(1)
