# SPDX-License-Identifier: MIT
"""The books: what was told to producers and what lies in the spool."""

import collections
import dataclasses
import os
import re

from soak import kinds
from soak.house import House
from soak.steer import Operator
from support import Found

from spooler import check, jobload, names
from spooler.errors import BadJob
from spooler.spool import Spool
from spooler.states import State


@dataclasses.dataclass
class Counts:
    """What a soak saw."""

    seconds: float = 0.0
    jobs: int = 0
    confirmed: int = 0
    runs: int = 0
    retries: int = 0
    requeued: int = 0
    removed: int = 0
    restarts: int = 0
    kills: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    terms: int = 0
    hups: int = 0
    lost: int = 0
    twice: int = 0
    stuck: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)

    def note(self, kind: str, text: str) -> None:
        """Count a violation; *kind* may be one that has a count."""
        if kind in ("lost", "twice", "stuck"):
            setattr(self, kind, getattr(self, kind) + 1)
        self.wrong.append(f"{kind.upper()} {text}")

    def __str__(self) -> str:
        kills = ", ".join(f"{r} {n}" for r, n in sorted(self.kills.items()))
        return (
            f"soak: {self.seconds:.0f} s, {self.jobs} jobs,"
            f" {self.confirmed} confirmed, {self.runs} runs,"
            f" {self.kills.total()} kills ({kills or 'none'}),"
            f" {self.terms} TERM, {self.hups} HUP,"
            f" {self.restarts} restarts, {self.retries} retries,"
            f" {self.requeued} requeued, {self.removed} removed;"
            f" lost {self.lost}, twice {self.twice}, stuck {self.stuck},"
            f" {len(self.wrong)} violations"
        )

    def report(self) -> str:
        """The counts, and what was wrong below them."""
        shown = self.wrong[:40]
        if len(self.wrong) > len(shown):
            shown.append(f"... {len(self.wrong)} in all")
        return "\n    ".join([str(self), *shown])


@dataclasses.dataclass
class Ledger:
    """What producers wrote."""

    tried: set[str] = dataclasses.field(default_factory=set)
    confirmed: dict[str, str] = dataclasses.field(default_factory=dict)

    def read(self, house: House) -> None:
        """Read all ledgers; what a killed producer half wrote is nothing."""
        for path in sorted(house.path.glob("ledger.*")):
            for line in path.read_text().splitlines(keepends=True):
                if not line.endswith("\n"):
                    continue
                word, token, *rest = line.split()
                if word == "try":
                    self.tried.add(token)
                else:
                    self.confirmed[token] = rest[0]


class Books:
    """Balances them, once nothing runs any more."""

    def __init__(
        self, house: House, operator: Operator, counts: Counts
    ) -> None:
        self._house = house
        self._operator = operator
        self.counts = counts
        self._ledger = Ledger()
        self._ledger.read(house)
        self._jobs = list(house.spool.jobs())
        self._token: dict[str, list[Found]] = collections.defaultdict(list)
        self._starts = collections.Counter(
            line.split()[0] for line in house.starts.read_text().splitlines()
        )
        self._back = collections.Counter(re.findall(
            r"^(\S+): given back", house.log.read_text(
                errors="backslashreplace"
            ), re.MULTILINE,
        ))

    def balance(self) -> None:
        """Hold what lies there to what was told."""
        counts = self.counts
        counts.jobs = len(self._jobs)
        counts.confirmed = len(self._ledger.confirmed)
        counts.requeued = self._operator.requeued.total()
        counts.removed = len(self._operator.removed)
        counts.runs = self._starts.total()
        counts.retries = sum(max(0, job.name.runs - 1) for job in self._jobs)
        for job in self._jobs:
            self._token[self._read(job)[0]].append(job)
            self._job(job)
        self._once()
        self._confirmed()
        self._runs()
        self._tidy()
        self._checked()

    def _note(self, kind: str, text: str) -> None:
        self.counts.note(kind, text)

    def _read(self, job: Found) -> tuple[str, bytes]:
        """The token inside a job, and its body."""
        where = f"{job.state}/{job.entry}"
        fd = os.open(job.path.parent, os.O_RDONLY)
        try:
            read = jobload.load(fd, job.entry, job.name.is_document, 1 << 20)
        except BadJob as error:
            self._note("torn", f"{where}: {error}")
            return where, b""
        finally:
            os.close(fd)
        try:
            body = read.read()
            if read.document is None:
                return body.decode(), body
            return str(read.document.args[0]), body
        finally:
            read.close()

    def _job(self, job: Found) -> None:
        """One job: settled, with the verdict of its kind."""
        where = f"{job.state}/{job.entry}"
        if job.state not in ("done", "failed"):
            self._note("stuck", where)
            return
        kind = kinds.KINDS[self._kind(job)]
        wanted = kind.verdicts or ("ok",)
        verdict = job.name.verdict
        if verdict not in wanted and not (
            verdict in kinds.KILLED and job.name.runs >= kind.attempts
        ):
            self._note("verdict", f"{where}: {job.sidecar('result')!r}")
        # A claim counts as a run: killed then, each of them, it never began.
        if not self._starts[job.name.id] and verdict != "lost":
            self._note("never run", where)
        touched = self._operator.touched | set(self._operator.requeued)
        if job.state == "done" and job.name.id not in touched:
            self._output(job, kind.name, where)

    def _kind(self, job: Found) -> str:
        if not job.name.is_document:
            return "payload" if job.name.tail.endswith(".dat") else "count"
        return job.name.told_handler or ""

    def _output(self, job: Found, kind: str, where: str) -> None:
        """What a done job left must be whole."""
        token, body = self._read(job)
        record = job.sidecar("result")
        value = job.record["value"] if record is not None else None
        out = {
            "cat": body, "value": f"{token}\n".encode(),
            "nap": f"{token}\n".encode(), "count": f"{len(body)}\n".encode(),
        }.get(kind, b"")
        wanted = {
            "value": {"token": token}, "result": token, "nap": token,
            "payload": len(token),
        }.get(kind, value)
        if job.out != out:
            self._note("output", f"{where}: {job.out!r}, not {out!r}")
        if value != wanted:
            self._note("value", f"{where}: {value!r}, not {wanted!r}")

    def _once(self) -> None:
        ids = collections.defaultdict(list)
        for job in self._jobs:
            ids[job.name.id].append(f"{job.state}/{job.entry}")
        for places in ids.values():
            if len(places) > 1:
                self._note("twice", str(places))
        for token, jobs in self._token.items():
            if len({job.name.id for job in jobs}) > 1:
                self._note("twice", f"{token}: {jobs}")
            if token not in self._ledger.tried:
                self._note("unknown", f"{token!r}: {jobs}")
        for job_id in self._operator.removed & set(ids):
            self._note("came back", str(ids[job_id]))

    def _confirmed(self) -> None:
        """What was confirmed is there, or was removed."""
        ids = {job.name.id for job in self._jobs}
        for token, job_id in self._ledger.confirmed.items():
            if token in self._token:
                continue
            if job_id in self._operator.touched or job_id in ids:
                continue
            if job_id == "-" and self._may_be_removed(token):
                continue
            self._note("lost", f"{token} {job_id}{self._tmp(token)}")

    def _may_be_removed(self, token: str) -> bool:
        """Whether a dropped job, whose id nobody was told, was removed."""
        return token in self._operator.touched_tails

    def _tmp(self, token: str) -> str:
        for entry in self._house.spool.listed("tmp"):
            if token in entry:
                return f": is in tmp/{entry}"
        return ""

    def _runs(self) -> None:
        """Runs are bounded by attempts and kills."""
        kills, extra = self.counts.kills, 0
        for job in self._jobs:
            kind = kinds.KINDS[self._kind(job)]
            starts = self._starts[job.name.id]
            lives = 1 + self._operator.requeued[job.name.id]
            most = lives * (kind.attempts + kind.runs - 1)
            if starts > most + self._back[job.name.id] + self.counts.terms:
                self._note("runs", f"{starts} of {job.state}/{job.entry}")
            extra += max(0, starts - lives * kind.runs)
        bound = kinds.WORKERS * (
            kills["daemon"] + kills["runner"] + self.counts.terms
        ) + kills["python"] + kills["command"] + kinds.NAPS * (
            kills["daemon"] + kills["asyncio"] + self.counts.terms
        )
        if extra > bound:
            self._note("runs", f"{extra} extra runs, {bound} by kills")

    def _tidy(self) -> None:
        """Nothing lies about that belongs to nothing."""
        spool = self._house.spool
        beside = {(job.state, job.name.stem) for job in self._jobs}
        for state in ("active", "deferred", "hold", "done", "failed"):
            for entry in spool.listed(state):
                if "," in entry and names.parse(entry) is not None:
                    continue
                split = names.stem_of(entry)
                if split is None or (state, split[0]) not in beside:
                    self._note("litter", f"{state}/{entry}")
        for entry in spool.listed("incoming"):
            if names.parse(entry) is None:
                self._note("stuck", f"incoming/{entry}")
        for private in ("work", "locks"):
            for entry in os.listdir(spool.path / "run" / private):
                self._note("litter", f"run/{private}/{entry}")

    def _checked(self) -> None:
        self.counts.wrong += findings(self._house, everybody_dead=True)


def findings(house: House, everybody_dead: bool) -> list[str]:
    """What ``check`` says of the spool."""
    with Spool(str(house.spool.path)) as spool:
        return [
            f"CHECK I{found.number} {found.path}: {found.what}"
            for found in check.check(spool, lambda _: everybody_dead)
        ]


def waiting(house: House) -> int:
    """How many jobs are not finished."""
    states = State.INCOMING, State.ACTIVE, State.DEFERRED, State.HELD
    count = 0
    for state in states:
        for entry in os.listdir(house.spool.path / state.value):
            name = names.parse(entry)
            dropped = state is State.INCOMING and name is None
            count += name is not None or dropped
    return count
