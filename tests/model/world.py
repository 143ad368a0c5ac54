# SPDX-License-Identifier: MIT
"""
One spool, everybody who works on it, and what must be true in between.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import tempfile
import types
from typing import Any

from spooler import check, index, layout, names, settle, sidecar
from spooler.config import Config, Handler
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.wire import Unpacker

from . import kernel as kernels
from .inturn import InTurn
from .kernel import CALM, Kernel, Plan, Process
from .ledger import FINAL, OPEN, Job, Ledger, Place, is_second_try
from .station import Hand, Station, stand_ins

SHM = "/dev/shm"
CONFIG = Config(workers=2, handlers={
    "a": Handler("a", python="m:f", attempts=2, backoff_s=1.0,
                 max_backoff_s=4.0, match=("*.txt",)),
    "b": Handler("b", python="m:f", attempts=3, backoff_s=1.0,
                 max_backoff_s=4.0, concurrency=1),
})
_DRAIN_ROUNDS = 400


class World:
    """
    A spool in a directory of its own, and a ledger of what must be.

    Attributes:
        station: the daemon; None: none runs.
        hands: every worker, of dead daemons too.
        strays: what lies in ``incoming/`` and is no job.
        deaf: whether the daemon misses what arrives.
    """

    config = CONFIG

    def __init__(self, seed: int, noreplace: bool) -> None:
        self.kernel = Kernel(seed, noreplace)
        self.kernel.observer = self
        self.kernel.meet = self._meet
        self.ledger = Ledger(self.kernel)
        self.locks: dict[str, Process] = {}
        self.station: Station | None = None
        self.hands: list[Hand] = []
        self.strays: set[str] = set()
        self.inturn = InTurn(self)
        self.deaf = False
        self.uids = 0
        self._exit = contextlib.ExitStack()
        try:
            self._open()
        except BaseException:
            self._exit.close()
            raise

    def _open(self) -> None:
        base = SHM if os.access(SHM, os.W_OK) else None
        self.path = tempfile.mkdtemp(prefix="spool-model-", dir=base)
        self._exit.callback(shutil.rmtree, self.path)
        # Where people keep the files that they submit.
        self._exit.callback(shutil.rmtree, self.path + ".d", True)
        layout.create(self.path)
        popen = types.SimpleNamespace(Popen=self._hire, DEVNULL=-3)
        self._exit.enter_context(kernels.installed(
            self.kernel, popen,
            [*stand_ins(self), (
                index.Lane, "take",
                lambda lane, count: self.inturn.take(lane, count),
            ), (
                index.Lanes, "__init__",
                lambda lanes, handlers: self.inturn.make(lanes, handlers),
            )],
        ))
        self.calls = kernels.Calls(self.kernel)
        self.spool = self._exit.enter_context(Spool(self.path))
        self._states = {
            os.fstat(fd).st_ino: state for state, fd in self.spool.fds.items()
        }

    def close(self) -> None:
        """Everybody dies, and the spool is removed."""
        for process in (*self.hands, self.station):
            if process is not None:
                process.die()
        self._exit.close()

    def unpacker(self) -> Unpacker:
        """For the first message of a worker."""
        return Unpacker()

    # What the kernel tells.

    def _state(self, dir_fd: int) -> State | None:
        return self._states.get(os.fstat(dir_fd).st_ino)

    def created(self, dir_fd: int, entry: str) -> None:
        """A file was made."""
        state = self._state(dir_fd)
        if state is not None and self.kernel.process is not None:
            self.ledger.created((state, entry), self.kernel.process)

    def moved(self, src_fd: int, src: str, dst_fd: int, dst: str) -> None:
        """A file moved."""
        old, new = self._state(src_fd), self._state(dst_fd)
        if old is not None and new is not None:
            self.ledger.moved((old, src), (new, dst), self.kernel.process)
            self._left(old, src)
            self._arrived(new, dst)

    def linked(self, src_fd: int, src: str, dst_fd: int, dst: str) -> None:
        """A file got another name."""
        old, new = self._state(src_fd), self._state(dst_fd)
        if old is not None and new is not None:
            self.ledger.linked((old, src), (new, dst), self.kernel.process)
            self._arrived(new, dst)

    def unlinked(self, dir_fd: int, entry: str) -> None:
        """A name was removed."""
        state = self._state(dir_fd)
        if state is not None:
            self.ledger.unlinked((state, entry), self.kernel.process)
            self._left(state, entry)

    def _left(self, state: State, entry: str) -> None:
        if state is State.INCOMING:
            self.inturn.gone(entry)

    def _arrived(self, state: State, entry: str) -> None:
        watch = self.station.watch if self.station is not None else None
        if state is State.INCOMING and watch is not None and not self.deaf:
            watch.names.append(entry)
            watch.ring()

    def heard(self, entries: list[str]) -> None:
        """The daemon was told of arrivals."""
        self.inturn.hear(entries)

    def _hire(self, args: list[str], **_: Any) -> Hand:
        station = self.kernel.process
        assert isinstance(station, Station)
        at = args.index("spooler.workermain")
        hand = Hand(self, station, int(args[at + 2]), int(args[at + 3]))
        station.hands.append(hand)
        self.hands.append(hand)
        return hand

    # What happens.

    def _meet(self, what: Any) -> None:
        verb, *args = what
        getattr(self, verb)(*args)

    def do(self, process: Process, work: Any, plan: Plan = CALM) -> Any:
        """Let *process* do *work*; mark what a death left half done."""
        deaths = self.kernel.deaths
        try:
            return self.kernel.run(process, work, plan)
        finally:
            if self.kernel.deaths > deaths:
                self._mark()
            if plan is not CALM:
                self._tear()

    def _mark(self) -> None:
        """
        Between link and unlink a job has two names.

        The machine then ends as well: only a start of spoold mends that.
        """
        for job in self.ledger.jobs:
            if len(certain(job)) > 1 and not job.unmerged:
                job.unmerged = True
                self.kill_all()

    def _tear(self) -> None:
        for job in self.ledger.jobs:
            if any(place[0] is State.ACTIVE for place in job.places):
                job.torn = True

    def start(self, plan: Plan = CALM) -> None:
        """Start a daemon if none runs."""
        if self.station is not None and self.station.alive:
            return
        self.station = Station(self)
        if plan.kind == "error" and not self.kernel.noreplace:
            plan = CALM  # it would go on before it has merged
        there = self.inturn.begin()
        self.do(self.station, self.station.boot, plan)
        self.inturn.hear([
            entry for entry in there
            if (State.INCOMING, entry) in self.ledger.places
        ])
        self._settle_in()

    def turn(self, plan: Plan = CALM) -> None:
        """Let the daemon do one turn."""
        station = self.station
        if station is None or not station.alive or station.busy:
            return
        self.kernel.clock.pass_by(0.3)
        self.inturn.turn()
        self.do(station, station.turn, plan)
        self._settle_in()

    def _settle_in(self) -> None:
        for hand in self.hands:
            if hand.alive and not hand.booted:
                self.do(hand, hand.boot)
        self.hands = [hand for hand in self.hands if hand.alive]

    def tell(self, number: int) -> None:
        """Send the daemon a signal."""
        station = self.station
        if station is not None and station.alive and station.core is not None:
            station.core.tell(number)

    def kill(self) -> None:
        """Kill the daemon; its workers get to know."""
        if self.station is not None:
            self.station.die()

    def kill_all(self) -> None:
        """Kill everybody, as the end of the machine does."""
        self.kill()
        for hand in self.hands:
            hand.die()

    def serves(self) -> bool:
        """Whether a daemon runs."""
        return self.station is not None and self.station.alive

    def has_hand(self, busy: bool) -> bool:
        """Whether there is a worker that runs a job, or one that does not."""
        return self._hand(0, busy) is not None

    def _hand(self, number: int, busy: bool | None) -> Hand | None:
        hands = [
            hand for hand in self.hands
            if hand.alive and hand.booted and not hand.busy
            and (busy is None or (hand.task is not None) == busy)
        ]
        return hands[number % len(hands)] if hands else None

    def take(self, number: int, plan: Plan = CALM) -> None:
        """Let an idle worker claim its next job."""
        hand = self._hand(number, False)
        if hand is not None:
            self.do(hand, hand.take, plan)

    def settle(
        self, number: int, effect: str, out: bytes = b"", plan: Plan = CALM
    ) -> None:
        """Let a worker end its run."""
        hand = self._hand(number, True)
        if hand is not None:
            self.do(hand, lambda: hand.settle(effect, out, 7), plan)

    def take_file(self, number: int) -> None:
        """Let a handler delete its job file."""
        hand = self._hand(number, True)
        if hand is not None:
            self.do(hand, hand.take_file)

    def kill_hand(self, number: int) -> None:
        """Kill a worker, whatever it does."""
        hands = [hand for hand in self.hands if hand.alive]
        if hands:
            hands[number % len(hands)].kill()

    def power_cut(self) -> None:
        """
        Everybody dies, and the last move is seen in both directories.

        Some file systems show it so.
        """
        self.kill_all()
        old, new = self.ledger.last or (None, None)
        job = self.ledger.places.get(new) if new else None
        if job is None or old is None or len(job.places) > 1:
            return
        kinds = {old[0], new[0]}
        if len(kinds) < 2 or State.TMP in kinds or old in self.ledger.places:
            return
        if old[0] in FINAL or "," not in old[1] or is_second_try(old):
            return
        os.link(new[1], old[1], src_dir_fd=self.spool.fds[new[0]],
                dst_dir_fd=self.spool.fds[old[0]])
        self.ledger.shown_twice(job, old)

    # What must be true.

    def is_dead(self, owner: str) -> bool:
        """Whether no process of the owner's instance lives."""
        instance = owner[:names.INSTANCE_CHARS]
        return not any(
            process.alive and process.owner[:names.INSTANCE_CHARS] == instance
            for process in (*self.hands, self.station)
            if process is not None and process.booted
        )

    def judge(self, look: bool = True) -> None:
        """See that the disk is as the ledger says, and in order."""
        insist = self.ledger.insist
        found = {
            (state, entry) for state in FLOW
            for entry in os.listdir(self.spool.fds[state])
            if is_job(state, entry) and entry not in self.strays
        }
        known = {place for place in self.ledger.places
                 if place[0] is not State.TMP}
        insist(found == known, f"on disk only {found - known}, in the ledger"
               f" only {known - found}")
        for job in self.ledger.jobs:
            self._judge_job(job)
        if look:
            self.look()

    def look(self) -> None:
        """Run spoolctl check: nothing may be wrong at any instant."""
        found = self.kernel.run(Process("operator"), lambda: list(
            check.check(self.spool, self.is_dead)))
        for finding in found:
            self.ledger.insist(self._excused(finding), str(finding))

    def _judge_job(self, job: Job) -> None:
        insist = self.ledger.insist
        places = [place for place in job.places if place[0] is not State.TMP]
        if not job.accepted or job.removed:
            insist(not places, "was removed", job)
            return
        sure = certain(job)
        insist(sure or places or job.taken, "is nowhere", job)
        insist(len(sure) < 2 or job.unmerged, "is in several places", job)
        for state, entry in places:
            data = self._read(state, entry)
            insist(data == job.content or (job.taken and not data),
                   f"was altered: {data!r}", job)
        if len(sure) == 1 and not job.copied:
            self._judge_record(job, *sure[0])

    def _read(self, state: State, entry: str) -> bytes:
        return pathlib.Path(self.path, state.value, entry).read_bytes()

    def _judge_record(self, job: Job, state: State, entry: str) -> None:
        """One record says all; it may say more, of interrupted runs."""
        name = names.parse(entry)
        if name is None or not name.verdict:
            return
        if job.unmerged or job.bare or job.taken:
            return
        if state not in (*FINAL, State.DEFERRED):
            return
        insist = self.ledger.insist
        record = sidecar.read_record(self.spool, state, name.stem)
        if record is None:
            plain = name.verdict == "ok" and name.runs == 1
            insist(plain and job.effect == settle.DONE, "no record", job)
            return
        runs = [run.run for run in record.runs]
        insist(runs == sorted(set(runs)) and runs[-1:] == [name.runs],
               f"record of {runs}", job)
        settled = {run: run in job.counted
                   for run in job.counted | job.deferred}
        told = {run.run: run.counted for run in record.runs}
        insist(record.id == name.id, f"record of {record.id}", job)
        for run, counted in settled.items():
            insist(run in told, f"run {run} is not in the record", job)
            counted = counted and record.runs[runs.index(run)].kind != "ok"
            insist(told[run] == counted, f"run {run} is {told}", job)
        for run in told.keys() - settled.keys():
            insist(run in job.begun or job.torn, f"run {run}: made up", job)

    def _excused(self, finding: check.Finding) -> bool:
        """Whether a finding is of what a person, producer or crash did."""
        state, _, entry = finding.path.partition("/")
        if finding.number == 5:
            name = names.parse(entry)
            return name is not None and self.is_dead(name.owner)
        if finding.number == 8:
            return entry in self.strays
        if finding.number == 4 and not self.kernel.noreplace:
            return True  # two names of one inode, between link and unlink
        name = names.parse(entry)
        if name is None:
            split = names.stem_of(entry)
            name = names.parse(split[0] + ",x") if split else None
        if name is None:
            return False
        for job in self.ledger.jobs:
            if job.id == name.id:
                if (job.copied or job.unmerged or job.loose or job.bare
                        or job.taken):
                    return True
                if finding.number == 6 and job.torn and "rm" in OPEN:
                    return True
                if finding.number == 7 and "check" in OPEN:
                    return True
                if finding.number == 4 and any(map(is_second_try, job.places)):
                    return True
        return False

    def drain(self) -> None:
        """A calm end: everything waiting gets its verdict, nothing is left."""
        self.kill_all()
        self.deaf = False
        self.start()
        self.judge()
        for place in list(self.ledger.places):
            if place[0] is State.HELD:
                self.do(Process("operator"), lambda: self.spool.release(
                    place[1]))
        for number in range(_DRAIN_ROUNDS):
            if not any(map(waits, self.ledger.places)):
                break
            self.kernel.clock.pass_by(number * 10)
            self.turn()
            for at in range(2):
                self.settle(at, settle.DONE, b"x" if number % 3 else b"")
                self.take(at)
            self.judge(look=False)
        for _ in range(2):  # the second start tidies up behind the first
            self.start()
            self._stop()
        self._judge_end()

    def _stop(self) -> None:
        self.tell(signal.SIGTERM)
        for _ in range(20):
            self.turn()
            for at in range(2):
                self.take(at)
        self.ledger.insist(not self.serves(), "does not stop")

    def _judge_end(self) -> None:
        insist = self.ledger.insist
        self.judge()
        for job in self.ledger.jobs:
            gone = job.removed or (job.taken and not job.places)
            if job.accepted and not gone:
                insist([place[0] in FINAL for place in job.places] == [True],
                       "never ended", job)
        mixed = {
            job.id for job in self.ledger.jobs if job.copied or job.torn
            or (not job.places and (job.taken or job.loose))
        }
        for state in FLOW:
            beside = {place[1][:names.STEM_CHARS]
                      for place in self.ledger.places if place[0] is state}
            left = set(os.listdir(self.spool.fds[state])) - self.strays
            for entry in left if state in FINAL else ():
                stem = entry[:names.STEM_CHARS]
                if stem in beside or stem[2:] in mixed:
                    left = left - {entry}
            insist(not left, f"left in {state.value}/: {left}")


def is_job(state: State, entry: str) -> bool:
    """Whether an entry is a job rather than beside one."""
    return "," in entry or state is State.INCOMING


def certain(job: Job) -> list[Place]:
    """Where a job lies but for second tries."""
    return [place for place in job.places
            if place[0] is not State.TMP and not is_second_try(place)]


def waits(place: Place) -> bool:
    """Whether a job there has no verdict yet."""
    return place[0] not in (State.TMP, *FINAL)
