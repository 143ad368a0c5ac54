# SPDX-License-Identifier: MIT
"""
File the verdict of a run: what it left goes beside the job, then the job
moves, and that one rename is the verdict.

Everything before the rename is preparation: a crash there runs the job
again and its next verdict overwrites what was prepared.  Everything after
it is cleanup.
"""

import dataclasses
from typing import Any

from spooler import backoff, fsops, names, record, sidecar, units
from spooler.config import Handler
from spooler.record import Record, Run
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert
from spooler.verdicts import WORDS

#: A handler that asks for more gets this: the year fits into a name.
_DELAY_MAX_S = 10 * 365 * 86400.0

#: What becomes of the job: filed as done; tried again while attempts are
#: left; tried again without costing one; filed as failed at once.
DONE, RETRY, DEFER, FAIL = "done", "retry", "defer", "fail"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """
    How a run ended.

    Attributes:
        effect: DONE, RETRY, DEFER or FAIL.
        kind: a key of the table above.
        status: exit status or signal number.
        text: one line for a person.
        started_ns: wall clock.
        micros: length of the run.
        delay_s: asked for by the handler; None: backoff.
        value: what a Python handler returned.
        traceback: what it raised.
        out_bytes, err_bytes: captured in ``active/STEM.out`` and ``.err``.
        rusage: of a command.
        tags: of the document.
    """

    effect: str
    kind: str
    started_ns: int
    micros: int
    status: int | None = None
    text: str = ""
    delay_s: float | None = None
    value: Any = None
    traceback: str | None = None
    out_bytes: int = 0
    err_bytes: int = 0
    rusage: dict[str, float] | None = None
    tags: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The word that goes into the name."""
        number = self.status
        return WORDS[self.kind] + ("" if number is None else str(number))


@dataclasses.dataclass(frozen=True)
class Settled:
    """Where a job went: *name* is None if somebody else moved it first."""

    state: State
    name: str | None
    due_ns: int | None = None
    text: str = ""


_PLAIN_CHARS = (
    names.STEM_CHARS + len(".a1.c") + names.OWNER_CHARS + names.TOKEN_CHARS
)


def settle(
    spool: Spool,
    active: str,
    outcome: Outcome,
    handler: Handler | None,
    max_attempts: int | None,
    durable: bool,
    now_ns: int,
    dice: float,
    delete: bool = False,
) -> Settled:
    """
    File *outcome* for the job *active*.

    Args:
        handler: gives backoff and attempts; None if there is none.
        max_attempts: the job's own wish, over the handler's.
        durable: whether record and output are flushed before the verdict.
        now_ns: wall clock.
        dice: uniform in [0, 1).
        delete: if it succeeded, keep nothing of it.

    Returns:
        The state the job went to and its name there.

    Raises:
        OSError: the spool is in trouble; the job is still in ``active/``.
    """
    name = names.parse(active)
    if name is None:
        raise ValueError(f"not a job name: {active!r}")
    limit = max_attempts or (handler.attempts if handler else 1)
    old = sidecar.read_record(spool, State.DEFERRED, name.stem)
    # A producer who copies an id gets nothing of the other job's past.
    foreign = old is not None and handler is not None and (
        old.handler not in (None, handler.name)
    )
    runs = old.runs if old is not None and not foreign else ()
    runs = tuple(run for run in runs if run.run < name.runs)
    state, due_ns, text = _decide(
        outcome, name.runs, runs, handler, limit, now_ns, dice
    )
    if delete and state is State.DONE:
        has_past = name.runs > 1 or old is not None
        return _delete(spool, active, name.stem, has_past, foreign)
    entry = Run(
        run=name.runs,
        started_ns=outcome.started_ns,
        seconds=outcome.micros / 1e6,
        kind=outcome.kind,
        status=outcome.status,
        text=inert(text, record.REASON_MAX_CHARS),
        counted=outcome.effect in (RETRY, FAIL),
        rusage=outcome.rusage,
    )
    full = Record(
        id=name.id,
        handler=handler.name if handler else None,
        max_attempts=limit,
        runs=(*runs, entry),
        value=outcome.value,
        traceback=outcome.traceback,
        out_bytes=outcome.out_bytes,
        err_bytes=outcome.err_bytes,
        tags=outcome.tags,
        checkpoint=old.checkpoint if (
            old is not None and not foreign and state is State.DEFERRED
        ) else None,
    )
    beside = sidecar.is_beside(spool, state, name.stem)
    if beside and sidecar.has_job(spool, state, name.stem):
        active = spool.twin(active)
        sidecar.rename_output(spool, name.stem, active)
        name = names.parse(active) or name
    sidecar.put(spool, name.stem, state, full, durable, beside)
    moved = _move(spool, active, state, outcome, due_ns)
    if moved is None and _is_nowhere(spool, active):
        # Its handler moved or deleted it, as it may; its verdict needs one.
        if state is State.DEFERRED:
            # Nothing is left to be tried again.
            sidecar.drop(spool, state, name.stem)
            state, due_ns = State.FAILED, None
            text = f"{text}; its handler removed the job file".lstrip("; ")
            entry = dataclasses.replace(entry, text=inert(text))
            full = dataclasses.replace(
                full, runs=(*runs, entry), out_bytes=0, err_bytes=0
            )
            sidecar.put(spool, name.stem, state, full, durable)
        moved = spool.stand_in(
            active, state, outcome.verdict, outcome.micros
        )
    has_past = name.runs > 1 or old is not None
    if moved is not None and state is not State.DEFERRED and has_past:
        _tidy_up(spool, state, name.stem, foreign)
    return Settled(state, moved, due_ns, text)


def _delete(
    spool: Spool, active: str, stem: str, has_past: bool, foreign: bool
) -> Settled:
    """Keep nothing of a job that succeeded: its unlink is the verdict."""
    if not spool.delete(active) and not _is_nowhere(spool, active):
        return Settled(State.DONE, None)
    # A crash from here on leaves what recovery tidies: it has no job.
    try:
        for kind in ("out", "err"):
            fsops.unlink(spool.fds[State.ACTIVE], f"{stem}.{kind}")
        if has_past and not _is_taken(spool, State.DONE, stem):
            sidecar.drop(spool, State.DONE, stem)
    except OSError:
        pass
    if has_past:
        _tidy_up(spool, State.DONE, stem, foreign)
    return Settled(State.DONE, active)


def _tidy_up(
    spool: Spool, state: State, stem: str, foreign: bool
) -> None:
    """Drop what earlier runs left; the verdict stands whatever fails."""
    # An interrupted run may have prepared the other verdict.
    other = State.FAILED if state is State.DONE else State.DONE
    try:
        if not foreign:
            sidecar.drop(spool, State.DEFERRED, stem)
        if not _is_taken(spool, other, stem):
            sidecar.drop(spool, other, stem)
    except OSError:
        pass  # recovery tidies


def _is_taken(spool: Spool, state: State, stem: str) -> bool:
    """
    Whether what lies beside *stem* in *state* is another job's.

    It is when a producer copied a minted name; each keeps its own.  What an
    earlier verdict of the same job left has no job beside it.
    """
    return sidecar.is_beside(spool, state, stem) and (
        sidecar.has_job(spool, state, stem)
    )


def settle_plain(spool: Spool, active: str, micros: int) -> bool:
    """
    File the success of a job with nothing more to say: one rename.

    The common case, thousands a second.  It had only one run, returned
    nothing, wrote nothing, has no tags.

    Returns:
        False if that is not the whole story: settle it in full.
    """
    if not _is_first_run(active) or micros > names.MAX_MICROSECONDS:
        return False
    stem, tail = active[:names.STEM_CHARS], active[_PLAIN_CHARS:]
    return spool.finish_plain(active, f"{stem}.a1.vok.r{micros}{tail}")


def delete_plain(spool: Spool, active: str) -> bool:
    """The same of a job of which nothing is kept: one unlink."""
    return _is_first_run(active) and spool.delete(active)


def _is_first_run(active: str) -> bool:
    """Whether the name tells a claim and nothing else."""
    return (
        active[names.STEM_CHARS:names.STEM_CHARS + 5] == ".a1.c"
        and active.find(",") == _PLAIN_CHARS
    )


def _decide(
    outcome: Outcome,
    run: int,
    earlier: tuple[Run, ...],
    handler: Handler | None,
    limit: int,
    now_ns: int,
    dice: float,
) -> tuple[State, int | None, str]:
    """Where the job goes, when it is due again, and why, in one line."""
    text = outcome.text
    if outcome.effect == DONE:
        return State.DONE, None, text
    if outcome.effect == FAIL:
        return State.FAILED, None, text
    # Runs counted in the name but missing from the record were interrupted;
    # they count, or a job that kills spoold would be tried for ever.
    uncounted = sum(not old.counted for old in earlier)
    failures = run - uncounted
    if outcome.effect == RETRY and failures >= limit:
        return State.FAILED, None, text
    if run >= names.MAX_RUNS:
        return State.FAILED, None, f"run {run} times; {text}"
    delay = outcome.delay_s
    if delay is None or delay != delay:
        delay = _backoff(handler, failures, run, outcome, dice)
    delay = min(max(delay, 0.0), _DELAY_MAX_S)
    return State.DEFERRED, now_ns + round(delay * units.NS), text


def _backoff(
    handler: Handler | None, failures: int, run: int, outcome: Outcome,
    dice: float,
) -> float:
    if handler is None:
        return 0.0
    return backoff.delay_s(
        run if outcome.effect == DEFER else failures,
        handler.backoff_s, handler.max_backoff_s, dice,
    )


def _move(
    spool: Spool,
    active: str,
    state: State,
    outcome: Outcome,
    due_ns: int | None,
) -> str | None:
    if state is State.DONE:
        return spool.finish(active, outcome.verdict, outcome.micros)
    if state is State.FAILED:
        return spool.fail(active, outcome.verdict, outcome.micros)
    return spool.defer(active, outcome.verdict, due_ns or 0)


def _is_nowhere(spool: Spool, active: str) -> bool:
    """Whether the job is gone; False if it went elsewhere."""
    name = names.parse(active)
    assert name is not None
    for state in FLOW:
        for entry in spool.scan(state):
            if entry.name[2:names.STEM_CHARS] == name.id:
                if "," in entry.name:
                    return False
    return True
