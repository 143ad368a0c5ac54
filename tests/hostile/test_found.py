# SPDX-License-Identifier: MIT
"""Ways to stop others' jobs: none of them may work."""

import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from hostile import judge
from hostile.kinds import note
from hostile.stage import IMMUTABLE, Stage, serving, set_attribute, stage
from support import Spoold, document, wait_until

from spooler import names

CONFIG = """
workers = 2
rescan = "200ms"
durability = "relaxed"
[handler.note]
python = "hostile.handlers:note"
[handler.cat]
command = ["cat"]
backoff = "10ms"
[handler.a-handler-with-a-longer-name]
command = ["true"]
match = ["*"]
"""
WAIT_S = 10.0


@pytest.fixture
def on() -> Iterator[Stage]:
    """Make a spool for all."""
    with stage(CONFIG) as made:
        yield made


@pytest.fixture
def daemon(on: Stage) -> Iterator[Spoold]:
    """Serve it."""
    with serving(on) as running:
        yield running


def mint() -> str:
    """Make an id as producers do."""
    return names.mint_id(time.time_ns(), 7)


def assert_goes_on(on: Stage, daemon: Spoold) -> None:
    """Others' jobs start, and the spool is in no trouble."""
    waits = judge.good_jobs(on, 5, 0.1)
    assert max(waits) < WAIT_S, daemon.log[-2000:]
    assert "in trouble" not in daemon.log
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("handler", [
    "nosuch", "a-handler-with-a-longer-name",
])
def test_a_name_too_long_to_claim(
    on: Stage, daemon: Spoold, handler: str
) -> None:
    """A name that leaves no room for a claim is left alone, or runs."""
    name = f"4.{mint()}.h{handler},"
    name += "x" * min(200, 255 - len(name))
    on.hostile(lambda: on.put(name, note("long"))).result()
    assert_goes_on(on, daemon)


@pytest.mark.parametrize("handler", [
    "nosuch", "a-handler-with-a-longer-name",
])
def test_a_directory_in_place_of_a_file(
    on: Stage, daemon: Spoold, handler: str
) -> None:
    """A directory under the name of a job that was heard of stops nobody."""
    path = on.path / "incoming" / f"4.{mint()}.h{handler},x"

    def attack() -> None:
        path.touch()
        path.unlink()
        path.mkdir()

    daemon.signal(signal.SIGSTOP)
    on.hostile(attack).result()
    daemon.signal(signal.SIGCONT)
    assert_goes_on(on, daemon)
    if on.users.apart:
        assert path.is_dir()


@pytest.mark.parametrize("handler", [
    "nosuch", "a-handler-with-a-longer-name",
])
def test_a_file_that_cannot_be_moved(
    on: Stage, daemon: Spoold, handler: str
) -> None:
    """A job nobody can claim is left alone, told of once, stops nobody."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a file immutable")
    path = on.path / "incoming" / f"4.{mint()}.h{handler},x"
    daemon.signal(signal.SIGSTOP)
    path.touch()
    try:
        set_attribute(path, IMMUTABLE, True)
    except OSError as error:
        pytest.skip(f"no immutable files here: {error}")
    finally:
        daemon.signal(signal.SIGCONT)
    for _ in range(4):  # each makes another scan
        assert_goes_on(on, daemon)
        time.sleep(0.2)
    assert path.exists()
    assert daemon.log.count("left alone") <= 1, daemon.log


def _leased(path: str) -> None:
    """Hold a lease on a file: who opens it must wait for us."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(path, os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)


@pytest.mark.parametrize("name", ["x.job", "x.dat", "4.{0}.hnote,x.job"])
def test_a_lease(on: Stage, daemon: Spoold, name: str) -> None:
    """A file whose producer holds a lease stops nobody."""
    def attack() -> None:
        new = str(on.path / "tmp" / "leased")
        with open(new, "wb") as stream:
            stream.write(note("leased"))
        os.chmod(new, 0o640)
        _leased(new)
        os.rename(new, on.path / "incoming" / name.format(mint()))

    child = on.hostile(attack, stay=True)
    try:
        child.answer()
        assert_goes_on(on, daemon)
    finally:
        child.kill()


def _heavy_json() -> bytes:
    members = b",".join(b'"%d":[[]]' % number for number in range(75_000))
    return b'{"Handler":"note","Kwargs":{' + members + b'},"Arg":"x"}'


HEAVY: dict[str, tuple[bytes, int]] = {
    "JSON": (_heavy_json(), 100),
    "a long member": (b'{"' + b"ab cd" * 200_000 + b'":0}', 100),
    "a long field": (b"ab cd" * 13_000 + b":1\n\n", 600),
}


@pytest.mark.parametrize("what", HEAVY)
def test_documents_that_are_hard_to_read(
    on: Stage, daemon: Spoold, what: str
) -> None:
    """spoold answers before it has judged half of them, and starts others'
    jobs meanwhile."""
    data, count = HEAVY[what]

    def attack() -> None:
        for number in range(count):
            on.put(f"heavy-{number}.job", data)

    daemon.signal(signal.SIGSTOP)
    on.hostile(attack).result()
    daemon.signal(signal.SIGCONT)
    wait_until(lambda: on.ask() is not None, what="an answer")
    left = sum(entry.startswith("heavy-") for entry in on.listed("incoming"))
    assert left > count / 2, f"{count - left} were judged before it answered"
    assert_goes_on(on, daemon)


@pytest.mark.parametrize("fields", [".s", ".vok"])
def test_names_that_cost_a_scan_each(
    on: Stage, daemon: Spoold, fields: str
) -> None:
    """Jobs that claim to be here already delay no others."""
    def attack() -> None:
        for number in range(4000):
            on.put(f"4.{names.mint_id(10 ** 18, number)}{fields},x{number}")

    child = on.hostile(attack)
    waits = judge.good_jobs(on, 20, 0.1)
    child.result()
    waits += judge.good_jobs(on, 10, 0.1)
    assert max(waits) < WAIT_S, daemon.log[-1000:]


def test_arguments_that_no_command_takes(on: Stage, daemon: Spoold) -> None:
    """Arguments too long for exec are the job's fault, not its handler's."""
    data = json.dumps({"Handler": "cat", "Arg": "x" * 200_000}).encode()

    def attack() -> None:
        for number in range(10):
            on.put(f"long-{number}.job", data)

    on.hostile(attack).result()
    wait_until(lambda: on.count("failed") == 10, what=on.tree)
    on.put("good.job", document("cat", body=b"good"))
    found = on.wait("good.job", timeout=WAIT_S)
    assert found.out == b"good"
    assert "pauses" not in daemon.log


def test_a_request_that_is_nested_too_deep(
    on: Stage, daemon: Spoold
) -> None:
    """A request that cannot be read is answered, and nothing else."""
    fd = os.open(on.path / "run", os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(f"/proc/self/fd/{fd}/control")
            sock.sendall(b"[" * 60_000 + b"\n")
            answer = sock.recv(1000)
    finally:
        os.close(fd)
    assert b"not understood" in answer
    assert_goes_on(on, daemon)


def _forged() -> dict[str, Callable[[Stage], None]]:
    evil = "a\n\x1b[2JFAKE"
    member = {"Handler": "note", f"X-{evil}": [1]}
    text = {"Handler": "note", f"X-{evil}": "a\nb"}
    return {
        "a handler's name": lambda on: on.put(f"4.{mint()},{evil}.job"),
        "a member": lambda on: on.put("x.job", json.dumps(member).encode()),
        "a member's text": lambda on: on.put(
            "x.job", json.dumps(text).encode()
        ),
        "a claimed member": lambda on: on.put(
            f"4.{mint()},note.job", json.dumps(member).encode()
        ),
        "a long value": lambda on: on.put(
            "x.job", document("note", Not_Before="x" * 60_000)
        ),
        "a long JSON value": lambda on: on.put("x.job", json.dumps({
            "Handler": "note", "Not-Before": "\U000e0001" * 80_000,
        }, ensure_ascii=False).encode()),
    }


@pytest.mark.parametrize("what", _forged())
def test_forged_log_lines(on: Stage, daemon: Spoold, what: str) -> None:
    """What a producer wrote adds no line to the log, and no long one."""
    on.hostile(lambda: _forged()[what](on)).result()
    wait_until(lambda: on.count("failed") == 1, what=on.tree)
    wait_until(lambda: "failed:" in daemon.log)
    judge.assert_log(daemon, 2, 2000)
    assert_goes_on(on, daemon)


def test_forged_log_lines_at_the_start(on: Stage) -> None:
    """Two names of one file that are no job's are two payloads."""
    tails = b"one", b"two"

    def attack() -> None:
        first, second = (
            on.path / "incoming" / os.fsdecode(
                b"xx" + b"\n\x1b[2JFAKE\n".ljust(20, b"x") + b"," + tail
            ) for tail in tails
        )
        first.touch(0o640)
        os.link(first, second)

    on.hostile(attack).result()
    with serving(on) as daemon:
        assert_goes_on(on, daemon)
        wait_until(lambda: on.count("done") >= 7, 3, what=on.tree)
        judge.assert_inert(daemon.log_path.read_bytes(), "log")
