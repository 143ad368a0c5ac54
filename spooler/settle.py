# SPDX-License-Identifier: MIT
"""
File the verdict of a run: what it left goes beside the job, then the job
moves, and that one rename is the verdict.

Everything before the rename is preparation: a crash there runs the job
again and its next verdict overwrites what was prepared.  Everything after
it is cleanup.
"""

import dataclasses
import os
from typing import Any

from spooler import backoff, fsops, names, record, units
from spooler.config import Handler
from spooler.record import Record, Run
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert

#: What becomes of the job: filed as done; tried again while attempts are
#: left; tried again without costing one; filed as failed at once.
DONE, RETRY, DEFER, FAIL = "done", "retry", "defer", "fail"

_WORDS = {
    "ok": "ok", "exit": "exit", "signal": "sig", "timeout": "timeout",
    "error": "error", "defer": "defer", "fail": "fail", "bad": "bad",
    "lost": "lost", "killed": "killed", "no-handler": "noroute",
    "unknown-handler": "unknown", "start": "start",
}
KINDS = {word: kind for kind, word in _WORDS.items()}


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
        return _WORDS[self.kind] + ("" if number is None else str(number))


@dataclasses.dataclass(frozen=True)
class Settled:
    """Where a job went: *name* is None if somebody else moved it first."""

    state: State
    name: str | None
    due_ns: int | None = None
    text: str = ""


def reason_of(verdict: str) -> tuple[str, int | None]:
    """Kind and status that a verdict word in a name stands for."""
    word = verdict.rstrip("0123456789")
    digits = verdict[len(word):]
    return KINDS.get(word, word), int(digits) if digits else None


def describe(kind: str, status: int | None, text: str) -> str:
    """The reason in one line, as INFO shows it."""
    if kind in ("exit", "signal"):
        head = f"{kind} {status}"
        return f"{head}: {text}" if text else head
    return text or _PLAIN.get(kind, kind)


_PLAIN = {
    "no-handler": "no handler: no pattern matches its name, no default",
    "unknown-handler": "its handler is not configured",
    "lost": "interrupted: its worker or spoold died",
    "killed": "killed",
    "timeout": "timed out",
    "defer": "asked to be run later",
}


def settle(
    spool: Spool,
    active: str,
    outcome: Outcome,
    handler: Handler | None,
    max_attempts: int | None,
    durable: bool,
    now_ns: int,
    dice: float,
) -> Settled:
    """
    File *outcome* for the job *active*.

    Args:
        handler: gives backoff and attempts; None if there is none.
        max_attempts: the job's own wish, over the handler's.
        durable: whether record and output are flushed before the verdict.
        now_ns: wall clock.
        dice: uniform in [0, 1).

    Returns:
        The state the job went to and its name there.

    Raises:
        OSError: the spool is in trouble; the job is still in ``active/``.
    """
    name = names.parse(active)
    if name is None:
        raise ValueError(f"not a job name: {active!r}")
    limit = max_attempts or (handler.attempts if handler else 1)
    old = read_record(spool, State.DEFERRED, name.stem)
    runs = old.runs if old is not None else ()
    runs = tuple(run for run in runs if run.run < name.runs)
    state, due_ns, text = _decide(
        outcome, name.runs, runs, handler, limit, now_ns, dice
    )
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
    )
    _file_sidecars(spool, name.stem, state, full, durable)
    moved = _move(spool, active, state, outcome, due_ns)
    if moved is not None and state is not State.DEFERRED and name.runs > 1:
        drop_sidecars(spool, State.DEFERRED, name.stem)
    return Settled(state, moved, due_ns, text)


def settle_plain(spool: Spool, active: str, micros: int) -> bool:
    """
    File the success of a job with nothing more to say: one rename.

    The common case, thousands a second.  It had only one run, returned
    nothing, wrote nothing, has no tags.

    Returns:
        False if that is not the whole story: settle it in full.
    """
    head, _, tail = active.partition(",")
    run = head[names.STEM_CHARS:names.STEM_CHARS + 5]
    if run != ".a1.c" or micros > names.MAX_MICROSECONDS:
        return False
    stem = head[:names.STEM_CHARS]
    return spool.finish_plain(active, f"{stem}.a1.vok.r{micros},{tail}")


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
    if outcome.effect == DEFER:
        failures -= 1
        if run >= names.MAX_RUNS:
            return State.FAILED, None, f"deferred {run} times; {text}"
    elif failures >= limit:
        return State.FAILED, None, text
    delay = outcome.delay_s
    if delay is None:
        base = handler.backoff_s if handler else 0.0
        cap = handler.max_backoff_s if handler else 0.0
        count = run if outcome.effect == DEFER else failures
        delay = backoff.delay_s(max(1, count), base, cap, dice)
    return State.DEFERRED, now_ns + round(delay * units.NS), text


def _move(
    spool: Spool,
    active: str,
    state: State,
    outcome: Outcome,
    due_ns: int | None,
) -> str | None:
    for _ in range(2):
        if state is State.DONE:
            moved = spool.finish(active, outcome.verdict, outcome.micros)
        elif state is State.FAILED:
            moved = spool.fail(active, outcome.verdict, outcome.micros)
        else:
            moved = spool.defer(active, outcome.verdict, due_ns or 0)
        if moved is not None or not _handler_took_it(spool, active):
            return moved
    return None


def _handler_took_it(spool: Spool, active: str) -> bool:
    """
    Stand in for a job file that its handler moved or deleted.

    A handler may well keep the file it was given; the job still needs one to
    carry its verdict.  False if the job went elsewhere (recovered, killed).
    """
    name = names.parse(active)
    assert name is not None
    for state in (State.INCOMING, State.DEFERRED, State.DONE, State.FAILED):
        for entry in spool.scan(state):
            if entry.name[2:names.STEM_CHARS] == name.id:
                if "," in entry.name:
                    return False
    os.close(fsops.create(spool.fds[State.ACTIVE], active))
    return True


def _file_sidecars(
    spool: Spool, stem: str, state: State, full: Record, durable: bool
) -> None:
    active_fd, fd = spool.fds[State.ACTIVE], spool.fds[state]
    for kind, size in (("out", full.out_bytes), ("err", full.err_bytes)):
        sidecar = f"{stem}.{kind}"
        if not size:
            # Of an earlier verdict of the same job, sent back since.
            fsops.unlink(fd, sidecar)
            continue
        if durable:
            data_fd = os.open(
                sidecar, fsops.NOFOLLOW_READ, dir_fd=active_fd
            )
            try:
                fsops.sync(data_fd)
            finally:
                os.close(data_fd)
        fsops.rename(active_fd, sidecar, fd, sidecar)
    try:
        data = record.encode(full)
    except (ValueError, TypeError):
        # The worker checks values; a record without one beats none at all.
        data = record.encode(dataclasses.replace(full, value=None))
    fsops.replace_file(fd, f"{stem}.result", data, durable)


def read_record(spool: Spool, state: State, stem: str) -> Record | None:
    """The whole record beside a job in *state*; None if absent or torn."""
    data = fsops.read_file(
        spool.fds[state], f"{stem}.result", record.RECORD_MAX_BYTES
    )
    return None if data is None else record.decode(data)


def drop_sidecars(spool: Spool, state: State, stem: str) -> None:
    """Delete what lies beside a job of *stem* in *state*."""
    for kind in names.SIDECARS:
        fsops.unlink(spool.fds[state], f"{stem}.{kind}")
