# SPDX-License-Identifier: MIT
"""spoolctl submit: what it is told is what lies in incoming/."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from spooler import jobload, names, units

from .harness import (
    NS,
    SPOOLCTL,
    TIMEOUT_S,
    Cli,
    Served,
    as_nobody,
    new_id,
    until,
)

ID = re.compile("[0-9a-v]{20}")
#: The same submit, done without click and with it.
WAYS = pytest.mark.parametrize("more", [(), ("--",)], ids=["fast", "click"])


def due_in(name: names.Name) -> float:
    """Seconds until a job is due."""
    assert name.due_ns is not None
    return (name.due_ns - time.time_ns()) / NS


# The fast path.


@pytest.mark.parametrize(("fast", "click"), [
    (("mail", "", " a b ", "é漢"), ("--", "mail", "", " a b ", "é漢")),
    (("-p", "9", "mail", "two\nlines"), ("mail", "two\nlines", "-p9")),
    (("--relaxed", "-p", "2", "mail"), ("mail", "--relaxed", "-p2")),
])
def test_both_paths_submit_the_same(
    cli: Cli, fast: tuple[str, ...], click: tuple[str, ...]
) -> None:
    """Whichever code does a submit, the same job comes of it."""
    seen = []
    for words in fast, click:
        done = cli("submit", *words)
        name, data = cli.only()
        assert done.lines == [name.id] and done.err == ""
        (cli.path / "incoming" / str(name)).unlink()
        seen.append((name.priority, name.tail, name.due_ns, data))
    assert seen[0] == seen[1]
    assert cli.listed("tmp") == []


def test_a_plain_submit_imports_little(cli: Cli) -> None:
    """Scripts call it in loops: click, watchdog and json stay away."""
    done = cli(argv=[
        sys.executable, "-X", "importtime", SPOOLCTL, "-C", str(cli.path),
        "submit", "-p", "3", "--relaxed", "mail", "ann",
    ])
    loaded = {
        line.rpartition("|")[2].strip()
        for line in done.err.splitlines() if line.startswith("import time:")
    }
    assert "spooler.client" in loaded
    assert not loaded & {
        "click", "watchdog", "filelock", "json", "rich", "ctypes", "typing",
    }
    assert cli.only()[0].priority == 3


@pytest.mark.parametrize("words", [
    ("../x",), ("x" * 33,), ("",), ("--", "é"),
])
def test_an_impossible_handler_is_refused(
    cli: Cli, words: tuple[str, ...]
) -> None:
    """What cannot be a handler's name exits 2, and nothing is left."""
    done = cli("submit", *words, status=2)
    assert "handler's name" in done.err and done.out == ""
    assert cli.listed("tmp") == cli.listed("incoming") == []


@WAYS
def test_no_spool_is_said(cli: Cli, more: tuple[str, ...]) -> None:
    """Where there is no spool submit exits 4 and says how to make one."""
    shutil.rmtree(cli.path)
    done = cli("submit", *more, "mail", status=4)
    assert f"spoolctl init {cli.path}" in done.err and done.out == ""
    assert not cli.path.exists()


@WAYS
def test_a_path_too_long_is_no_crash(
    cli: Cli, more: tuple[str, ...]
) -> None:
    """A path the kernel refuses ends in a message, on both paths."""
    far = "x" * 300
    done = cli(
        status=None,
        argv=[sys.executable, SPOOLCTL, "-C", far, "submit", *more, "mail"],
    )
    assert done.status in (1, 4) and far in done.err


@WAYS
def test_who_may_not_submit_is_told(
    public: Cli, more: tuple[str, ...]
) -> None:
    """A user whom the modes keep out gets 77 and a word why."""
    words = ["submit", *more, "mail"]
    if os.getuid():
        (public.path / "tmp").chmod(0o500)
        done = public(*words, status=77)
    else:
        done = public(argv=as_nobody(public, *words), status=77)
    assert done.err and done.out == ""
    assert public.listed("tmp") == public.listed("incoming") == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("words", [
    ("mail", "ann"), ("--file", "notes.txt"), ("--batch", "mail"),
])
def test_everybody_can_submit_where_anyone_may(
    public: Cli, words: tuple[str, ...]
) -> None:
    """In a spool for anyone every user submits, and spoold can read it."""
    shutil.rmtree(public.path)
    public("init", "--anyone", str(public.path))
    (public.path.parent / "notes.txt").write_text("x")
    done = public(
        argv=as_nobody(public, "submit", *words), input="ann\n",
        cwd=public.path.parent,
    )
    name, _ = public.only()
    assert done.lines == [name.id]
    status = (public.path / "incoming" / str(name)).stat()
    assert status.st_mode & 0o777 == 0o640
    assert status.st_gid == (public.path / "incoming").stat().st_gid


# Options.


def test_every_option_reaches_the_job(cli: Cli) -> None:
    """Options land in the name or in the document, each as it was typed."""
    cli(
        "submit", "mail", "ann", "-p", "8", "--in", "1h30m", "--timeout",
        "90s", "--attempts", "4", "--key", "k 1", "--tag", "a", "--tag", "é",
    )
    name, document, body = cli.document()
    assert (name.priority, name.told_handler) == (8, "mail")
    assert 5390 < due_in(name) <= 5400
    assert document.args == ["ann"] and body == b""
    assert (document.timeout_s, document.attempts) == (90.0, 4)
    assert (document.key, document.tags) == ("k 1", ["a", "é"])


@pytest.mark.parametrize(("typed", "seconds"), [
    ("12d", 1036800.0), ("1.5s", 1.5),
])
def test_a_timeout_is_kept_exactly(
    cli: Cli, typed: str, seconds: float
) -> None:
    """A timeout of any length is one that spoold can read again."""
    cli("submit", "--timeout", typed, "mail")
    assert cli.document()[1].timeout_s == seconds


@pytest.mark.parametrize("typed", [
    "2031-02-03T05:05:06+01:00", "@1927857906",
])
def test_at_is_a_moment(cli: Cli, typed: str) -> None:
    """--at takes RFC 3339 and seconds of the epoch into the name."""
    cli("submit", "mail", "--at", typed)
    assert cli.only()[0].due_ns == units.parse_moment("2031-02-03T04:05:06Z")


def test_due_jobs_wait(served: Served) -> None:
    """spoold puts a job that is not yet due aside, and ls says for how
    long."""
    job_id = served.submit("--in", "2h", "sh", "true")
    served.await_state(job_id, "deferred")
    (row,) = served("ls").rows
    assert row[2] == "deferred" and row[6].startswith(("in 2h", "in 1h59m"))


@pytest.mark.parametrize("words", [
    (), ("-p", "10", "mail"), ("--in", "soon", "mail"),
    ("--in", "1s", "--at", "@1", "mail"), ("--timeout", "-1s", "mail"),
    ("-i", "/no/such/file", "mail"), ("--file", "--tag", "t", "x"),
    ("--batch", "-p", "7"), ("--id", "short", "mail"), ("mail", b"\xff"),
])
def test_usage_errors_submit_nothing(
    cli: Cli, words: tuple[str | bytes, ...]
) -> None:
    """What was typed wrong exits 2, with a word why, and leaves nothing."""
    done = cli("submit", *words, status=2)
    assert done.err and done.out == ""
    assert cli.listed("tmp") == cli.listed("incoming") == []


def test_the_body_comes_from_a_file(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """-i FILE is the body, byte by byte."""
    data = bytes(range(256)) * 8192
    (tmp_path / "body").write_bytes(data)
    cli("submit", "mail", "-i", str(tmp_path / "body"))
    _, document, body = cli.document()
    assert body == data and document.length == len(data)


@pytest.mark.parametrize("arg", ["plain", "two\nlines"])
def test_the_body_comes_from_standard_input(cli: Cli, arg: str) -> None:
    """-i - takes standard input, whatever form the document has."""
    data = b"\0\xff\r\n\n-- \n"
    cli("submit", "mail", arg, "-i", "-", input=data)
    _, document, body = cli.document()
    assert (document.args, body) == ([arg], data)


def test_arguments_arrive_unchanged(served: Served) -> None:
    """Newlines, dashes, blanks, escapes, every alphabet: as typed."""
    args = [
        "two\nlines", "-n", "--", "--help", "é漢🎉", "", " lead", "tail ",
        "cr\r", "\r\n", "tab\t", "\x1b[31m", "a: b", '"q"', "\\n", "%s",
    ]
    job_id = served.settled("echo", "--", *args)
    assert served("log", job_id).raw.decode() == "".join(
        f"{arg}|" for arg in args
    )
    # The same without a newline is the other form of a document.
    plain = [arg for arg in args if not set(arg) & set("\r\n")]
    job_id = served.settled("echo", "--", *plain)
    assert served("log", job_id).raw.decode() == "".join(
        f"{arg}|" for arg in plain
    )


@pytest.mark.parametrize("case", ["many", "long", "json"])
def test_what_was_accepted_can_run(
    cli: Cli, tmp_path: pathlib.Path, case: str
) -> None:
    """A job too large for spoold is refused at submit, never confirmed."""
    (tmp_path / "body").write_bytes(b"x" * (1 << 20))
    words = {
        "many": ["echo", *map(str, range(1200))],
        "long": ["echo", "x" * 70_000],
        "json": ["cat", "two\nlines", "-i", str(tmp_path / "body")],
    }[case]
    done = cli("submit", *words, status=None)
    if done.status:
        assert done.status == 2 and done.out == ""
        assert cli.listed("tmp") == cli.listed("incoming") == []
        return
    fd = os.open(cli.path / "incoming", os.O_RDONLY)
    try:
        jobload.load(fd, str(cli.only()[0]), True, 1 << 30).close()
    finally:
        os.close(fd)


# --file


@pytest.mark.parametrize("tail", [
    b"a b, c.txt", b"-rf\nnew line", b"\xff\xfe.bin", b"x" * 200,
])
def test_a_file_is_copied_as_it_is(
    cli: Cli, tmp_path: pathlib.Path, tail: bytes
) -> None:
    """--file keeps bytes, name and original; -p and --in go to the name."""
    source = os.fsencode(tmp_path) + b"/" + tail
    with open(source, "wb") as file:
        file.write(bytes(range(256)))
    done = cli("submit", "--file", "-p", "7", "--in", "5m", source)
    name, data = cli.only()
    assert done.lines == [name.id] and name.priority == 7
    assert os.fsencode(name.tail) == tail and data == bytes(range(256))
    assert 290 < due_in(name) <= 300
    assert os.path.exists(source)
    assert cli.listed("tmp") == []


def test_files_are_routed_by_name(
    served: Served, tmp_path: pathlib.Path
) -> None:
    """Payloads find a handler by their names, documents tell it."""
    for number in 1, 2:
        (tmp_path / f"{number}.txt").write_text("a word " * number)
    (tmp_path / "my.job").write_bytes(
        b"Handler: echo\nArg: hi\nPriority: 8\n\n"
    )
    one, two, job = served(
        "submit", "--wait", "--file", "1.txt", "2.txt", "my.job",
        cwd=tmp_path,
    ).lines
    assert int(served("log", one).out) == 2
    assert int(served("log", "2.txt").out) == 4
    assert served("log", job).raw == b"hi|"
    shown = served("show", "--json", "my.job").object
    assert (shown["id"], shown["handler"], shown["priority"]) == (
        job, "echo", 8
    )


def test_options_hold_for_a_dropped_document(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """-p and --in are not ignored where the document leaves them open."""
    (tmp_path / "my.job").write_bytes(b"Handler: echo\n\n")
    cli("submit", "--file", "-p8", "--in", "1h", str(tmp_path / "my.job"))
    name = cli.only()[0]
    assert (name.tail, name.told_handler) == ("my.job", "echo")
    assert name.priority == 8
    assert 3590 < due_in(name) <= 3600


@pytest.mark.parametrize("tail", [
    ".hidden", "draft~", "x.part", "x" * 201, "x" * 157 + ".job", "bad.job",
])
def test_an_illegal_file_is_refused(
    cli: Cli, tmp_path: pathlib.Path, tail: str
) -> None:
    """What spoold would leave alone or fail exits 2, and leaves nothing."""
    (tmp_path / tail).write_text("no document\n")
    done = cli("submit", "--file", str(tmp_path / tail), status=2)
    assert done.err and done.out == ""
    assert cli.listed("tmp") == cli.listed("incoming") == []


@pytest.mark.parametrize("tail", ["missing", "directory", "directory/"])
def test_what_is_no_file_is_refused(
    cli: Cli, tmp_path: pathlib.Path, tail: str
) -> None:
    """A missing file or a directory is named, and nothing is left."""
    (tmp_path / "directory").mkdir()
    done = cli("submit", "--file", f"{tmp_path}/{tail}", status=None)
    assert done.status in (1, 2) and tail in done.err and done.out == ""
    assert cli.listed("tmp") == cli.listed("incoming") == []


# --batch


def test_a_batch_with_a_handler(cli: Cli) -> None:
    """Each line is the last argument of one job; ids come in order."""
    lines = [f"line {number}" for number in range(1234)] + ["  two  é\t"]
    text = "\n\n".join(lines)  # empty lines are none, and no newline ends
    done = cli("submit", "--batch", "mail", "to", input=text)
    assert len(set(done.lines)) == len(lines) == 1235
    assert all(map(ID.fullmatch, done.lines))
    assert cli.listed("tmp") == []
    parsed = [names.parse(entry) for entry in cli.listed("incoming")]
    assert [name.id for name in parsed if name] == done.lines
    for number in 0, 1000, 1234:
        data = cli.path / "incoming" / str(parsed[number])
        text = data.read_bytes().decode()
        assert f"\nArg: to\nArg: {lines[number]}\nLength: 0\n\n" in text


def test_a_batch_without_a_handler(cli: Cli) -> None:
    """Each line is a handler and arguments, in words as a shell's."""
    cli("submit", "--batch", input="mail 'a b' \"c\\\"d\" e\\ f ''\n")
    name, document, _ = cli.document()
    assert name.told_handler == "mail"
    assert document.args == ["a b", 'c"d', "e f", ""]


def test_an_empty_batch_is_no_job(cli: Cli) -> None:
    """No lines, no jobs, no error."""
    done = cli("submit", "--batch", "mail", input="\n \n")
    assert done.raw == b"" and cli.listed("incoming") == []


@pytest.mark.parametrize("line", [
    b"mail 'open", b"not/a/handler x", b"mail a\0b", b"mail \xff",
])
def test_a_bad_line_is_refused(cli: Cli, line: bytes) -> None:
    """A line that is no job exits 2, names the line, submits nothing."""
    done = cli(
        "submit", "--batch", input=b"mail good\n" + line + b"\n", status=2
    )
    assert done.out == ""
    assert cli.listed("tmp") == cli.listed("incoming") == []
    assert "line 2" in done.err


# --wait


def test_wait_exits_as_the_job(served: Served) -> None:
    """submit --wait prints ids, and exits as the one job, or 0 or 1."""
    for script, status in ("exit 0", 0), ("exit 7", 7):
        done = served("submit", "--wait", "sh", script, status=status)
        assert ID.fullmatch(done.out.strip())
    done = served("submit", "--batch", "--wait", "sh", input="true\ntrue\n")
    assert [served.state_of(job_id) for job_id in done.lines] == ["done"] * 2
    served("submit", "--batch", "--wait", "sh", input="exit 7\ntrue\n",
           status=1)


def test_wait_can_be_limited(cli: Cli) -> None:
    """submit --wait --timeout gives up with 124; the job stays."""
    done = cli(
        "submit", "mail", "--wait", "--timeout", "50ms", status=124
    )
    name, document, _ = cli.document()
    assert done.lines == [name.id], "the id is told nevertheless"
    assert document.timeout_s is None


def test_wait_tells_the_id_at_once(cli: Cli) -> None:
    """The id is there before the job ends, and Ctrl-C ends only the wait."""
    process = cli.start("submit", "--wait", "mail")
    assert process.stdout is not None
    job_id = process.stdout.readline().decode().strip()
    assert cli.state_of(job_id) == "incoming"
    process.send_signal(signal.SIGINT)
    cli.ended(process, status=130)
    assert cli.state_of(job_id) == "incoming"


# --id


def test_a_second_try_is_the_same_job(cli: Cli) -> None:
    """The same id twice is one job, with the first one's content."""
    job_id = new_id()
    for arg in "first", "second":
        assert cli("submit", "--id", job_id, "mail", arg).lines == [job_id]
    assert cli.document()[1].args == ["first"]
    assert cli.listed("tmp") == []


def test_a_second_try_of_a_file_is_the_same_job(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    """--id goes with one file, too, and with no more than one."""
    (tmp_path / "a.txt").write_text("x")
    job_id = new_id()
    words = "submit", "--file", "--id", job_id, str(tmp_path / "a.txt")
    assert cli(*words).lines == cli(*words).lines == [job_id]
    cli(*words, str(tmp_path / "a.txt"), status=2)
    assert cli.only()[0].id == job_id


def test_a_second_try_is_not_run_again(served: Served) -> None:
    """A job that is done, or put off, is not there twice for a second
    try."""
    mark = served.path.parent / "mark"
    script = f"echo run >> {mark}"
    done = served.settled("sh", script)
    later = served.submit("--in", "1h", "sh", script)
    served.await_state(later, "deferred")
    served.submit("--id", done, "sh", script)
    served.submit("--id", later, "--in", "1h", "sh", script)
    until(lambda: not served.listed("incoming"))
    assert served("check").out == ""
    assert sorted(served("ls", "all", "-q").lines) == [done, later]
    assert mark.read_text() == "run\n"


#: Lets the flush after the rename fail, as a dying disk does.
DYING_DISK = """\
import errno, os, runpy, sys
sys.argv[:] = sys.argv[1:]
real, calls = os.fsync, []
def fsync(fd):
    calls.append(fd)
    if len(calls) == 2:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    real(fd)
os.fsync = fsync
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@WAYS
def test_an_unconfirmed_submit_is_told(
    cli: Cli, more: tuple[str, ...]
) -> None:
    """If the disk may have lost it: 75, and the id to try again with."""
    argv = cli.argv("submit", *more, "mail")
    done = cli(argv=[argv[0], "-c", DYING_DISK, *argv[1:]], status=75)
    name, _ = cli.only()
    assert f"--id {name.id}" in done.err
    assert done.lines == [name.id], "a script can take it from stdout"


# A full disk.

FULL = """\
exec 2>&1
mount -t tmpfs -o "$3" spool-test "$2" || exit 99
ctl="$0 $1 -C $2/spool"
$ctl init $2/spool 2>/dev/null || exit 98
head -c 100000 /dev/zero > $2/big.txt || exit 98
: > $2/small.txt
n=0
while head -c 4096 /dev/zero > $2/fill$n; do n=$((n+1)); done 2>/dev/null
rm -f $2/fill$n
if test "$4"; then head -c 4096 /dev/zero >> $2/fill0 2>/dev/null; fi
$ctl submit mail; echo "fast=$?"
$ctl submit -- mail; echo "click=$?"
$ctl submit --file $2/big.txt; echo "file=$?"
echo a | $ctl submit --batch mail; echo "batch=$?"
echo "left=$(ls $2/spool/tmp $2/spool/incoming | grep -c ,)"
rm -f $2/fill*
$ctl submit mail; echo "after=$?"
"""


@pytest.mark.parametrize("options", [
    "size=400k,mode=755", "size=8M,nr_inodes=40,mode=755",
], ids=["blocks", "inodes"])
def test_a_full_disk_is_temporary(
    cli: Cli, tmp_path: pathlib.Path, options: str
) -> None:
    """Without space or inodes submit exits 75 and leaves nothing; then it
    works again."""
    # In a name space of its own: nobody else sees the mount.
    unshare = ["unshare", "--mount"]
    if os.getuid():
        unshare += ["--map-root-user"]
    (tmp_path / "disk").mkdir()
    try:
        ended = subprocess.run(
            [*unshare, "sh", "-c", FULL, sys.executable, SPOOLCTL,
             str(tmp_path / "disk"), options],
            capture_output=True, text=True, timeout=TIMEOUT_S,
            env=cli.environ,
        )
    except FileNotFoundError:
        pytest.skip("no unshare(1) here")
    if ended.returncode == 99 or "unshare failed" in ended.stderr:
        pytest.skip(f"cannot mount: {ended.stderr}{ended.stdout}")
    assert ended.returncode == 0, ended.stdout
    told = dict(re.findall(r"^(\w+)=(\d+)$", ended.stdout, re.MULTILINE))
    assert told == {
        "fast": "75", "click": "75", "file": "75", "batch": "75",
        "left": "0", "after": "0",
    }, ended.stdout
    assert ended.stdout.count("disk is full") == 4
    assert "Traceback" not in ended.stdout
