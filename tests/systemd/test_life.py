# SPDX-License-Identifier: MIT
"""The life of the service under a real systemd."""

import os
import pathlib
import re
import stat
import subprocess
import sys
from collections.abc import Callable

import pytest
from support import ROOT
from systemd.bench import Bench, groups, sweep
from systemd.conftest import PYTHON, SPOOLCTL, UNITS, Service

Make = Callable[..., Service]

#: Long enough that the stop of its service begins while it runs.
COUNT = '[handler.count]\ncommand = ["wc", "-c"]\n'


def sleeper(seconds: float, more: str = "") -> str:
    """A handler that runs for some time."""
    return f'[handler.sleep]\ncommand = ["sleep", "{seconds}"]\n{more}'


def test_starts(service: Make) -> None:
    """A new instance makes its spool, is ready, and says how it is."""
    one = service()
    one.start()
    told = one.show("ActiveState", "SubState", "StatusText", "NotifyAccess")
    assert told["ActiveState"] == "active", told
    text = one.bench.run("systemctl", "status", one.unit)
    assert re.search(
        r'Status: "0 waiting, 0 running, 0 done, 0 failed, 0 deferred"', text
    ), text
    assert one.log("SPOOL_STATE=failed") == []


def test_the_spool_it_makes_is_sound(service: Make) -> None:
    """Its directories have the modes of spool(5), and check is content."""
    one = service()
    one.start()
    lines = one.bench.shell(
        f"cd {one.spool} && stat -c '%a %U %G %n' . *"
    ).splitlines()
    found = {line.split()[3]: line.split()[:3] for line in lines}
    assert found["."] == ["755", "spooler", "spooler"]
    for name in ("tmp", "incoming", "keys"):
        assert found[name] == ["3730", "spooler", "spool"]
    for name in ("active", "deferred", "hold", "done", "failed", "run"):
        assert found[name] == ["700", "spooler", "spooler"]
    done = one.bench.try_run(SPOOLCTL, "-C", one.spool, "check")
    assert done.returncode == 0, done.stderr


def test_a_member_of_the_group_submits_by_mv(service: Make) -> None:
    """What alice drops runs; bob, who is not in the group, cannot drop."""
    one = service(COUNT)
    one.start()
    one.drop("one.job", "Handler: count\n\nhello")
    job = one.wait("one.job")
    assert (job["state"], job["handler"]) == ("done", "count"), job
    with pytest.raises(AssertionError, match="Permission denied"):
        one.drop("two.job", "Handler: count\n\nhello", user="bob")


def test_the_journal_finds_a_job(service: Make) -> None:
    """A job is found by its fields; its producer's words forge none."""
    one = service('[handler.bad]\ncommand = ["sh", "-c", "cat >&2; exit 65"]')
    one.start()
    one.drop("x.job", "Handler: bad\n\nwhy\\nPRIORITY=0\x1b[2J")
    job = one.wait("x.job", "failed")
    (entry,) = one.log(f"SPOOL_JOB_ID={job['id']}")
    assert entry["SPOOL_HANDLER"] == "bad"
    assert entry["SPOOL_STATE"] == "failed"
    assert entry["PRIORITY"] == "4"
    assert entry["SYSLOG_IDENTIFIER"] == "spoold"
    assert entry["MESSAGE"].startswith(f"{job['id']}: failed: ")
    assert entry["MESSAGE"].isprintable()


def test_reload(service: Make) -> None:
    """A bad configuration is refused and told, a good one taken up."""
    one = service(COUNT)
    one.start()
    pid = one.pid
    one.configure(COUNT + "[handler.new]\nnonsense = 1\n")
    one.bench.run("systemctl", "reload", one.unit)
    one.bench.until(
        lambda: one.logged("not reloaded"), "the refusal in the journal"
    )
    assert one.show("ActiveState")["ActiveState"] == "active"
    one.configure(COUNT + '[handler.new]\ncommand = ["true"]\n')
    one.bench.run("systemctl", "reload", one.unit)
    one.drop("n.job", "Handler: new\n\n")
    one.bench.until(lambda: one.logged("reloaded: "), "the reload")
    assert one.wait("n.job")["handler"] == "new"
    assert one.show("ActiveState")["ActiveState"] == "active"
    assert one.pid == pid


def test_the_watchdog_ends_what_hangs(service: Make) -> None:
    """A stopped daemon is killed and replaced; the next one works."""
    one = service(COUNT, "[Service]\nWatchdogSec=1s\nRestartSec=100ms\n")
    one.start()
    pid = one.pid
    one.signal("STOP")
    one.bench.until(lambda: one.pid not in (0, pid), "another daemon")
    assert one.show("NRestarts")["NRestarts"] == "1"
    assert one.logged("Watchdog timeout")
    one.drop("a.job", "Handler: count\n\n")
    assert one.wait("a.job")["state"] == "done"


def test_the_watchdog_leaves_what_works_alone(service: Make) -> None:
    """A long job and an idle daemon are no hang."""
    one = service(sleeper(2.5), "[Service]\nWatchdogSec=1s\n")
    one.start()
    one.drop("a.job", "Handler: sleep\n\n")
    assert one.wait("a.job")["state"] == "done"
    assert one.show("NRestarts")["NRestarts"] == "0"


def test_a_stop_waits_for_running_jobs(service: Make) -> None:
    """Longer than TimeoutStopSec, for spoold asks for more."""
    one = service(
        'stop_timeout = "30s"\n' + sleeper(4),
        "[Service]\nTimeoutStopSec=1s\n",
    )
    one.start()
    one.drop("a.job", "Handler: sleep\n\n")
    one.wait("a.job", "active")
    one.bench.run("systemctl", "stop", one.unit)
    assert one.show("ActiveState", "Result") == {
        "ActiveState": "inactive", "Result": "success"
    }
    assert (one.job("a.job") or {})["state"] == "done"


def test_a_stop_gives_back_what_does_not_end(service: Make) -> None:
    """After stop_timeout; the next start runs it from its beginning."""
    one = service('stop_timeout = "100ms"\n' + sleeper(60))
    one.start()
    one.drop("a.job", "Handler: sleep\n\n")
    one.wait("a.job", "active")
    one.bench.run("systemctl", "stop", one.unit)
    assert one.show("Result")["Result"] == "success"
    assert (one.job("a.job") or {})["state"] == "incoming"


def test_out_of_memory_is_the_jobs_failure(service: Make) -> None:
    """The kernel ends the job; the service and other jobs go on."""
    eater = (
        f'[handler.eat]\ncommand = ["{PYTHON}", "-c", "x = b\'x\' * (1 << 30)'
        ' ; print(len(x))"]\nattempts = 1\n'
    )
    one = service(
        COUNT + eater, "[Service]\nMemoryMax=150M\nMemorySwapMax=0\n"
    )
    one.start()
    pid = one.pid
    one.drop("eat.job", "Handler: eat\n\n")
    job = one.wait("eat.job")
    assert job["state"] == "failed", job
    assert job["reason"]["kind"] == "signal"
    one.drop("a.job", "Handler: count\n\n")
    assert one.wait("a.job")["state"] == "done"
    assert one.show("NRestarts", "ActiveState", "MainPID") == {
        "NRestarts": "0", "ActiveState": "active", "MainPID": str(pid)
    }


def test_a_killed_daemon_is_back_and_recovers(service: Make) -> None:
    """kill -9 of the main process costs its jobs one run."""
    one = service(
        sleeper(1, "attempts = 3\n"), "[Service]\nRestartSec=100ms\n"
    )
    one.start()
    pid = one.pid
    one.drop("a.job", "Handler: sleep\n\n")
    one.wait("a.job", "active")
    one.signal("KILL")
    job = one.wait("a.job", "done")
    assert one.pid != pid
    assert one.show("NRestarts")["NRestarts"] == "1"
    (entry,) = one.log(f"SPOOL_JOB_ID={job['id']}", "SPOOL_STATE=incoming")
    assert "interrupted in run 1" in entry["MESSAGE"]


def test_a_bad_configuration_is_not_tried_again(service: Make) -> None:
    """Exit 78 leaves the unit failed, for a person to see."""
    one = service("nonsense = 1\n")
    done = one.bench.try_run("systemctl", "start", one.unit)
    assert done.returncode
    assert one.show("ActiveState", "ExecMainStatus", "NRestarts") == {
        "ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"
    }


def test_what_handlers_need_works_inside(service: Make) -> None:
    """Python workers, limits on memory, groups, events, left-overs."""
    one = service(
        '[handler.py]\npython = "json:dumps"\n'
        '[handler.limit]\nmemory = "200MiB"\n'
        'command = ["sh", "-c", "ulimit -d; cat /proc/self/cgroup;'
        ' setsid env -i sleep 1000 & echo $! >\\"$SPOOL_RESULT\\""]\n'
    )
    one.start()
    one.drop("a.job", 'Handler: py\nArg: "x"\n\n')
    one.drop("b.job", "Handler: limit\n\n")
    assert one.wait("a.job")["state"] == "done"
    job = one.wait("b.job")
    assert job["state"] == "done", job
    out = one.bench.run(SPOOLCTL, "-C", one.spool, "log", "b.job")
    assert "204800" in out and f"/{one.unit}/run-" in out, out
    # Found by its control group alone.
    assert one.bench.try_run(
        "test", "-e", f"/proc/{job['value']}"
    ).returncode == 1
    status = one.bench.run(SPOOLCTL, "-C", one.spool, "status", "--json")
    assert '"watching": true' in status
    # Two of one name: the second takes renameat2(2), by ctypes.
    for _ in range(2):
        one.drop("same.job", 'Handler: py\nArg: "x"\n\n')
    one.bench.until(lambda: one.bench.shell(
        f"ls {one.spool}/done | grep -c ,same.job || true"
    ).strip() == "2", "both jobs of one name")


def test_the_unit_is_clean(bench: Bench) -> None:
    """systemd-analyze verify has nothing to say, of any text."""
    bench.run("mkdir", "-p", "/run/verify")
    bench.shell(f"{SPOOLCTL} unit --user >/run/verify/user@.service")
    for options in (
        ("spoold@x.service",),
        ("--user", "/run/verify/user@.service"),
    ):
        done = bench.try_run(
            "env", "XDG_RUNTIME_DIR=/run/verify", "systemd-analyze",
            "verify", *options,
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("more", "most"), [("", 1.4), ("no-network", 0.5)])
def test_the_unit_is_tight(bench: Bench, more: str, most: float) -> None:
    """systemd-analyze security finds as little as is promised."""
    name = f"spoold@s{len(more)}.service"
    if more:
        bench.run("mkdir", "-p", f"{UNITS}/{name}.d")
        bench.shell(
            f"{SPOOLCTL} unit --{more} >{UNITS}/{name}.d/{more}.conf"
        )
        bench.run("systemctl", "daemon-reload")
    told = bench.run("systemd-analyze", "security", "--no-pager", name)
    match = re.search(r"exposure level for \S+: ([0-9.]+)", told)
    assert match and float(match[1]) <= most, told


def test_a_killed_run_leaves_nothing(
    bench: Bench, tmp_path: pathlib.Path
) -> None:
    """A bench ends with the process that started it, however that ends."""
    script = (
        "import pathlib, signal, sys; from systemd.bench import Bench;"
        "bench = Bench(pathlib.Path(sys.argv[1]));"
        "print(bench.name, flush=True); signal.pause()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "bench")],
        stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    child.kill()
    child.communicate()
    left = [mount / name for mount in groups().values()]
    assert name and all(path.is_dir() for path in left)

    def ended() -> bool:
        sweep()
        return not any(path.exists() for path in left)

    bench.until(ended, "the end of all its processes")
    mounts = pathlib.Path("/proc/self/mounts").read_text()
    assert str(tmp_path) not in mounts


def test_nothing_reaches_the_machine(bench: Bench) -> None:
    """The bench is in namespaces of its own."""
    for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        inside = bench.run("readlink", f"/proc/self/ns/{kind}").strip()
        assert inside != str(pathlib.Path(f"/proc/self/ns/{kind}").readlink())
    assert stat.S_ISDIR(pathlib.Path("/opt").stat().st_mode)
    assert not pathlib.Path(SPOOLCTL).exists()
