# SPDX-License-Identifier: MIT
"""Keys: one job stands for all that are alike, for as long as was said."""

import dataclasses
import errno
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from spooler import check, fsops, holding, keys, layout, names, repair, tenure
from spooler.client import Client
from spooler.config import Config
from spooler.errors import SpoolClosed, SpoolError, SubmitUnknown
from spooler.intake import Intake
from spooler.keyring import KeyRing
from spooler.keys import DONE, UNTIL, WAITING, Holder
from spooler.names import Name
from spooler.spool import Spool
from spooler.states import State

KEY = keys.key_of("mail", "ann")
OWNER = "0" * names.OWNER_CHARS
NS = 10**9
MINUTE_NS = 60 * NS


@dataclasses.dataclass
class Clock:
    """The wall clock of this process."""

    now_ns: int

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that only the test sets."""
    made = Clock(1_795_000_000 * NS)
    for clock in ("time.time_ns", "spooler.client.now_ns",
                  "spooler.holding.now_ns"):
        monkeypatch.setattr(clock, made)
    return made


@pytest.fixture
def client(opened: Spool) -> Iterator[Client]:
    """A producer that runs as the spool's owner."""
    with Client(opened.path) as made:
        yield made


def submit(client: Client, unique: float | str, **more: Any) -> str:
    """Submit a job of the key; the id that stands for it."""
    return client.submit_unique("mail", key="ann", unique=unique, **more)[0]


def waiting(spool: Spool) -> list[str]:
    """What lies in ``incoming/``."""
    return sorted(entry.name for entry in spool.scan(State.INCOMING))


def claim(spool: Spool, job_id: str) -> str:
    """Claim the waiting job of that id."""
    (entry,) = (name for name in waiting(spool) if job_id in name)
    active = spool.claim(entry, OWNER)
    assert active is not None
    return active


def held(spool: Spool) -> list[str]:
    """The keys that are held."""
    return sorted(key for key, _ in tenure.listed(spool))


def found(spool: Spool) -> list[tuple[int, str]]:
    """What check finds, by number and path."""
    return [
        (finding.number, finding.path)
        for finding in check.check(spool, lambda _: False)
    ]


# What is written.


def test_keys_are_of_a_handler() -> None:
    """The same text is another key for another handler."""
    assert KEY == keys.key_of("mail", "ann")
    others = {
        keys.key_of(handler, text) for handler, text in
        (("mail", "bob"), ("mai", "lann"), ("x", "ann"), ("mail", "\udc80"))
    }
    assert len(others | {KEY}) == 5
    assert all(
        len(key) == names.KEY_CHARS and not key.strip(names.DIGITS)
        for key in others
    )


@pytest.mark.parametrize(("kind", "until_ns"), [
    (WAITING, 0), (DONE, 0), (UNTIL, 1_795_000_000 * NS),
])
def test_a_link_tells_who_holds(kind: str, until_ns: int) -> None:
    """What is written is what is read."""
    name = Name(5, names.mint_id(1, 2), "mail.job", due_ns=7000, key=KEY)
    text = str(Holder(name, kind, until_ns))
    read = keys.parse(KEY, text)
    assert read is not None and str(read) == text
    assert (read.kind, read.until_ns, str(read.name)) == (
        kind, until_ns, str(name)
    )


@pytest.mark.parametrize("text", [
    "", ":", "waiting:", "waiting:x", "waiting", "other:{name}",
    "until:{name}", "until123:{name}", "until!234567890123:{name}", "{name}",
    "waiting:4.{id},mail.job",  # no key
    "waiting:4.{id}.k{other},mail.job",
    "waiting:4.{id}.k{key},../mail.job", "waiting:4.{id}.k{key},a/b.job",
    "waiting:4.{id}.k{key},mail", "waiting:4.{id}.k{key},.job",
    "waiting:4.{id}.k{key},-x.job", "waiting:4.{id}.k{key}.a1,mail.job",
    "waiting:../{name}", "/etc/passwd",
])
def test_other_links_are_none_of_ours(text: str) -> None:
    """Whatever a producer writes into a link, it names a minted file."""
    job_id = names.mint_id(1, 2)
    full = text.format(
        id=job_id, key=KEY, other="0" * 20, name=f"4.{job_id}.k{KEY},mail.job"
    )
    assert keys.parse(KEY, full) is None


def test_long_names_with_a_key_are_illegal() -> None:
    """Only minted names carry a key, so that its claim finds room."""
    head = f"4.{names.mint_id(1, 2)}.k{KEY}"
    assert names.why_illegal(f"{head},{'m' * 32}.job") is None
    assert names.why_illegal(f"{head},{'m' * 33}.job") is not None


# How long a job stands for its key.


def test_until_its_first_run_begins(opened: Spool, client: Client) -> None:
    """The key of a waiting job is free before it is claimed, and stays so."""
    first = submit(client, "waiting")
    assert submit(client, "waiting") == first and len(waiting(opened)) == 1
    active = claim(opened, first)
    assert held(opened) == [] and ".k" not in active
    second = submit(client, "waiting")
    assert second != first
    opened.give_back(active)
    assert submit(client, "waiting") == second
    claim(opened, first)
    assert held(opened) == [KEY]
    claim(opened, second)
    assert held(opened) == [] and found(opened) == []


def test_until_it_has_ended(opened: Spool, client: Client) -> None:
    """Retries, returns and recovery keep the key; the verdict frees it."""
    first = submit(client, "done")
    active = claim(opened, first)
    assert submit(client, "done") == first
    deferred = opened.defer(active, "exit1", 5)
    assert deferred is not None and submit(client, "done") == first
    opened.retry(deferred)
    active = claim(opened, first)
    opened.recover(active)
    active = claim(opened, first)
    opened.give_back(active)
    active = claim(opened, first)
    assert submit(client, "done") == first and found(opened) == []
    final = opened.fail(active, "exit1", 5)
    assert final is not None and ".k" not in final and held(opened) == []
    assert submit(client, "done") != first
    opened.requeue(State.FAILED, final)
    assert len(waiting(opened)) == 2 and found(opened) == []


@pytest.mark.parametrize("end", ["finish", "stand_in"])
def test_a_job_that_is_done_holds_no_key(
    opened: Spool, client: Client, end: str
) -> None:
    """However it came to be done."""
    active = claim(opened, submit(client, "done"))
    if end == "finish":
        opened.finish(active, "ok", 1)
    else:  # its handler removed the file
        fsops.unlink(opened.fds[State.ACTIVE], active)
        assert opened.finish(active, "ok", 1) is None
        opened.stand_in(active, State.DONE, "ok", 1)
    (final,) = (entry.name for entry in opened.scan(State.DONE))
    assert ".k" not in final and held(opened) == []


def test_for_a_time(opened: Spool, client: Client, clock: Clock) -> None:
    """Whatever becomes of the job, its time is what counts."""
    first = submit(client, 60)
    active = claim(opened, first)
    assert ".k" not in active
    opened.finish(active, "ok", 1)
    clock.now_ns += MINUTE_NS - NS
    assert submit(client, 60.0) == first and submit(client, "done") == first
    clock.now_ns += NS
    second = submit(client, 60)
    assert second != first and submit(client, 60) == second
    clock.now_ns -= MINUTE_NS // 2  # a clock may be set back a little
    assert submit(client, 60) == second
    clock.now_ns -= MINUTE_NS
    assert submit(client, 60) != second  # but not hold a key for years
    assert found(opened) == []


def test_the_latest_replaces(opened: Spool, client: Client) -> None:
    """A storm of submissions leaves the last one, wherever the first waits."""
    ids = [submit(client, "latest") for _ in range(3)]
    assert len(set(ids)) == 3
    assert [name[2:22] for name in waiting(opened)] == ids[-1:]
    due_ns = 2_000_000_000 * NS
    later = submit(client, "latest", due_ns=due_ns)
    intake = Intake(opened)
    for entry in waiting(opened):
        intake.take_in(entry, False)
    assert len(intake.delayed) == 1
    opened.reschedule(intake.delayed[0][0], due_ns + NS)
    last = submit(client, "latest")
    assert [name[2:22] for name in waiting(opened)] == [last] != [later]
    assert list(opened.scan(State.DEFERRED)) == []
    claim(opened, last)
    after = submit(client, "latest")
    assert [name[2:22] for name in waiting(opened)] == [after]
    assert found(opened) == []


def test_the_latest_does_not_replace_what_runs(
    opened: Spool, client: Client
) -> None:
    """A job that is to be alone until it is done, or for a time, stays."""
    first = submit(client, "done")
    claim(opened, first)
    assert submit(client, "latest") == first


# What is left behind.


def test_a_removed_job_frees_its_key(opened: Spool, client: Client) -> None:
    """By spoolctl at once; by hand, with the next submission."""
    first = submit(client, "waiting")
    opened.remove(State.INCOMING, waiting(opened)[0])
    assert held(opened) == []
    for state in (State.INCOMING, State.HELD):
        first = submit(client, "waiting")
        (entry,) = waiting(opened)
        if state is State.HELD:
            opened.hold(State.INCOMING, entry)
            assert submit(client, "waiting") == first
        fsops.unlink(opened.fds[state], entry)
        assert found(opened) == [(10, f"keys/{KEY}")]
        second = submit(client, "waiting")
        assert second != first and len(waiting(opened)) == 1
        opened.remove(State.INCOMING, waiting(opened)[0])


@pytest.mark.parametrize("who", ["producer", "spoold", "repair"])
@pytest.mark.parametrize("unique", ["waiting", "done", 60])
def test_a_producer_that_died_has_submitted(
    opened: Spool, client: Client, who: str, unique: float | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once it holds the key, whoever comes next moves its job on."""
    monkeypatch.setattr(
        "spooler.publish.Publisher.publish_held",
        lambda *_: (_ for _ in ()).throw(KeyboardInterrupt),
    )
    with pytest.raises(KeyboardInterrupt):
        submit(client, unique)
    monkeypatch.undo()
    (left,) = opened.scan(State.TMP)
    assert waiting(opened) == [] and held(opened) == [KEY]
    if who == "producer":
        assert submit(client, unique) == left.name[2:22]
    elif who == "spoold":
        KeyRing(opened, 5.0).step()
    else:
        done = list(repair.repair(opened, Config(), lambda _: False))
        assert done == [f"incoming/{left.name}: its producer did not finish"]
    assert waiting(opened) == [left.name]
    assert list(opened.scan(State.TMP)) == []


def test_an_old_job_in_tmp_that_holds_its_key_is_never_removed(
    opened: Spool, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """check says what it is, and repair moves it."""
    monkeypatch.setattr(
        "spooler.publish.Publisher.publish_held", lambda *_: None
    )
    submit(client, "done")
    (left,) = opened.scan(State.TMP)
    monkeypatch.setattr(check, "STALE_S", -1.0)
    (finding,) = check.stale(opened)
    assert "it is submitted" in finding.todo
    list(repair.repair(opened, Config(), lambda _: False))
    assert waiting(opened) == [left.name]


def test_spoold_takes_keys_from_jobs_that_are_gone(
    opened: Spool, client: Client, clock: Clock
) -> None:
    """And from those whose time is over; all others keep theirs."""
    ring = KeyRing(opened, 5.0)
    gone = client.submit_unique("mail", key="a", unique="done")[0]
    runs = client.submit_unique("mail", key="b", unique="done")[0]
    client.submit_unique("mail", key="c", unique="waiting")
    client.submit_unique("mail", key="d", unique=60)
    client.submit_unique("mail", key="e", unique=3600)
    active = claim(opened, gone)
    fsops.unlink(opened.fds[State.ACTIVE], active)
    claim(opened, runs)
    clock.now_ns += 2 * MINUTE_NS
    ring.step()
    assert held(opened) == sorted(keys.key_of("mail", key) for key in "bce")
    assert ring.wait_s() > 0 and found(opened) == []


def test_repair_takes_keys_from_jobs_that_are_gone(
    opened: Spool, client: Client
) -> None:
    """The same without spoold."""
    first = submit(client, "waiting")
    fsops.unlink(opened.fds[State.INCOMING], waiting(opened)[0])
    assert list(repair.repair(opened, Config(), lambda _: False)) == [
        f"keys/{KEY}: removed, {first} holds it no more"
    ]
    assert held(opened) == [] and found(opened) == []


@pytest.mark.parametrize("kind", ["file", "directory", "link", "replacing"])
def test_what_is_no_key_is_in_the_way(
    opened: Spool, client: Client, kind: str
) -> None:
    """A stray under a key's name is told, and never removed or followed."""
    path = pathlib.Path(opened.path, "keys", KEY)
    if kind == "file":
        path.touch()
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:  # one who replaced was killed: in nobody's way
        path = path.with_name(f"{KEY}.new")
        path.symlink_to("x")
    if kind == "replacing":
        submit(client, "latest")
        submit(client, "latest")
        assert not os.path.lexists(path)
        return
    with pytest.raises(SpoolError, match="is in the way, and is no key"):
        submit(client, "waiting")
    assert found(opened) == [(10, f"keys/{KEY}")]
    KeyRing(opened, 5.0).step()
    assert os.path.lexists(path)
    assert list(opened.scan(State.TMP)) == []


def test_a_copied_id_frees_nobodys_key(opened: Spool, client: Client) -> None:
    """A name with the key of another is claimed without it."""
    first = submit(client, "done")
    other = Name(5, names.mint_id(3, 4), "mail.job", key=KEY)
    os.close(fsops.create(opened.fds[State.INCOMING], str(other)))
    active = claim(opened, other.id)
    assert ".k" not in active
    opened.finish(active, "ok", 1)
    assert submit(client, "done") == first


# Errors.


def test_an_error_before_the_key_submits_nothing(
    opened: Spool, client: Client, broken: Callable[..., Any]
) -> None:
    """A full disk is told as such, and nothing is left."""
    broken(os, "symlink", errno.ENOSPC)
    with pytest.raises(SpoolClosed):
        submit(client, "done")
    assert list(opened.scan(State.TMP)) == [] and waiting(opened) == []


def test_an_error_behind_the_key_is_unknown(
    opened: Spool, client: Client, broken: Callable[..., Any]
) -> None:
    """The job stays for spoold, and a try with its id finds it."""
    calls = broken(os, "rename", errno.EIO, times=1)
    with pytest.raises(SubmitUnknown) as raised:
        submit(client, "done")
    assert len(calls) == 1
    job_id = raised.value.job_id
    assert submit(client, "done", job_id=job_id) == job_id
    assert [name[2:22] for name in waiting(opened)] == [job_id]


def test_an_unconfirmed_job_may_be_submitted_again(
    opened: Spool, client: Client
) -> None:
    """Also if it has run by then: one of the two is kept."""
    first = submit(client, "waiting")
    opened.finish(claim(opened, first), "ok", 1)
    assert submit(client, "waiting", job_id=first) == first
    (entry,) = waiting(opened)
    intake = Intake(opened)
    intake.take_in(entry, False)
    assert intake.resolve() == [] and waiting(opened) == []
    assert submit(client, "waiting") != first


@pytest.mark.parametrize("unique", ["", "newest", 0, -1, 1e12, float("nan")])
def test_other_times_are_refused(client: Client, unique: Any) -> None:
    """Nothing is touched by a time that is none."""
    assert holding.why_not(unique) is not None
    with pytest.raises(ValueError):
        submit(client, unique)


def test_a_spool_without_the_directory_says_how_to_make_it(
    opened: Spool
) -> None:
    """One made before there were keys: init completes it."""
    os.rmdir(os.path.join(opened.path, "keys"))
    with Client(opened.path) as client:
        client.submit("mail")
        with pytest.raises(SpoolError, match="spoolctl init"):
            submit(client, "done")
        layout.create(opened.path)
        submit(client, "done")
