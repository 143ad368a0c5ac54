# SPDX-License-Identifier: MIT
"""The spool on disk: every legal move, walked on a real directory."""

import dataclasses
import errno
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from spooler import fsops, layout, names
from spooler import spool as spool_module
from spooler.client import Client
from spooler.errors import EX_CONFIG, EX_NOSUCH, ConfigError, SpoolError
from spooler.intake import Intake
from spooler.names import Name
from spooler.spool import DIRECTORIES, Spool
from spooler.states import MOVES, State

NOW_NS = 1_795_316_400 * 10**9
ID = names.mint_id(NOW_NS, 12345)
DUE = str(Name(5, ID, "x", due_ns=NOW_NS)).partition(".d")[2][:-2]
LATER = str(Name(5, ID, "x", due_ns=NOW_NS + 10**9)).partition(".d")[2][:-2]
LATEST_NS = 7_258_118_400 * 10**9
OWNER = "0000a01"
CLAIM = OWNER + "0123456789abcdefghijklmnopqrstuv"[:names.TOKEN_CHARS]
TWINS = [names.b32(number, names.TWIN_CHARS) for number in range(9)]
TOKEN = re.compile(rf"\.c{OWNER}[0-9a-v]{{{names.TOKEN_CHARS}}}")
TWIN = re.compile(rf"\.z[0-9a-v]{{{names.TWIN_CHARS}}}")


@dataclasses.dataclass(frozen=True)
class Row:
    """
    One row of the table, and how to walk it.

    Attributes:
        name: of the file before the move.
        walk: makes the move.
        after: its name after it; ``*`` for the claim's random part.
    """

    source: State
    event: str
    target: State
    name: str
    walk: Callable[[Spool, str], Any]
    after: str = ""


def row(
    source: State, event: str, target: State, name: str, after: str,
    *args: Any, state: bool = False,
) -> Row:
    """Describe a move that is called with the name and *args*."""
    def walk(spool: Spool, text: str) -> Any:
        first = (source, text) if state else (text,)
        return getattr(spool, event)(*first, *args)

    return Row(source, event, target, name, walk, after)


S = State
ROWS = (
    row(S.INCOMING, "admit", S.INCOMING, "photo.jpg", f"4.{ID},photo.jpg",
        Name(5, ID, "photo.jpg")),
    row(S.INCOMING, "delay", S.DEFERRED, f"4.{ID},mail.job",
        f"4.{ID}.d{DUE},mail.job", Name(5, ID, "mail.job", due_ns=NOW_NS)),
    row(S.INCOMING, "claim", S.ACTIVE, f"4.{ID},mail.job",
        f"4.{ID}.a1*,mail.job", OWNER),
    row(S.ACTIVE, "finish", S.DONE, f"4.{ID}.a2.c{CLAIM},mail.job",
        f"4.{ID}.a2.vok.r1234,mail.job", "ok", 1234),
    row(S.ACTIVE, "fail", S.FAILED, f"4.{ID}.hx.a2.c{CLAIM},mail.job",
        f"4.{ID}.hx.a2.vexit65.r0,mail.job", "exit65", 0),
    row(S.ACTIVE, "defer", S.DEFERRED, f"4.{ID}.a2.c{CLAIM},mail.job",
        f"4.{ID}.a2.d{DUE}.vexit1,mail.job", "exit1", NOW_NS),
    row(S.ACTIVE, "give_back", S.INCOMING, f"4.{ID}.a2.c{CLAIM},mail.job",
        f"4.{ID}.a1,mail.job"),
    row(S.ACTIVE, "recover", S.INCOMING, f"4.{ID}.a2.c{CLAIM},mail.job",
        f"4.{ID}.a2,mail.job"),
    row(S.ACTIVE, "twin", S.ACTIVE, f"4.{ID}.a2.c{CLAIM},mail.job",
        f"4.{ID}.a2*,mail.job"),
    row(S.DEFERRED, "retry", S.INCOMING, f"4.{ID}.a2.d{DUE}.vexit1,mail.job",
        f"4.{ID}.a2,mail.job"),
    row(S.DEFERRED, "reschedule", S.DEFERRED, f"4.{ID}.a2.d{DUE}.vlost,a.job",
        f"4.{ID}.a2.d{LATER}.vlost,a.job", NOW_NS + 10**9),
    row(S.INCOMING, "hold", S.HELD, f"4.{ID},mail.job", f"4.{ID},mail.job",
        state=True),
    row(S.DEFERRED, "hold", S.HELD, f"4.{ID}.a1.d{DUE}.vexit1,mail.job",
        f"4.{ID}.a1.d{DUE}.vexit1,mail.job", state=True),
    row(S.HELD, "release", S.INCOMING, f"4.{ID}.a1.d{DUE}.vexit1,mail.job",
        f"4.{ID}.a1.d{DUE},mail.job"),
    row(S.INCOMING, "remove", S.GONE, f"4.{ID},mail.job", "", state=True),
    row(S.DEFERRED, "remove", S.GONE, f"4.{ID}.d{DUE},mail.job", "",
        state=True),
    row(S.ACTIVE, "delete", S.GONE, f"4.{ID}.a1.c{CLAIM},mail.job", ""),
    row(S.HELD, "remove", S.GONE, f"4.{ID},mail.job", "", state=True),
    row(S.DONE, "requeue", S.INCOMING, f"4.{ID}.a3.vok.r12,mail.job",
        f"4.{ID}.b0,mail.job", state=True),
    row(S.FAILED, "requeue", S.INCOMING, f"4.{ID}.hx.a3.vexit1.r12,a.job",
        f"4.{ID}.hx.b0,a.job", state=True),
    row(S.DONE, "purge", S.GONE, f"4.{ID}.a1.vok.r12,mail.job", "",
        state=True),
    row(S.FAILED, "purge", S.GONE, f"4.{ID}.a1.vexit1.r12,mail.job", "",
        state=True),
)
RENAMES = tuple(row for row in ROWS if row.target is not S.GONE)
#: Those whose new name has no random part of its own.
PLAIN = tuple(row for row in RENAMES if row.event != "claim")
UNLINKS = tuple(row for row in ROWS if row.target is S.GONE)


def each(rows: tuple[Row, ...]) -> pytest.MarkDecorator:
    """Run a test once for each row."""
    return pytest.mark.parametrize(
        "move", rows,
        ids=[f"{row.source.value}-{row.event}" for row in rows],
    )


def where(spool: Spool, state: State) -> pathlib.Path:
    """The directory of a state."""
    return pathlib.Path(spool.path, state.value)


def put(
    spool: Spool, state: State, name: str, text: str = "job"
) -> pathlib.Path:
    """Lay a file into a state's directory."""
    path = where(spool, state) / name
    path.write_text(text)
    return path


def everything(spool: Spool) -> dict[str, str]:
    """Every job file of a spool, and what it holds."""
    return {
        f"{state.value}/{path.name}": path.read_text()
        for state in spool.fds
        for path in where(spool, state).iterdir()
    }


def fits(name: str, pattern: str) -> bool:
    """Whether a name is as expected but for its random parts."""
    return TWIN.sub("", TOKEN.sub("*", name)) == pattern


def test_every_move_is_walked_here() -> None:
    """The rows of this file are those of the table."""
    rows = {(row.source, row.event, row.target) for row in ROWS}
    table = {row[:3] for row in MOVES if row[1] != "submit"}
    assert rows == table and len(rows) == len(ROWS)


@each(RENAMES)
def test_a_move_is_one_rename(opened: Spool, move: Row) -> None:
    """The job is in its new state under its new name, the same file."""
    before = put(opened, move.source, move.name).stat()
    result = move.walk(opened, move.name)
    assert fits(result, move.after)
    assert everything(opened) == {f"{move.target.value}/{result}": "job"}
    after = (where(opened, move.target) / result).stat()
    assert (after.st_ino, after.st_nlink) == (before.st_ino, 1)
    assert after.st_mtime_ns == before.st_mtime_ns
    parsed = names.parse(result)
    assert parsed is not None and str(parsed) == result


@each(UNLINKS)
def test_removing_is_one_unlink(opened: Spool, move: Row) -> None:
    """The job is gone from everywhere, once."""
    put(opened, move.source, move.name)
    assert move.walk(opened, move.name) is True
    assert everything(opened) == {}
    assert move.walk(opened, move.name) is False


@each(RENAMES)
def test_a_lost_race_is_none(opened: Spool, move: Row) -> None:
    """Whoever comes second gets None, and leaves no trace."""
    put(opened, move.source, move.name)
    first = move.walk(opened, move.name)
    second = move.walk(opened, move.name)
    assert first is not None
    # Only twin has a name to go on with: that of the job it did not find.
    assert second == (move.name if move.event == "twin" else None)
    assert list(everything(opened)) == [f"{move.target.value}/{first}"]


@each(RENAMES)
def test_a_collision_makes_a_twin(opened: Spool, move: Row) -> None:
    """A second job of the same name clobbers nothing and is not lost."""
    put(opened, move.source, move.name, "first")
    first = move.walk(opened, move.name)
    put(opened, move.source, move.name, "second")
    second = move.walk(opened, move.name)
    assert first != second and fits(second, move.after)
    assert everything(opened) == {
        f"{move.target.value}/{first}": "first",
        f"{move.target.value}/{second}": "second",
    }
    one, other = names.parse(first), names.parse(second)
    assert one is not None and other is not None
    if move.event != "claim":
        assert other.twin and one.stem != other.stem


@each(PLAIN)
def test_a_twin_that_is_taken_too(
    opened: Spool, move: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A twin that exists already is drawn again."""
    draws = iter([twin for twin in TWINS for _ in range(3)])
    monkeypatch.setattr(spool_module, "mint_twin", lambda: next(draws))
    results = set()
    for text in ("one", "two", "three"):
        put(opened, move.source, move.name, text)
        results.add(move.walk(opened, move.name))
    assert len(results) == 3
    assert sorted(everything(opened).values()) == ["one", "three", "two"]


@each(RENAMES)
@pytest.mark.parametrize("which", ["source", "target"])
def test_a_removed_directory_is_no_lost_race(
    opened: Spool, move: Row, which: str
) -> None:
    """A directory that was removed is an error, and the job stays."""
    state = getattr(move, which)
    if state is not move.source:
        put(opened, move.source, move.name)
    where(opened, state).rmdir()
    with pytest.raises(FileNotFoundError):
        move.walk(opened, move.name)
    if state is not move.source:
        assert (where(opened, move.source) / move.name).exists()


@each(ROWS)
@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EXDEV, errno.EROFS],
    ids=errno.errorcode.get,
)
def test_an_error_leaves_the_job_where_it_was(
    opened: Spool, move: Row, number: int,
    monkeypatch: pytest.MonkeyPatch, broken: Callable[..., Any],
) -> None:
    """An error of the kernel is passed on and nothing has moved."""
    put(opened, move.source, move.name)
    broken(os, "rename", number)
    broken(os, "unlink", number)
    monkeypatch.setattr(fsops, "_renameat2", lambda *_: number)
    with pytest.raises(OSError) as caught:
        move.walk(opened, move.name)
    assert caught.value.errno == number
    assert list(everything(opened)) == [f"{move.source.value}/{move.name}"]


def test_submit_is_the_clients(opened: Spool) -> None:
    """The first move, tmp to incoming, is made by a producer's client."""
    assert not hasattr(opened, "submit")
    with Client(opened.path) as client:
        job_id = client.submit("mail", "a", body=b"b")
    (name,) = everything(opened)
    assert name == f"incoming/4.{job_id},mail.job"


def test_a_claim_is_counted_and_unguessable(opened: Spool) -> None:
    """A claim adds one run and 64 random bits, never the same twice."""
    seen = set()
    for number in range(100):
        # Without runs so far, it is not taken apart.
        runs = number // 2
        name = Name(5, names.mint_id(NOW_NS, number), "x.job", runs=runs)
        put(opened, State.INCOMING, str(name))
        active = opened.claim(str(name), OWNER)
        assert active is not None
        read = names.parse(active)
        assert read is not None and read.runs == runs + 1
        assert read.owner == OWNER
        seen.add(read.claim[names.OWNER_CHARS:])
    assert len(seen) == 100


def test_runs_are_counted_to_the_limit(opened: Spool) -> None:
    """The count of runs stays at its largest and the name legal."""
    name = str(Name(5, ID, "x", runs=names.MAX_RUNS))
    put(opened, State.INCOMING, name)
    active = opened.claim(name, OWNER)
    assert active is not None
    read = names.parse(active)
    assert read is not None and read.runs == names.MAX_RUNS


def test_a_claim_drops_what_an_earlier_run_left(opened: Spool) -> None:
    """Marks a person left by moving a file back do not survive a claim."""
    name = f"4.{ID}.hx.a1.d{DUE}.vexit1.r5.z{TWINS[1]},a.job"
    put(opened, State.INCOMING, name)
    active = opened.claim(name, OWNER)
    assert active is not None and fits(active, f"4.{ID}.hx.a2*,a.job")
    assert f".z{TWINS[1]}," in active


@pytest.mark.parametrize(
    "name",
    ["photo.jpg", "", "x" * 22 + ",photo.jpg", "4." + "w" * 20 + ",x"],
    ids=["dropped", "empty", "as long as a stem", "no id"],
)
def test_only_a_job_name_is_claimed(opened: Spool, name: str) -> None:
    """A name that is not of the grammar is the caller's bug."""
    if name:
        put(opened, State.INCOMING, name)
    with pytest.raises(ValueError, match="not a job name"):
        opened.claim(name, OWNER)
    assert not os.listdir(where(opened, State.ACTIVE))


@pytest.mark.parametrize(
    "owner", ["", "0000a011", "0000a.1"], ids=["none", "long", "alien"]
)
def test_only_an_owner_claims(opened: Spool, owner: str) -> None:
    """A claim by a malformed owner is refused and nothing touched."""
    for name in (f"4.{ID},x", f"4.{ID}.a1,x"):
        put(opened, State.INCOMING, name)
        with pytest.raises(ValueError):
            opened.claim(name, owner)
    assert not os.listdir(where(opened, State.ACTIVE))


@pytest.mark.parametrize(
    "event, args",
    [("finish", ("ok", 1)), ("fail", ("exit1", 1)), ("defer", ("exit1", 1)),
     ("give_back", ()), ("recover", ()), ("retry", ())],
)
def test_only_a_job_name_is_moved(
    opened: Spool, event: str, args: tuple[Any, ...]
) -> None:
    """A file that is no job is never given a verdict."""
    with pytest.raises(ValueError, match="not a job name"):
        getattr(opened, event)("photo.jpg", *args)


def test_a_run_given_back_costs_nothing(opened: Spool) -> None:
    """A first run that was cut short by us was never counted."""
    put(opened, State.ACTIVE, f"4.{ID}.a1.c{CLAIM},x")
    assert opened.give_back(f"4.{ID}.a1.c{CLAIM},x") == f"4.{ID},x"


def test_a_very_long_run(opened: Spool) -> None:
    """A run too long for the name is told by the record alone."""
    active = f"4.{ID}.a1.c{CLAIM},x"
    for micros, after in (
        (names.MAX_MICROSECONDS, f"4.{ID}.a1.vok.r9999999999,x"),
        (names.MAX_MICROSECONDS + 1, f"4.{ID}.a1.vok,x"),
    ):
        put(opened, State.ACTIVE, active)
        assert opened.finish(active, "ok", micros) == after


@pytest.mark.parametrize(
    "held, after",
    [
        (f"4.{ID},x", f"4.{ID},x"),
        (f"4.{ID}.d{DUE},x", f"4.{ID}.d{DUE},x"),
        (f"4.{ID}.a1.d{DUE}.vexit1,x", f"4.{ID}.a1.d{DUE},x"),
        ("photo.jpg", "photo.jpg"),
    ],
)
def test_release(opened: Spool, held: str, after: str) -> None:
    """A released job waits as it did: due time and count are kept."""
    put(opened, State.HELD, held)
    assert opened.release(held) == after


def test_a_release_makes_a_twin(opened: Spool) -> None:
    """A held job whose name is taken in the meantime can be released."""
    put(opened, State.HELD, f"4.{ID},x", "held")
    put(opened, State.INCOMING, f"4.{ID},x", "waiting")
    released = opened.release(f"4.{ID},x")
    assert released is not None and fits(released, f"4.{ID},x")
    assert sorted(everything(opened).values()) == ["held", "waiting"]


@pytest.mark.parametrize("event", ["hold", "release"])
def test_a_dropped_name_is_not_clobbered(opened: Spool, event: str) -> None:
    """A file not yet admitted can have no twin; both files stay."""
    put(opened, State.INCOMING, "photo.jpg", "one")
    put(opened, State.HELD, "photo.jpg", "other")
    with pytest.raises(FileExistsError):
        if event == "hold":
            opened.hold(State.INCOMING, "photo.jpg")
        else:
            opened.release("photo.jpg")
    assert sorted(everything(opened).values()) == ["one", "other"]


def test_finish_plain(opened: Spool) -> None:
    """The short way moves, or says False and touches nothing."""
    active, final = f"4.{ID}.a1.c{CLAIM},x", f"4.{ID}.a1.vok.r5,x"
    assert opened.finish_plain(active, final) is False
    put(opened, State.ACTIVE, active, "one")
    assert opened.finish_plain(active, final) is True
    put(opened, State.ACTIVE, active, "other")
    assert opened.finish_plain(active, final) is False
    assert everything(opened) == {
        f"done/{final}": "one", f"active/{active}": "other"
    }


@pytest.mark.parametrize(
    "tail, handler",
    [("p" * names.DROP_MAX_BYTES, None),
     ("d" * (names.DROP_DOCUMENT_MAX_BYTES - 4) + ".job", "h" * 32)],
    ids=["payload", "document"],
)
def test_the_longest_names_are_walked(
    opened: Spool, tail: str, handler: str | None
) -> None:
    """The longest legal names go through every state of a real disk."""
    put(opened, State.INCOMING, tail)
    name = Name(5, ID, tail, handler, due_ns=NOW_NS)
    deferred = opened.delay(tail, name)
    assert deferred is not None
    incoming = opened.retry(deferred)
    assert incoming is not None
    many = str(Name(5, ID, tail, handler, runs=names.MAX_RUNS - 1))
    os.rename(
        where(opened, S.INCOMING) / incoming, where(opened, S.INCOMING) / many
    )
    active = opened.claim(many, OWNER)
    assert active is not None
    deferred = opened.defer(active, "timeout", LATEST_NS)
    assert deferred is not None
    held = opened.hold(State.DEFERRED, deferred)
    assert held is not None
    released = opened.release(held)
    assert released is not None
    active = opened.claim(released, OWNER)
    assert active is not None
    final = opened.fail(active, "timeout", names.MAX_MICROSECONDS)
    assert final is not None and names.parse(final) is not None
    back = opened.requeue(State.FAILED, final)
    assert back is not None
    assert names.parse(back).tail == tail  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "entry",
    [
        f"4.{ID}," + "x" * 230,
        f"4.{ID}.hmail," + "x" * 210 + ".job",
        f"4.{ID}.h{'h' * 32}.a998.z{TWINS[0]}," + "d" * 180 + ".job",
        "p" * names.DROP_MAX_BYTES,
    ],
    ids=["minted", "with handler", "every field", "dropped"],
)
def test_what_is_taken_in_can_be_claimed(opened: Spool, entry: str) -> None:
    """No name a producer can choose makes a claim fail."""
    put(opened, State.INCOMING, entry)
    taken = Intake(opened).take_in(entry, False)
    if taken is not None:
        assert opened.claim(taken[0], OWNER) is not None


@pytest.mark.parametrize("state", [S.TMP, S.INCOMING, S.DONE])
def test_a_directory_in_its_place(opened: Spool, state: State) -> None:
    """A directory that still is the spool's is told as it is."""
    assert opened.in_place(state).st_ino == where(opened, state).stat().st_ino


@pytest.mark.parametrize("way", ["removed", "replaced", "link"])
def test_a_directory_out_of_its_place(opened: Spool, way: str) -> None:
    """A directory that is no longer the one opened is an error naming it."""
    path = where(opened, State.INCOMING)
    path.rename(path.parent / "aside")
    if way == "replaced":
        path.mkdir()
    elif way == "link":
        path.symlink_to("aside")
    with pytest.raises(OSError) as caught:
        opened.in_place(State.INCOMING)
    assert str(path) in fsops.why(caught.value)


def test_scan(opened: Spool) -> None:
    """A scan yields every entry once, and two scans do not disturb."""
    for number in range(50):
        put(opened, State.DONE, f"{number}")
    first = opened.scan(State.DONE)
    one = {next(first).name}
    other = {entry.name for entry in opened.scan(State.DONE)}
    one |= {entry.name for entry in first}
    assert one == other == {f"{number}" for number in range(50)}
    assert list(opened.scan(State.FAILED)) == []


def test_a_scan_that_is_given_up_leaks_nothing(opened: Spool) -> None:
    """A scan that was not read to its end leaves no descriptor open."""
    put(opened, State.DONE, "a")
    before = len(os.listdir("/proc/self/fd"))
    scan = opened.scan(State.DONE)
    next(scan)
    scan.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) <= before


def test_no_spool(tmp_path: pathlib.Path) -> None:
    """A path without a spool says how to make one, with its own status."""
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(SpoolError) as caught:
            Spool(str(path))
        assert caught.value.status == EX_NOSUCH
        assert f"spoolctl init {path}" in str(caught.value)


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_missing_directory_is_named(
    tmp_path: pathlib.Path, name: str
) -> None:
    """A spool that lost a directory says which, and leaks nothing."""
    layout.create(str(tmp_path))
    shutil.rmtree(tmp_path / name)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConfigError) as caught:
        Spool(str(tmp_path))
    assert caught.value.status == EX_CONFIG
    assert f"{tmp_path}/{name}: missing directory" in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_directory_that_is_none(
    tmp_path: pathlib.Path, name: str, kind: str
) -> None:
    """A file or a link where a directory belongs is refused by name."""
    layout.create(str(tmp_path))
    shutil.rmtree(tmp_path / name)
    if kind == "file":
        (tmp_path / name).touch()
    else:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError) as caught:
        Spool(str(tmp_path))
    assert str(caught.value) == f"{tmp_path}/{name}: not a directory"


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_directory_on_another_device(
    tmp_path: pathlib.Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is a mount of its own is refused by name."""
    layout.create(str(tmp_path))
    inode, real = (tmp_path / name).stat().st_ino, os.fstat

    def fstat(fd: int) -> Any:
        status = real(fd)
        if status.st_ino != inode:
            return status
        fields = list(status)
        fields[2] += 1  # st_dev
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(ConfigError) as caught:
        Spool(str(tmp_path))
    monkeypatch.undo()
    assert caught.value.status == EX_CONFIG
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/{name}: lies on another file system")


def test_a_spool_one_may_not_read(
    tmp_path: pathlib.Path, broken: Callable[..., Any]
) -> None:
    """The kernel's refusal is passed on as it is, and nothing leaks."""
    layout.create(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    broken(os, "open", errno.EACCES, skip=3)
    with pytest.raises(PermissionError):
        Spool(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) <= before


def test_closing(tmp_path: pathlib.Path) -> None:
    """A closed spool leaves no descriptor, and may be closed twice."""
    layout.create(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    with Spool(str(tmp_path)) as spool:
        assert len(os.listdir("/proc/self/fd")) > before
    spool.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_path_is_made_absolute(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spool opened by a relative path survives a change of directory."""
    layout.create(str(tmp_path / "spool"))
    monkeypatch.chdir(tmp_path)
    with Spool("spool") as spool:
        assert spool.path == str(tmp_path / "spool")


def test_with_standard_input_closed(tmp_path: pathlib.Path) -> None:
    """Descriptor 0 is a descriptor like any other."""
    layout.create(str(tmp_path))
    script = (
        "import os, sys\n"
        "from spooler.spool import Spool\n"
        "os.close(0)\n"
        "with Spool(sys.argv[1]) as spool:\n"
        "    for state, fd in spool.fds.items():\n"
        "        here = os.readlink(f'/proc/self/fd/{fd}')\n"
        "        assert os.path.basename(here) == state.value, here\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr[-300:]


def test_strange_paths_are_shown_inert(tmp_path: pathlib.Path) -> None:
    """A path with control characters cannot reach a terminal."""
    with pytest.raises(SpoolError) as caught:
        Spool(str(tmp_path / "\x1b[2J"))
    assert str(caught.value).isprintable()
