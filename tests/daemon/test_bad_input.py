# SPDX-License-Identifier: MIT
"""Whatever is dropped: a reason on disk, nothing lost, the queue goes on."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from support import (
    SPOOLD,
    Spoold,
    SpoolDir,
    document,
    peak_rss,
    run_spoold,
    toml_list,
    wait_until,
)

Start = Callable[..., Spoold]

CONFIG = """
default = "sha256sum"
rescan = "1s"
[handler.sha256sum]
command = ["sha256sum"]
attempts = 2
backoff = "10ms"
[handler.show]
command = ["printf", "%s\\\\n"]
attempts = 2
backoff = "10ms"
[handler.hold]
command = ["sh", "-c", "read line; sleep 1000"]
"""


@pytest.fixture
def served(spool: SpoolDir, spoold: Start) -> SpoolDir:
    """A spool with a daemon and a few handlers."""
    spool.configure(CONFIG)
    spoold()
    return spool


def still_works(spool: SpoolDir) -> None:
    """Drop a good job and see it done."""
    spool.drop("after.dat", b"good")
    assert spool.wait("after.dat").out.split()[0].decode() == (
        hashlib.sha256(b"good").hexdigest()
    )


def test_an_empty_payload_is_data(served: SpoolDir) -> None:
    """A payload of no bytes runs like any other."""
    served.drop("empty.dat")
    digest = hashlib.sha256().hexdigest().encode()
    assert served.wait("empty.dat").out.split()[0] == digest
    still_works(served)


DEEP = b'{"Handler": "show", "Arg": ' + b"[" * 70 + b"]" * 70 + b"}"
NUL_ARG = b'{"Handler": "show", "Arg": ["a\\u0000b"]}'
LONE_ARG = b'{"Handler": "show", "Arg": ["\\ud800"]}'
LONE_FIELD = b'{"Handler": "show", "X-Note": "\\ud800"}'
LONE_TRACE = b'{"Handler": "show", "Traceparent": "\\udfff"}'


BAD_DOCUMENTS = [
    (b"", "empty: no Handler field"),
    (document("show", Priorty=3), "did you mean Priority?"),
    (document("sha256sun"), "did you mean 'sha256sum'?"),
    (document("nothing-like-it"), "unknown handler 'nothing-like-it'"),
    (document(None, "a"), "no Handler field"),
    (b'{"Handler": "show",', "bad JSON"),
    (b'{"Handler": "show", "Arg": [1}', "bad JSON"),
    (b'{"Handler": "show"} {}', "bad JSON"),
    (b'{"Handler": NaN}', "bad JSON"),
    (b'{"Handler": "show", "Arg": ' + b"[" * 100_000, "JSON nested deeper"),
    (DEEP, "JSON nested deeper"),
    (b'{"Handler": "show", "Argh": 1}', "did you mean Arg?"),
    (b"#!/bin/sh\necho hello\n", "not of the form 'Field: value'"),
    (b"\n\nno header", "starts with an empty line"),
    (document("show", Priority=10), "Priority is a digit 0..9"),
    (document("show", Timeout="soon"), "not a duration"),
    (document("../../bin/sh"), "cannot be a handler's name"),
    (document("show", Length=3, body=b"four"), "cut short or altered"),
    (b"Digest: sha256:" + b"0" * 64 + b"\n" + document("show"), "altered"),
    (b"Handler: show\nArg: \xff\n\n", "not UTF-8"),
    (b"Handler: show\nArg: a\0b\n\n", "NUL"),
    (b"Handler: show\n" + b"Arg: x\n" * 2000, "more than 1000 header lines"),
    (b"Handler: show\nArg: " + b"x" * 70_000, "no empty line within"),
]


def test_bad_documents_fail_with_their_reasons(served: SpoolDir) -> None:
    """A document that cannot run is filed as it was dropped, with why."""
    for number, (data, _) in enumerate(BAD_DOCUMENTS):
        served.drop(f"{number}.job", data)
    for number, (data, reason) in enumerate(BAD_DOCUMENTS):
        failed = served.wait(f"{number}.job", "failed")
        assert reason in failed.reason
        assert failed.kinds[-1][0] in ("bad", "unknown-handler")
        assert failed.data == data
    still_works(served)


def test_zero_attempts_are_no_attempts(served: SpoolDir) -> None:
    """Attempts below 1 are refused, as the message says."""
    served.drop_job("x", "show", Attempts=0)
    failed = served.wait("x.job", "failed")
    assert "Attempts is 1..99" in failed.reason


@pytest.mark.parametrize(
    "data", [NUL_ARG, LONE_ARG, LONE_FIELD, LONE_TRACE],
    ids=["nul", "argument", "field", "traceparent"],
)
def test_what_no_command_can_be_given_is_refused(
    served: SpoolDir, data: bytes
) -> None:
    """Text that exec cannot pass on fails its job, and harms no other."""
    served.drop_job("hold", "hold")
    served.wait("hold.job", "active")
    served.drop("bad.job", data)
    failed = served.wait("bad.job", "failed")
    assert failed.kinds == [("bad", None)]
    assert failed.data == data
    still_works(served)
    daemon_log = served.path.parent / "spoold.1.log"
    assert " exited " not in daemon_log.read_text()
    assert served.all("hold.job", "active")[0].name.runs == 1


def test_a_payload_without_a_handler_fails(
    spool: SpoolDir, spoold: Start
) -> None:
    """A payload that no pattern matches, without default, says so."""
    spool.configure('[handler.a]\ncommand = ["true"]\nmatch = ["*.a"]\n')
    spoold()
    spool.drop("x.b", b"kept")
    failed = spool.wait("x.b", "failed")
    assert failed.reason.startswith("no handler")
    assert failed.data == b"kept"
    spool.drop("x.a")
    spool.wait("x.a")


def test_no_shell_reads_what_a_job_says(
    served: SpoolDir, tmp_path: pathlib.Path
) -> None:
    """Arguments reach the command as they are, one word each."""
    mark = tmp_path / "mark"
    args = [f"; touch {mark}", f"$(touch {mark})", "-n", "a  b", "*", "{id}"]
    served.drop_job("x", "show", *args)
    assert served.wait("x.job").out.decode() == "\n".join([*args, ""])
    assert not mark.exists()


def test_a_large_payload_is_streamed(spool: SpoolDir, spoold: Start) -> None:
    """200 MB pass through a command without passing through our memory."""
    spool.configure(CONFIG)
    daemon = spoold()
    path = spool.write("large.bin")
    digest = hashlib.sha256()
    block = bytes(range(256)) * 4096
    with open(path, "wb") as stream:
        for number in range(200):
            digest.update(block)
            stream.write(block)
    spool.publish("large.bin")
    done = spool.wait("large.bin")
    assert done.out.split()[0].decode() == digest.hexdigest()
    pids = [daemon.pid, *daemon.workers("command")]
    assert len(pids) == 2
    for pid in pids:
        assert peak_rss(pid) < 100 << 20
    done.path.unlink()
    still_works(spool)


ODD_NAMES = [
    b"with space", b"  ", b"new\nline", b"\n", b"-rf", b"--help",
    b"\xff\xfe\x80", "na\u00efve \u202e.txt".encode(), b"a,b,,c", b",",
    b"4.short,x", b"%s{file}{id}", b"$(id)`id`", b"\x1b[31mred", b"\\",
    b"n" * 200, b"d" * 156 + b".job", b"CON", b"x.result", b"x.out",
    b"\x01", b"*", b"run",
]


def test_odd_names_are_just_names(spool: SpoolDir, spoold: Start) -> None:
    """Any legal name runs, and is still told exactly when done."""
    spool.configure("""
        default = "name"
        [handler.name]
        command = ["sh", "-c", 'printf %s "$SPOOL_JOB_NAME"']
        """)
    spoold()
    for name in ODD_NAMES:
        data = document("name") if name.endswith(b".job") else b"x"
        spool.drop(name, data)
    for name in ODD_NAMES:
        assert spool.wait(name).out == name
    assert spool.status()["stray_count"] == 0


def test_the_same_odd_names_go_to_python_handlers(
    spool: SpoolDir, spoold: Start
) -> None:
    """A Python handler can open a file of any legal name."""
    spool.configure("""
        default = "words"
        [handler.words]
        python = "sample_handlers:words"
        """)
    spoold()
    names = [name for name in ODD_NAMES if not name.endswith(b".job")]
    for name in names:
        spool.drop(name, b"one two")
    for name in names:
        assert spool.wait(name).record["value"] == 2


LEFT_ALONE = [
    b"l" * 255, b"\xff" * 255, b"l" * 201, b"d" * 157 + b".job", b".hidden",
    b".job", b"..x", b"half.tmp", b"half.part", b"backup~", b"edit.swp",
    b"4." + b"0" * 20 + b".out",
]


def test_illegal_names_are_left_alone_and_told(served: SpoolDir) -> None:
    """What is unfinished or too long stays where it is, and status says."""
    for name in LEFT_ALONE:
        served.drop(name, name)
    (served.path / "tmp" / "directory").mkdir()
    (served.path / "tmp" / "directory" / "x").write_bytes(b"inside")
    served.publish("directory")
    still_works(served)
    count = len(LEFT_ALONE) + 1
    wait_until(
        lambda: served.status()["stray_count"] == count,
        what=lambda: str(served.status()),
    )
    told = {item["name"]: item["why"] for item in served.status()["strays"]}
    assert told["l" * 255] == "name of 255 bytes, 200 is the limit"
    assert told["\\xff" * 255] == "name of 255 bytes, 200 is the limit"
    assert "160 is the limit" in told["d" * 157 + ".job"]
    assert told[".hidden"] == "name starts with a dot"
    assert "still being written" in told["half.part"]
    assert told["directory"] == "a directory"
    for name in LEFT_ALONE:
        with open(os.fsencode(served.path) + b"/incoming/" + name, "rb") as f:
            assert f.read() == name
    inside = served.path / "incoming" / "directory" / "x"
    assert inside.read_bytes() == b"inside"


def test_a_name_of_our_own_grammar_can_be_too_long(
    served: SpoolDir,
) -> None:
    """A file that looks minted but leaves no room for a claim harms none."""
    name = "4." + "0" * 20 + "," + "n" * 232
    assert len(name) == 255
    served.drop(name, b"long")
    still_works(served)
    served.drop("second.dat")
    served.wait("second.dat")
    assert b"long" in [
        (served.path / state / entry).read_bytes()
        for state in ("incoming", "failed")
        for entry in served.listed(state) if "n" * 232 in entry
    ]
    assert served.status()["trouble"] is None


def test_only_regular_files_run(served: SpoolDir) -> None:
    """Links are not followed, pipes do not block, sockets are no files."""
    with contextlib.chdir(served.path / "tmp"):
        for suffix in (".dat", ".job"):
            os.symlink("/etc/passwd", f"link{suffix}")
            os.symlink("/nowhere", f"dangling{suffix}")
            os.mkfifo(f"fifo{suffix}")
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(f"socket{suffix}")
        before = {name: os.lstat(name) for name in os.listdir(".")}
    for name in before:
        served.publish(name)
    reasons = {
        "link": "is a symbolic link", "dangling": "is a symbolic link",
        "fifo": "is a named pipe", "socket": "is a socket",
    }
    for name, status in before.items():
        failed = served.wait(name, "failed")
        assert reasons[name.partition(".")[0]] in failed.reason
        after = failed.path.lstat()
        assert (after.st_ino, after.st_mode) == (
            status.st_ino, status.st_mode
        )
        assert failed.out == b""
    still_works(served)


@pytest.mark.parametrize("name", ["secret.dat", "secret.job"])
def test_an_unreadable_file_fails_saying_so(
    spool: SpoolDir, spoold: Start, name: str
) -> None:
    """A file spoold may not read is filed with its mode and what to do."""
    spool.configure(CONFIG)
    command = [sys.executable, SPOOLD]
    if os.geteuid() == 0:
        # Root without its power to read everything.
        drop = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={drop}", *command]
    spoold(command=command)
    path = spool.write(name, document("show"))
    os.chmod(path, 0)
    spool.publish(name)
    failed = spool.wait(name, "failed")
    assert "not readable by spoold (mode 0000" in failed.reason
    failed.path.chmod(0o600)
    assert failed.data == document("show")
    still_works(spool)


def test_the_same_name_again_replaces_nothing(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Files of one name are all kept, wherever the earlier ones are."""
    gate = tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done; grep -q good"
    spool.configure(f"""
        [handler.photo]
        command = {toml_list("sh", "-c", wait)}
        match = ["photo.jpg"]
        concurrency = 1
        attempts = 1
        """)
    spoold()
    dropped = []

    def drop(data: bytes) -> None:
        spool.drop("photo.jpg", data)
        dropped.append(data)
        wait_until(lambda: len(spool.all("photo.jpg")) == len(dropped))

    drop(b"good, active")
    spool.wait("photo.jpg", "active")
    drop(b"good, waits")
    drop(b"bad, waits")
    drop(b"bad, waits too")
    assert len(spool.all("photo.jpg", "incoming")) == 3
    gate.touch()

    def settled(done: int, failed: int) -> bool:
        return (
            len(spool.all("photo.jpg", "done")) == done
            and len(spool.all("photo.jpg", "failed")) == failed
        )

    wait_until(lambda: settled(2, 2), what=spool.tree)
    drop(b"good, after")
    drop(b"bad, after")
    wait_until(lambda: settled(3, 3), what=spool.tree)
    assert spool.contents() == sorted(dropped)
    for job in spool.all("photo.jpg"):
        assert (job.state == "done") == job.data.startswith(b"good")


def test_a_copied_job_name_replaces_nothing(served: SpoolDir) -> None:
    """Files dropped under the very name of a done job keep their own."""
    served.drop("twin.dat", b"first")
    first = served.wait("twin.dat")
    fresh = str(first.name.waiting(0))
    for data in (b"second", b"third"):
        count = len(served.all("twin.dat", "done"))
        served.drop(fresh, data)
        wait_until(
            lambda: len(served.all("twin.dat", "done")) == count + 1,
            what=served.tree,
        )
    jobs = served.all("twin.dat", "done")
    assert {job.data for job in jobs} == {b"first", b"second", b"third"}
    assert {job.data: job.out.split()[0].decode() for job in jobs} == {
        data: hashlib.sha256(data).hexdigest()
        for data in (b"first", b"second", b"third")
    }


def test_what_is_being_written_is_not_touched(served: SpoolDir) -> None:
    """A half-written file under tmp/ stays, and is whole once it moves."""
    path = served.write("half.dat", b"half")
    still_works(served)
    with open(path, "ab") as stream:
        stream.write(b" and half")
    assert served.listed("tmp") == ["half.dat"]
    served.publish("half.dat")
    assert served.wait("half.dat").data == b"half and half"


def test_a_file_over_the_limit_is_refused(
    spool: SpoolDir, spoold: Start
) -> None:
    """A file larger than max_size fails before a byte of it is read."""
    spool.configure('max_size = "1K"\n' + CONFIG)
    spoold()
    spool.drop("big.dat", b"x" * 1025)
    assert "over max_size" in spool.wait("big.dat", "failed").reason
    spool.drop("fits.dat", b"x" * 1024)
    spool.wait("fits.dat")


def test_a_missing_program_fails_its_jobs_only(
    spool: SpoolDir, spoold: Start
) -> None:
    """A handler whose command does not exist says so, in its own jobs."""
    spool.configure(CONFIG + """
        [handler.gone]
        command = ["/no/such/program"]
        attempts = 2
        backoff = "10ms"
        """)
    spoold()
    spool.drop_job("x", "gone")
    failed = spool.wait("x.job", "failed")
    assert "cannot start /no/such/program" in failed.reason
    assert [kind for kind, _ in failed.kinds] == ["start", "start"]
    still_works(spool)


def test_a_handler_that_cannot_be_imported_fails_its_jobs_only(
    spool: SpoolDir, spoold: Start
) -> None:
    """A Python handler that does not load says so, in its own jobs."""
    spool.configure(CONFIG + """
        [handler.gone]
        python = "sample_handlers:no_such_function"
        attempts = 1
        [handler.noop]
        python = "sample_handlers:noop"
        """)
    spoold()
    spool.drop_job("x", "gone")
    failed = spool.wait("x.job", "failed")
    assert "cannot load sample_handlers:no_such_function" in failed.reason
    spool.drop_job("y", "noop")
    spool.wait("y.job")
    still_works(spool)


def test_many_strays_do_not_keep_a_drain_from_ending(
    spool: SpoolDir, spoold: Start
) -> None:
    """--drain ends although thousands of entries are left alone."""
    spool.configure(CONFIG)
    for number in range(1500):
        (spool.path / "incoming" / f".{number}").touch()
    spool.drop("x.dat")
    assert spoold("--drain", wait=False).wait() == 0
    spool.wait("x.dat")
    assert len(spool.listed("incoming")) == 1500


# What keeps spoold from starting.


def test_an_unknown_key_is_named(spool: SpoolDir) -> None:
    """A typo in spool.toml is refused with the nearest known key."""
    spool.configure("werkers = 3\n")
    result = run_spoold(spool.path)
    assert result.returncode == 78
    assert str(spool.path / "spool.toml") in result.stderr
    assert (
        "unknown key 'werkers', did you mean 'workers'?" in result.stderr
    )
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "missing", ["incoming", "active", "run"]
)
def test_a_missing_directory_is_named(spool: SpoolDir, missing: str) -> None:
    """A spool that lacks a directory is refused, with what to type."""
    shutil.rmtree(spool.path / missing)
    result = run_spoold(spool.path)
    assert result.returncode == 78
    assert f"{spool.path / missing}: missing directory" in result.stderr
    assert f"'spoolctl init {spool.path}'" in result.stderr


def test_no_spool_at_all_is_told(tmp_path: pathlib.Path) -> None:
    """A path that holds no spool is refused, with what to type."""
    result = run_spoold(tmp_path / "nothing")
    assert result.returncode == 78
    assert f"'spoolctl init {tmp_path / 'nothing'}'" in result.stderr


def test_one_spool_has_one_spoold(served: SpoolDir) -> None:
    """A second daemon on a spool ends at once and names the first."""
    result = run_spoold(served.path)
    assert result.returncode == 1
    pid = served.status()["pid"]
    assert "another spoold serves this spool" in result.stderr
    assert f"(pid {pid})" in result.stderr
    still_works(served)


@pytest.fixture
def mounted(spool: SpoolDir) -> Iterator[SpoolDir]:
    """A spool whose incoming/ lies on a file system of its own."""
    incoming = str(spool.path / "incoming")
    result = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", incoming],
        capture_output=True, text=True,
    )
    if result.returncode != 0:
        pytest.skip(f"cannot mount: {result.stderr.strip()}")
    yield spool
    subprocess.run(["umount", incoming], check=True)


def test_two_file_systems_are_refused(mounted: SpoolDir) -> None:
    """A spool spread over two file systems is refused, naming the place."""
    result = run_spoold(mounted.path)
    assert result.returncode == 78
    assert f"{mounted.path / 'incoming'}: lies on another" in result.stderr
