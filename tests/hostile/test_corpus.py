# SPDX-License-Identifier: MIT
"""Everything a hostile producer can leave: none of it gets anywhere."""

import collections
import dataclasses
import os
import pathlib
import signal
import time

import pytest
from hostile import corpus_documents, corpus_files, corpus_names, judge
from hostile.kinds import BAD, GONE, LEFT, RAN, UNKNOWN, WAITS, Kind
from hostile.sentinel import Sentinel
from hostile.stage import Stage, serving, stage
from support import Spoold, sized, wait_until

from spooler import names
from spooler.client import Client
from spooler.text import inert

CONFIG = """
workers = 2
rescan = "200ms"
max_size = "4MiB"
durability = "relaxed"
default = "data"
[handler.data]
python = "hostile.handlers:data"
[handler.note]
python = "hostile.handlers:note"
[handler.say]
python = "hostile.handlers:say"
attempts = 1
[handler.gate]
python = "hostile.handlers:gate"
"""
#: How long a good job may wait, on a machine that does other things too.
GOOD_S = 5.0
MANY, FEW = 10_000, sized(200, 10_000)
VICTIMS = "victim done", "victim failed", "victim active"
ESCAPES = "\x1b[31m\x9b2J\u202e\r\x07".encode() + b"\xff"
_STATES = {
    BAD: "failed bad", UNKNOWN: "failed unknown", RAN: "done ",
    WAITS: "deferred ",
}


@dataclasses.dataclass
class Run:
    """What a run of the corpus consists of."""

    on: Stage
    daemon: Spoold
    sentinel: Sentinel
    kinds: list[Kind]
    good: list[str] = dataclasses.field(default_factory=list)

    def path(self, directory: str, name: bytes) -> str:
        """Of an entry of the spool."""
        return str(self.on.path / directory / os.fsdecode(name))

    def make(self, kinds: list[Kind]) -> dict[str, str]:
        """Leave each in ``tmp/``, and in ``incoming/``; tells which not."""
        cannot = {}
        for number, kind in enumerate(kinds):
            new = self.path("tmp", b"new-%d-%d" % (os.getpid(), number))
            try:
                if kind.in_place:
                    kind.make(self.path("incoming", kind.name))
                    continue
                kind.make(self.path("tmp", kind.name))
                kind.make(new)
                os.rename(new, self.path("incoming", kind.name))
            except OSError as error:
                cannot[kind.label] = str(error)
        return cannot

    def submit(self, client: Client) -> None:
        """Submit a good job."""
        mark = f"good {len(self.good)}"
        client.submit("note", mark, body=mark.encode())
        self.good.append(mark)

    def unsettled(self) -> list[str]:
        """The kinds that fate has not reached."""
        jobs: dict[tuple[str, str], list[pathlib.Path]] = {}
        for found in self.on.jobs():
            word = found.name.verdict if found.state == "failed" else ""
            key = f"{found.state} {word}", found.name.tail
            jobs.setdefault(key, []).append(found.path)
        left = set(self.on.listed("incoming"))
        out = []
        for kind in self.kinds:
            name = os.fsdecode(kind.name)
            if kind.fate == LEFT:
                good = name in left
            elif kind.fate == GONE:
                good = name not in left
            else:
                good = (_STATES[kind.fate], kind.at_end()) in jobs
            if not good:
                out.append(f"{kind.label}: {kind.name!r} is not {kind.fate}")
        return out


def _victims(on: Stage, client: Client) -> dict[str, str]:
    """Jobs of others, one in every state; their names."""
    due_ns = time.time_ns() + 10 ** 15
    ids = {
        "done": client.submit("note", "victim done", fields=(("Tag", "t"),)),
        "failed": client.submit("say", "victim failed", body=ESCAPES),
        "deferred": client.submit("note", "victim deferred", due_ns=due_ns),
        "active": client.submit(
            "gate", "victim active", str(on.directory / "open")
        ),
    }

    def names() -> dict[str, str]:
        return {
            found.state: found.entry for found in on.jobs()
            if ids.get(found.state) == found.name.id
        }

    wait_until(lambda: len(names()) == len(ids), what=on.tree)
    return names()


def _beside(on: Stage, victims: dict[str, str]) -> dict[str, bytes]:
    """What victims consist of, by path below the spool."""
    out = {}
    for state, entry in victims.items():
        if state == "active":
            continue
        for found in (on.path / state).iterdir():
            name = found.name
            if name == entry or name.startswith(f"{entry[:22]}.") and (
                "," not in name
            ):
                out[f"{state}/{name}"] = found.read_bytes()
    return out


def _all_kinds(
    on: Stage, victims: dict[str, str], many: int
) -> list[Kind]:
    kinds = [
        *corpus_names.dropped(), *corpus_names.minted(),
        *corpus_names.copied(victims),
        *corpus_files.links(on.outside, victims["active"]),
        *corpus_files.special(), *corpus_files.directories(many),
        *corpus_files.states(), *corpus_documents.documents(),
        *(corpus_files.closed() if on.users.apart else ()),
    ]
    for key in "label", "name":
        assert len({getattr(kind, key) for kind in kinds}) == len(kinds), key
    return kinds


def _attack(run: Run, client: Client) -> dict[str, str]:
    """Let the hostile user make all it can, with good jobs in between."""
    own = [kind for kind in run.kinds if not kind.by_root]
    child = run.on.hostile(lambda: run.make(own), stay=True)
    try:
        while not child.has_answer(0.01):
            run.submit(client)
        cannot: dict[str, str] = child.answer()
        # What is made in place must not be seen half-made.
        run.daemon.signal(signal.SIGSTOP)
        cannot |= run.make([kind for kind in run.kinds if kind.by_root])
        run.daemon.signal(signal.SIGCONT)
        run.submit(client)
        run.kinds = [kind for kind in run.kinds if kind.label not in cannot]
        wait_until(
            lambda: not run.unsettled() and _finished(run), 60,
            lambda: f"{run.unsettled()[:5]}; {run.daemon.log[-2000:]}",
        )
    finally:
        child.kill()
    return cannot


def _finished(run: Run) -> bool:
    done = {line["args"][0] for line in run.on.ran() if line["args"]}
    return done.issuperset(run.good)


def _untouched(run: Run) -> dict[str, tuple[object, ...]]:
    """What spoold must leave as it is."""
    kept = [run.on.path / "tmp" / name for name in run.on.listed("tmp")]
    kept += [
        pathlib.Path(run.path("incoming", kind.name))
        for kind in run.kinds if kind.fate == LEFT
    ]
    return {str(path): judge.fingerprint(path) for path in kept}


def _judge_runs(run: Run) -> None:
    """What ran is what is legal, once each, and as it was written."""
    wanted = collections.Counter([*run.good, *VICTIMS])
    for kind in run.kinds:
        if kind.fate == RAN:
            path = pathlib.Path(run.path("tmp", kind.name))
            wanted[kind.mark or f"{kind.at_end()}: {judge.sha256(path)}"] += 1
    found: collections.Counter[str] = collections.Counter()
    for line in run.on.ran():
        if line["args"]:
            found[str(line["args"][0])] += 1
        else:
            found[f"{line['tail']}: {line['sha256']}"] += 1
    judge.assert_same(found, wanted)


def _judge_programs(run: Run, wholly: bool) -> None:
    """spoolctl shows all of it, and nothing that it shows acts."""
    ids = sorted({found.name.id for found in run.on.jobs("done", "failed")})
    ids = ids[::len(ids) // 20]
    shown = [inert(os.fsdecode(kind.name)) for kind in run.kinds]
    some: list[tuple[list[str], int]] = [
        (["status"], 0), (["check"], 1), (["ls", "all", "--wide"], 0),
    ]
    others: list[tuple[list[str], int]] = [
        (["status", "--json"], 0), (["ls", "all", "--json"], 0),
        (["show", *ids], 0), (["show", "--json", *ids], 0),
        (["show", "--", *shown[:5]], 0),
    ]
    for args, code in some + others * wholly:
        done = run.on.ctl(*args)
        text = done.stdout + done.stderr
        assert done.returncode == code, (args[:2], text[-1000:])
        # One of ours; that of a handler is shown indented.
        assert b"Traceback" not in (line[:9] for line in text.splitlines())
        judge.assert_inert(text, " ".join(args[:2]))
        run.sentinel.assert_unseen(text)


def _slowest(run: Run) -> float:
    """How long a good job waited for its start at most, in seconds."""
    good = set(run.good)
    return max(
        line["at_ns"] - names.submitted_ns(line["id"])
        for line in run.on.ran() if line["args"] and line["args"][0] in good
    ) / 1e9


@pytest.mark.timeout(600)
@pytest.mark.parametrize("producers", ["anyone", "group"])
def test_nothing_hostile_gets_anywhere(producers: str) -> None:
    """
    Of all kinds of entries only legal jobs run; nothing outside is touched.
    """
    group = producers == "group"
    with stage(CONFIG, group=group, memory=group) as on:
        sentinel = Sentinel(on.outside, on.users.server)
        with Client(str(on.path), durable=False) as client:
            with serving(on) as daemon:
                victims = _victims(on, client)
                before = _beside(on, victims)
                kinds = _all_kinds(on, victims, MANY if group else FEW)
                run = Run(on, daemon, sentinel, kinds)
                cannot = _attack(run, client)
                kept = _untouched(run)
                (on.directory / "open").touch()
                wait_until(lambda: not on.count("active"), what=on.tree)
                _judge_programs(run, wholly=not group)
                run.submit(client)
                wait_until(lambda: _finished(run))
                judge.assert_log(daemon, len(kinds), 5000)
                assert daemon.stop() == 0
            _serve_again(run, client)
        assert run.unsettled() == []
        assert _untouched(run) == kept
        after = _beside(on, victims)
        assert {path: after.get(path) for path in before} == before
        _judge_runs(run)
        judge.assert_nothing_got_out(on, sentinel)
        slowest = _slowest(run)
        assert slowest < GOOD_S
        print(
            f"hostile corpus, {producers}: {len(run.kinds)} kinds, 0 did"
            f" harm; {len(run.good)} good jobs in between, started within"
            f" {slowest:.2f} s"
        )
    for label, why in cannot.items():
        print(f"hostile corpus, {producers}: not made here: {label}: {why}")


def _serve_again(run: Run, client: Client) -> None:
    """A start in the middle of all this works as well."""
    with serving(run.on) as daemon:
        run.submit(client)
        wait_until(lambda: _finished(run), what=lambda: daemon.log)
        judge.assert_log(daemon, 20, 500)
        assert daemon.stop() == 0
