# SPDX-License-Identifier: MIT
"""
What must be, kept call by call: where each job lies, how often it was
claimed, what its runs came to, and which moves its name may make.

The ledger is told of every rename, link and unlink.  It knows nothing of the
code that makes them; a move it does not know how to explain is a failure.
"""

import dataclasses
from typing import Any

from spooler import names
from spooler.names import Name
from spooler.settle import DEFER, DONE, FAIL, RETRY
from spooler.states import State

from .kernel import Kernel

FINAL = (State.DONE, State.FAILED)
Place = tuple[State, str]


#: What is known to be wrong, and not mended yet.
OPEN: frozenset[str] = frozenset()


class Wrong(AssertionError):
    """The program did what it must not."""


@dataclasses.dataclass
class Job:
    """
    One job, known by its content, whatever its name.

    Attributes:
        content: of its file, which nobody may alter.
        limit: attempts.
        handler: that can run it; None: no handler can.
        id: once it has one.
        places: where it lies: one, but for what ``Ledger.judge`` allows.
        accepted: whether it was submitted.
        removed: by a person, or replaced by one.
        taken: its handler took the file; an empty one stands in.
        gone: that was in this run.
        copied: its id is not its own: what lies beside it may be mixed up.
        runs: claims since it was new.
        bad: it is found out after its claim.
        bare: its record was removed, as the first step of its removal.
        loose: a person moved it away from its record.
        torn: a verdict was cut short; what it had prepared may be left.
        unmerged: a crash left it under two names.
        again: submits it again under its id.
        counted: the runs with a verdict that is an attempt.
        deferred: the runs that ended in ``defer``, which is none.
        begun: whose verdict was prepared, and by which effect.
        holder: who claimed it.
        effect: of the verdict its holder is about to file.
        starts: claims ever.
    """

    content: bytes
    limit: int = 1
    handler: str | None = None
    priority: int = names.DEFAULT_PRIORITY
    id: str | None = None
    places: list[Place] = dataclasses.field(default_factory=list)
    accepted: bool = False
    removed: bool = False
    taken: bool = False
    gone: bool = False
    copied: bool = False
    bad: bool = False
    bare: bool = False
    loose: bool = False
    torn: bool = False
    unmerged: bool = False
    again: Any = None
    runs: int = 0
    counted: set[int] = dataclasses.field(default_factory=set)
    deferred: set[int] = dataclasses.field(default_factory=set)
    begun: dict[int, str] = dataclasses.field(default_factory=dict)
    holder: Any = None
    effect: str | None = None
    starts: int = 0

    def forget_runs(self) -> None:
        """It is as good as new."""
        self.runs = 0
        self.bare = False
        self.counted.clear()
        self.deferred.clear()
        self.begun.clear()

    def failures(self) -> range:
        """
        How many attempts it has used up: from, and up to but not including.

        An interrupted run counts, unless its prepared record says defer.
        """
        most = self.runs - len(self.deferred)
        prepared = {run for run, effect in self.begun.items()
                    if effect == DEFER and run <= self.runs}
        return range(most - len(prepared - self.deferred), most + 1)


class Ledger:
    """The jobs of one world, and the judge of every move."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.jobs: list[Job] = []
        self.places: dict[Place, Job] = {}
        self.moves: dict[str, int] = {}
        self.last: tuple[Place, Place] | None = None
        self.wrong = False

    def insist(self, truth: Any, what: str, job: Job | None = None) -> None:
        """Fail unless *truth*."""
        if not truth:
            self.wrong = True
            raise Wrong(f"{what}: {job}")

    # What the kernel tells, with directories as states.

    def created(self, place: Place, who: Any) -> None:
        """A file was made."""
        if place[0] is State.TMP:
            job = who.writes.pop(0)
            name = names.parse(place[1])
            if name is not None:
                job.id = name.id
            self._put(place, job)
        elif "," in place[1]:
            job = who.task_job
            self.insist(job is not None and job.taken and not job.places,
                        f"{place} made from nothing", job)
            if place[0] is not State.ACTIVE:
                name = names.parse(place[1])
                self._verdict(job, place[0], None, name, who)
                who.task_job = None
            self._put(place, job)

    def linked(self, old: Place, new: Place, who: Any) -> None:
        """A job got a second name, which is the first half of a move."""
        job = self.places.get(old)
        if job is not None:
            self._step(job, old, new, who)

    def moved(self, old: Place, new: Place, who: Any) -> None:
        """A file moved."""
        job = self.places.get(old)
        if job is None:
            self.insist("," not in new[1] and new[0] is not State.INCOMING,
                        f"{old} came from nowhere to {new}")
            return
        replaced = self.places.get(new)
        if replaced is not None:
            self.insist(
                who.kind == "person" and names.parse(new[1]) is None,
                f"{new} was replaced", replaced,
            )
            self._drop(new)
            replaced.removed = True
        self._step(job, old, new, who)
        self._drop(old)

    def unlinked(self, place: Place, who: Any) -> None:
        """A name was removed."""
        job = self.places.get(place)
        if job is None:
            return
        self._drop(place)
        if any(left[0] is not State.TMP for left in job.places):
            self._merged(job)
        elif who.kind == "producer" and job.places:
            job.removed = True  # taken back: the producer was refused
        elif who.kind in ("person", "operator"):
            job.removed = True
        elif place[0] is State.ACTIVE and who.takes:
            job.taken = job.gone = True
        else:
            self.insist(place[0] is State.TMP or job.removed,
                        f"{place} was lost", job)

    def _put(self, place: Place, job: Job) -> None:
        self.places[place] = job
        job.places.append(place)

    def _drop(self, place: Place) -> None:
        self.places.pop(place).places.remove(place)

    def _merged(self, job: Job) -> None:
        """Of two names the earlier one may be the one that is kept."""
        half = job.unmerged or not self.kernel.noreplace
        if not half or len(job.places) > 1 or is_second_try(job.places[0]):
            return
        job.unmerged = False
        state, entry = job.places[0]
        name = names.parse(entry)
        if name is None:  # as it was dropped
            return
        job.runs = name.runs
        if state is State.ACTIVE:
            if name.runs in job.deferred:
                job.begun[name.runs] = DEFER
            job.deferred.discard(name.runs)
            job.counted.discard(name.runs)

    def shown_twice(self, job: Job, old: Place) -> None:
        """A power cut brought back an earlier name."""
        self._put(old, job)
        job.unmerged = True

    # The moves.

    def _step(self, job: Job, old: Place, new: Place, who: Any) -> None:
        """Judge a move of *job*, and take note of it."""
        others = [place for place in job.places
                  if place != old and not is_second_try(place)
                  and place[0] is not State.TMP]
        self.insist(
            not others or is_second_try(new),
            f"{who.kind} moved {old} to {new} while it is {others}", job,
        )
        before, after = names.parse(old[1]), names.parse(new[1])
        move = f"{old[0].value} to {new[0].value}"
        judge = getattr(
            self, f"_{old[0].name}_{new[0].name}".lower(), None
        )
        self.insist(judge, f"{move} is no move", job)
        self.moves[move] = self.moves.get(move, 0) + 1
        judge(job, before, after, who)
        if (
            after is not None and who.kind != "person"
            and not is_second_try(new)
        ):
            self.insist(after.runs == job.runs,
                        f"{new} should tell {job.runs} runs", job)
            if before is not None:
                self._same(job, before, after)
        self._put(new, job)
        self.last = (old, new)
        held = job.holder
        if old[0] is State.ACTIVE and held.task_job is job:
            held.task_job = job if new[0] is State.ACTIVE else None

    def _same(self, job: Job, before: Name, after: Name) -> None:
        same = (before.id, before.priority, before.tail) == (
            after.id, after.priority, after.tail
        )
        self.insist(same, f"{before} became {after}", job)
        if before.twin != after.twin:
            self.insist(job.copied, f"{before} became {after}", job)

    def _by(self, who: Any, *kinds: str) -> None:
        self.insist(who.kind in kinds, f"{who.kind} may not do this")

    def _tmp_incoming(
        self, job: Job, before: Name | None, after: Name | None, who: Any
    ) -> None:
        self._by(who, "producer", "person")
        job.accepted = True
        if after is not None:
            job.id = after.id
        if job.removed or not job.places[1:]:
            job.removed = False
            job.forget_runs()

    def _incoming_incoming(
        self, job: Job, before: Name | None, after: Name | None, who: Any
    ) -> None:
        self._by(who, "daemon")
        assert after is not None
        if before is None:
            self.insist(after.dropped_name is not None and not after.twin,
                        f"admitted as {after}", job)
            job.id = after.id
        elif not before.is_waiting_form() or before.resubmitted:
            job.forget_runs()
        job.loose = False
        self.insist(after.is_waiting_form() and not after.resubmitted,
                    f"admitted as {after}", job)

    def _incoming_deferred(
        self, job: Job, before: Name | None, after: Name | None, who: Any
    ) -> None:
        self._by(who, "daemon")
        assert after is not None
        job.id = after.id
        self.insist((after.due_ns or 0) > self.kernel.clock.time_ns() - 10**7,
                    f"put off though due: {after}", job)

    def _incoming_active(
        self, job: Job, before: Name | None, after: Name | None, who: Any
    ) -> None:
        self._by(who, "worker", "daemon")
        assert after is not None and before is not None
        self.insist(before.due_ns is None and not before.resubmitted,
                    f"{before} was claimed", job)
        self.insist(after.owner == who.owner, f"claimed as {after}", job)
        held = job.holder
        self.insist(
            held is None or not held.alive or held.task_job is not job,
            f"claimed while {held} runs it", job,
        )
        self.insist(job.copied or job.failures()[0] < job.limit
                    or job.runs == 0, "claimed once too often", job)
        job.runs = min(job.runs + 1, names.MAX_RUNS)
        job.starts += 1
        job.holder, job.effect, job.gone = who, None, False
        who.task_job = job

    def _verdict(
        self, job: Job, state: State, before: Name | None,
        after: Name | None, who: Any,
    ) -> None:
        assert after is not None
        effect = self._effect(job, who)
        spent, most = job.failures()[0], job.failures()[-1]
        if effect == DEFER:
            right = {State.DEFERRED}
        elif effect == RETRY:
            right = {State.DEFERRED} if spent < job.limit else {State.FAILED}
            if most >= job.limit:
                right.add(State.FAILED)
        else:
            right = {State.DONE if effect == DONE else State.FAILED}
        if job.gone and State.DEFERRED in right:
            right = {State.FAILED}
        if job.copied and effect in (DEFER, RETRY):
            right = {State.DEFERRED, State.FAILED}
        self.insist(state in right, f"{effect} went to {state}", job)
        self.insist((after.verdict == "ok") == (effect == DONE),
                    f"{effect} became {after}", job)
        if effect == DEFER:
            job.deferred.add(job.runs)
        else:
            job.counted.add(job.runs)
        if state is State.DEFERRED:
            self.insist(after.due_ns is not None, f"{after} is not due", job)

    def _effect(self, job: Job, who: Any) -> str | None:
        """What the verdict is to be, and whether *who* may give it."""
        self._by(who, "worker", "daemon")
        held = job.holder
        if who.kind == "worker":
            known = job.effect or job.bad or job.taken
            self.insist(held is who and known, "a stranger's verdict", job)
            return job.effect or FAIL
        if held is who:  # no handler can run it
            self.insist(job.handler is None, "not run", job)
            return FAIL
        self.insist(not held.alive, f"{held} lives and runs it", job)
        if held.daemon is who:
            return RETRY
        self.insist(not held.daemon.lives, f"{held.daemon} lives", job)
        self.insist(job.copied or job.failures()[-1] >= job.limit,
                    "given up with attempts left", job)
        return FAIL

    def _active_done(self, job: Job, *rest: Any) -> None:
        self._verdict(job, State.DONE, *rest)

    def _active_failed(self, job: Job, *rest: Any) -> None:
        self._verdict(job, State.FAILED, *rest)

    def _active_deferred(self, job: Job, *rest: Any) -> None:
        self._verdict(job, State.DEFERRED, *rest)

    def _active_active(
        self, job: Job, before: Name | None, after: Name | None, who: Any
    ) -> None:
        self.insist(job.copied and after and after.twin, "a twin?", job)

    def _active_incoming(
        self, job: Job, before: Name | None, after: Name | None, who: Any
    ) -> None:
        """Given back, which costs no run, or recovered, which does."""
        self._by(who, "worker", "daemon")
        held = job.holder
        if held is who or held.daemon is who:
            stopping = who.kind == "daemon" and who.stopping
            self.insist(held is who or (stopping and not held.alive),
                        "given back by whom?", job)
            self._undo_run(job)
            return
        self.insist(not held.alive and not held.daemon.lives,
                    f"recovered from {held}, which lives", job)
        self.insist(job.copied or job.failures()[0] < job.limit,
                    "recovered without attempts left", job)

    def _undo_run(self, job: Job) -> None:
        job.counted.discard(job.runs)
        job.deferred.discard(job.runs)
        job.runs -= 1

    def _deferred_incoming(
        self, job: Job, before: Name | None, after: Name | None, who: Any
    ) -> None:
        self._by(who, "daemon", "person")
        assert before is not None
        self.insist(
            who.kind == "person"
            or (before.due_ns or 0) <= self.kernel.clock.time_ns(),
            f"{before} is not due", job,
        )

    def _incoming_held(self, job: Job, *rest: Any) -> None:
        self._by(rest[-1], "operator", "person")

    _deferred_held = _incoming_held
    _held_incoming = _incoming_held

    def _done_incoming(
        self, job: Job, before: Name | None, after: Name | None, who: Any
    ) -> None:
        self._by(who, "operator", "person")
        if who.kind == "operator":
            job.forget_runs()
        else:
            job.loose = True

    _failed_incoming = _done_incoming


def is_second_try(place: Place) -> bool:
    """Whether it was submitted again and nobody has looked yet."""
    name = names.parse(place[1])
    return name is not None and name.resubmitted
