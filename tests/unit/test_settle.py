# SPDX-License-Identifier: MIT
"""Filing the verdict of a run."""

import dataclasses
import errno
import os
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from spooler import (
    fsops, names, record, settle, sidecar, units, verdicts,
)
from spooler.config import Handler
from spooler.names import Name
from spooler.record import Record, Run
from spooler.settle import DEFER, DONE, FAIL, RETRY, Outcome, Settled
from spooler.spool import Spool
from spooler.states import State

NOW_NS = 1_795_316_400 * units.NS
ID = names.mint_id(NOW_NS, 12345)
STEM = f"4.{ID}"
OWNER = "0000a01"
CLAIM = OWNER + "0" * names.TOKEN_CHARS
TWIN = "0" * names.TWIN_CHARS
HANDLER = Handler(
    "mail", command=("true",), attempts=3, backoff_s=10, max_backoff_s=60
)
OK = Outcome(DONE, "ok", NOW_NS, 1500)
EXIT = Outcome(RETRY, "exit", NOW_NS, 1500, status=1, text="no such host")
LATER = Outcome(DEFER, "exit", NOW_NS, 1500, status=75, text="busy")
NEVER = Outcome(FAIL, "exit", NOW_NS, 1500, status=65, text="bad data")


def where(spool: Spool, state: State) -> pathlib.Path:
    """The directory of a state."""
    return pathlib.Path(spool.path, state.value)


def start(spool: Spool, runs: int = 1, text: str = "job") -> str:
    """Lay a job into active/ as claimed *runs* times."""
    name = Name(5, ID, "mail.job", runs=runs, claim=CLAIM)
    (where(spool, State.ACTIVE) / str(name)).write_text(text)
    return str(name)


def file(
    spool: Spool, active: str, outcome: Outcome, **keys: Any
) -> Settled:
    """Settle with what most tests do not care about."""
    values: dict[str, Any] = {
        "handler": HANDLER, "max_attempts": None, "durable": False,
        "now_ns": NOW_NS, "dice": 0.5, **keys,
    }
    return settle.settle(spool, active, outcome, **values)


def again(spool: Spool, settled: Settled) -> str:
    """Let a deferred job come due and claim it."""
    assert settled.state is State.DEFERRED and settled.name is not None
    waiting = spool.retry(settled.name)
    assert waiting is not None
    active = spool.claim(waiting, OWNER)
    assert active is not None
    return active


def lying(spool: Spool, state: State) -> list[str]:
    """What lies in a state's directory."""
    return sorted(os.listdir(where(spool, state)))


def told(spool: Spool, state: State) -> Record:
    """The record in a state's directory; there is one."""
    read = sidecar.read_record(spool, state, STEM)
    assert read is not None
    return read


def test_success(opened: Spool) -> None:
    """A job that succeeded lies in done/ and its name tells how it went."""
    active = start(opened)
    settled = file(opened, active, OK)
    assert settled == Settled(
        State.DONE, f"{STEM}.a1.vok.r1500,mail.job"
    )
    assert settled.name in lying(opened, State.DONE)
    assert lying(opened, State.ACTIVE) == []
    if f"{STEM}.result" in lying(opened, State.DONE):
        assert [run.kind for run in told(opened, State.DONE).runs] == ["ok"]


def test_a_deleted_success_leaves_nothing(opened: Spool) -> None:
    """Of a job that is not kept no file is left, neither of its runs nor of
    what it returned and wrote."""
    first = file(opened, start(opened), Outcome("retry", "exit", NOW_NS, 7, 1))
    active = again(opened, first)
    for kind in ("out", "err"):
        (where(opened, State.ACTIVE) / f"{STEM}.{kind}").write_text("x")
    # An interrupted run prepared the other verdict.
    (where(opened, State.FAILED) / f"{STEM}.result").write_text("x")
    settled = file(
        opened, active, dataclasses.replace(OK, value=1, out_bytes=1),
        delete=True,
    )
    assert settled.state is State.DONE and settled.name is not None
    for state in State:
        if state is not State.GONE:
            assert lying(opened, state) == []


def test_a_failure_is_never_deleted(opened: Spool) -> None:
    """Only success is; what failed is kept or tried again."""
    bad = Outcome("fail", "exit", NOW_NS, 7, 65)
    assert file(opened, start(opened), bad, delete=True).state is State.FAILED
    assert len(lying(opened, State.FAILED)) == 2


def test_a_deleted_job_may_be_gone_already(opened: Spool) -> None:
    """If its handler removed its file there is nothing to do; if somebody
    moved it away, it is that job's next move that counts."""
    active = start(opened)
    (where(opened, State.ACTIVE) / active).unlink()
    assert not settle.delete_plain(opened, active)
    assert file(opened, active, OK, delete=True).name is not None
    active = start(opened)
    assert opened.give_back(active)
    assert not settle.delete_plain(opened, active)
    assert file(opened, active, OK, delete=True).name is None
    assert len(lying(opened, State.INCOMING)) == 1


@pytest.mark.parametrize("runs", [1, 2])
def test_a_plain_deletion_is_of_a_first_run(
    opened: Spool, runs: int
) -> None:
    """One unlink is the whole story only of a job with no past."""
    active = start(opened, runs)
    assert settle.delete_plain(opened, active) is (runs == 1)
    assert len(lying(opened, State.ACTIVE)) == runs - 1


def test_plain_success(opened: Spool) -> None:
    """A first run with nothing to say costs one rename and no record."""
    active = start(opened)
    assert settle.settle_plain(opened, active, 1500) is True
    assert lying(opened, State.DONE) == [f"{STEM}.a1.vok.r1500,mail.job"]
    assert lying(opened, State.ACTIVE) == []


@pytest.mark.parametrize(
    "marks, micros",
    [({"runs": 2}, 5), ({"runs": 11}, 5), ({"runs": 1, "twin": TWIN}, 5),
     ({"runs": 1, "handler": "mail"}, 5), ({"runs": 1}, 10**10)],
    ids=["again", "eleven", "twin", "handler", "long"],
)
def test_what_is_not_plain(
    opened: Spool, marks: dict[str, Any], micros: int
) -> None:
    """The short way files right what it takes, and leaves the rest."""
    name = Name(5, ID, "a.job", claim=CLAIM, **marks)
    (where(opened, State.ACTIVE) / str(name)).touch()
    if settle.settle_plain(opened, str(name), micros):
        final = name.waiting(name.runs)
        final.verdict, final.micros = "ok", micros
        assert lying(opened, State.DONE) == [str(final)]
    else:
        assert lying(opened, State.ACTIVE) == [str(name)]
        assert lying(opened, State.DONE) == []


def test_a_job_that_is_gone_is_not_plain(opened: Spool) -> None:
    """A job its handler moved away is settled in full instead."""
    active = start(opened)
    os.unlink(where(opened, State.ACTIVE) / active)
    assert settle.settle_plain(opened, active, 5) is False


def test_a_value_is_kept(opened: Spool) -> None:
    """What a handler returned lies beside the job."""
    outcome = dataclasses.replace(OK, value={"sent": 3}, tags=("a",))
    settled = file(opened, start(opened), outcome)
    assert settled.state is State.DONE
    read = told(opened, State.DONE)
    assert (read.id, read.handler, read.value) == (ID, "mail", {"sent": 3})
    assert (read.max_attempts, read.tags) == (3, ("a",))
    assert read.runs == (Run(1, NOW_NS, 0.0015, "ok", counted=False),)


def test_a_failed_attempt_is_tried_again(opened: Spool) -> None:
    """With attempts left the job waits, and its record beside it."""
    settled = file(opened, start(opened), EXIT)
    due_ns = NOW_NS + 5 * units.NS
    name = Name(
        5, ID, "mail.job", runs=1, due_ns=due_ns, verdict="exit1"
    )
    assert settled == Settled(
        State.DEFERRED, str(name), due_ns, "no such host"
    )
    assert lying(opened, State.DEFERRED) == [str(name), f"{STEM}.result"]
    run = told(opened, State.DEFERRED).runs[0]
    assert (run.kind, run.status, run.text, run.counted) == (
        "exit", 1, "no such host", True
    )


def test_attempts_are_used_up(opened: Spool) -> None:
    """After the last attempt the job fails, and tells of every run."""
    settled = file(opened, start(opened), EXIT)
    for _ in range(2):
        active = again(opened, settled)
        settled = file(opened, active, EXIT)
    assert settled.state is State.FAILED
    assert settled.name == f"{STEM}.a3.vexit1.r1500,mail.job"
    runs = told(opened, State.FAILED).runs
    assert [run.run for run in runs] == [1, 2, 3]
    assert lying(opened, State.DEFERRED) == []


@pytest.mark.parametrize(
    "handler, wish, runs, state",
    [
        (HANDLER, None, 2, State.DEFERRED),
        (HANDLER, None, 3, State.FAILED),
        (HANDLER, None, 4, State.FAILED),
        (HANDLER, 1, 1, State.FAILED),
        (HANDLER, 5, 4, State.DEFERRED),
        (HANDLER, 5, 5, State.FAILED),
        (None, None, 1, State.FAILED),
        (None, 2, 1, State.DEFERRED),
    ],
)
def test_how_many_attempts(
    opened: Spool, handler: Handler | None, wish: int | None, runs: int,
    state: State,
) -> None:
    """The job's own wish wins over the handler's; without both it is one."""
    settled = file(
        opened, start(opened, runs), EXIT, handler=handler, max_attempts=wish
    )
    assert settled.state is state


def test_interrupted_runs_count(opened: Spool) -> None:
    """Runs in the name but in no record killed spoold: they count."""
    settled = file(opened, start(opened, 3), EXIT)
    assert settled.state is State.FAILED
    assert [run.run for run in told(opened, State.FAILED).runs] == [3]


def test_a_permanent_verdict(opened: Spool) -> None:
    """What can never succeed fails at once, whatever attempts are left."""
    settled = file(opened, start(opened), NEVER)
    assert settled == Settled(
        State.FAILED, f"{STEM}.a1.vexit65.r1500,mail.job", None, "bad data"
    )


def test_defers_cost_no_attempt(opened: Spool) -> None:
    """A job put off ten times still has all its attempts."""
    settled = file(opened, start(opened), LATER)
    for _ in range(9):
        settled = file(opened, again(opened, settled), LATER)
    for _ in range(2):
        settled = file(opened, again(opened, settled), EXIT)
        assert settled.state is State.DEFERRED
    settled = file(opened, again(opened, settled), EXIT)
    assert settled.state is State.FAILED
    runs = told(opened, State.FAILED).runs
    assert [run.run for run in runs] == list(range(1, 14))
    assert [run.counted for run in runs] == [False] * 10 + [True] * 3


def test_defers_may_be_mixed_with_failures(opened: Spool) -> None:
    """Failures count wherever they stand among the defers."""
    settled = file(opened, start(opened), EXIT)
    for outcome in (LATER, EXIT, LATER, LATER):
        settled = file(opened, again(opened, settled), outcome)
        assert settled.state is State.DEFERRED
    assert file(opened, again(opened, settled), EXIT).state is State.FAILED


def test_a_job_cannot_be_put_off_for_ever(opened: Spool) -> None:
    """A defer at the largest count of runs fails, and says so."""
    settled = file(opened, start(opened, names.MAX_RUNS), LATER)
    assert settled.state is State.FAILED
    assert "999 times; busy" in settled.text


def test_a_job_cannot_be_tried_for_ever(opened: Spool) -> None:
    """A failure at the largest count of runs is the last one."""
    runs = tuple(
        Run(number, NOW_NS, 0.1, "exit", 75, counted=False)
        for number in range(1, names.MAX_RUNS)
    )
    data = record.encode(Record(ID, "mail", 3, runs))
    (where(opened, State.DEFERRED) / f"{STEM}.result").write_bytes(data)
    settled = file(opened, start(opened, names.MAX_RUNS), EXIT)
    assert settled.state is State.FAILED


@pytest.mark.parametrize(
    "runs, dice, seconds",
    [(1, 0.0, 0), (1, 0.5, 5), (2, 0.5, 10), (2, 0.999, 19.98)],
)
def test_backoff(
    opened: Spool, runs: int, dice: float, seconds: float
) -> None:
    """The wait doubles with each failure and is spread by the dice."""
    settled = file(opened, start(opened, runs), EXIT, dice=dice)
    assert settled.due_ns == NOW_NS + round(seconds * units.NS)


def test_backoff_is_capped(opened: Spool) -> None:
    """No wait is longer than the handler's max_backoff."""
    settled = file(
        opened, start(opened, 9), EXIT, max_attempts=99, dice=0.5
    )
    assert settled.due_ns == NOW_NS + 30 * units.NS


def test_backoff_after_defers_is_that_of_failures(opened: Spool) -> None:
    """A first failure after many defers waits as a first failure does."""
    settled = file(opened, start(opened), LATER)
    for _ in range(4):
        settled = file(opened, again(opened, settled), LATER)
    settled = file(opened, again(opened, settled), EXIT)
    assert settled.due_ns == NOW_NS + 5 * units.NS


@pytest.mark.parametrize("outcome", [EXIT, LATER])
@pytest.mark.parametrize("delay_s", [0, 0.25, 3600])
def test_a_handler_may_name_the_wait(
    opened: Spool, outcome: Outcome, delay_s: float
) -> None:
    """A wait the handler asked for is taken instead of the backoff."""
    outcome = dataclasses.replace(outcome, delay_s=delay_s)
    settled = file(opened, start(opened), outcome)
    assert settled.due_ns == NOW_NS + round(delay_s * units.NS)


@pytest.mark.parametrize(
    "delay_s", [-1.0, -1e12, 1e12, 1e30, float("inf"), float("nan")]
)
def test_an_absurd_wait(opened: Spool, delay_s: float) -> None:
    """A wait no name can hold does not keep the job from being filed."""
    outcome = dataclasses.replace(LATER, delay_s=delay_s)
    settled = file(opened, start(opened), outcome)
    assert settled.state is State.DEFERRED and settled.name is not None
    name = names.parse(settled.name)
    assert name is not None and name.due_ns is not None
    assert settled.due_ns is not None
    assert 0 <= name.due_ns - settled.due_ns < 1000
    assert settled.due_ns >= (NOW_NS if delay_s > 0 else 0)


def test_a_record_of_all_runs(opened: Spool) -> None:
    """The final record has every run in order, and the last one's value."""
    settled = file(opened, start(opened), EXIT)
    trouble = Outcome(
        RETRY, "error", NOW_NS + 1, 10, text="KeyError: 'x'",
        traceback="Traceback ...",
    )
    settled = file(opened, again(opened, settled), trouble)
    assert told(opened, State.DEFERRED).traceback == "Traceback ..."
    done = dataclasses.replace(OK, value=[1], started_ns=NOW_NS + 2)
    settled = file(opened, again(opened, settled), done)
    assert settled.name == f"{STEM}.a3.vok.r1500,mail.job"
    read = told(opened, State.DONE)
    assert [(run.run, run.kind, run.started_ns) for run in read.runs] == [
        (1, "exit", NOW_NS), (2, "error", NOW_NS + 1), (3, "ok", NOW_NS + 2)
    ]
    assert read.value == [1] and read.traceback is None
    assert lying(opened, State.DEFERRED) == []
    assert len(lying(opened, State.DONE)) == 2


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\0" * 100], ids=["empty", "cut", "zeros"]
)
def test_a_torn_record_is_not_believed(opened: Spool, data: bytes) -> None:
    """A torn record of earlier runs is left out, and the job goes on."""
    (where(opened, State.DEFERRED) / f"{STEM}.result").write_bytes(data)
    settled = file(opened, start(opened, 2), EXIT)
    assert settled.state is State.DEFERRED
    assert [run.run for run in told(opened, State.DEFERRED).runs] == [2]


def test_a_record_of_a_former_life_is_left_out(opened: Spool) -> None:
    """Runs not before this one are of a job that was requeued since."""
    old = Record(ID, "mail", 3, tuple(
        Run(number, NOW_NS, 0.1, "exit", 1) for number in (1, 2, 3)
    ))
    (where(opened, State.DEFERRED) / f"{STEM}.result").write_bytes(
        record.encode(old)
    )
    file(opened, start(opened, 2), EXIT)
    assert [run.run for run in told(opened, State.DEFERRED).runs] == [1, 2]


@pytest.mark.parametrize("durable", [True, False])
def test_output_goes_with_the_job(opened: Spool, durable: bool) -> None:
    """What a run wrote lies beside the job it is of, in every state."""
    for kind, text in (("out", "hello"), ("err", "ouch!")):
        (where(opened, State.ACTIVE) / f"{STEM}.{kind}").write_text(text)
    spoken = dataclasses.replace(EXIT, out_bytes=5, err_bytes=5)
    settled = file(opened, start(opened), spoken, durable=durable)
    for kind, text in (("out", "hello"), ("err", "ouch!")):
        path = where(opened, State.DEFERRED) / f"{STEM}.{kind}"
        assert path.read_text() == text
    read = told(opened, State.DEFERRED)
    assert (read.out_bytes, read.err_bytes) == (5, 5)
    active = again(opened, settled)
    (where(opened, State.ACTIVE) / f"{STEM}.out").write_text("bye")
    quiet = dataclasses.replace(OK, out_bytes=3)
    file(opened, active, quiet, durable=durable)
    assert lying(opened, State.DEFERRED) == []
    assert lying(opened, State.ACTIVE) == []
    assert (where(opened, State.DONE) / f"{STEM}.out").read_text() == "bye"
    assert f"{STEM}.err" not in lying(opened, State.DONE)


def test_output_of_a_former_verdict_is_removed(opened: Spool) -> None:
    """A job sent back and failed anew shows no output of its last life."""
    for kind in ("out", "err"):
        (where(opened, State.FAILED) / f"{STEM}.{kind}").write_text("old")
    file(opened, start(opened), NEVER)
    assert lying(opened, State.FAILED) == [
        f"{STEM}.a1.vexit65.r1500,mail.job", f"{STEM}.result"
    ]


@pytest.mark.parametrize(
    "outcome, state",
    [(OK, State.DONE), (dataclasses.replace(OK, value=1), State.DONE),
     (NEVER, State.FAILED)],
    ids=["plain", "value", "fail"],
)
def test_a_handler_that_removed_its_file(
    opened: Spool, outcome: Outcome, state: State
) -> None:
    """A job whose file its handler took still gets its verdict."""
    active = start(opened)
    os.unlink(where(opened, State.ACTIVE) / active)
    settled = file(opened, active, outcome)
    assert settled.state is state
    assert settled.name in lying(opened, state)
    assert lying(opened, State.ACTIVE) == []


def test_a_removed_file_is_not_run_again(opened: Spool) -> None:
    """A failed job without its file is not run again on an empty one."""
    active = start(opened)
    os.unlink(where(opened, State.ACTIVE) / active)
    settled = file(opened, active, EXIT)
    assert settled.state is State.FAILED
    assert lying(opened, State.DEFERRED) == []


@pytest.mark.parametrize(
    "state", [State.INCOMING, State.ACTIVE, State.HELD, State.FAILED],
    ids=["recovered", "claimed again", "held", "killed"],
)
def test_a_job_somebody_moved(opened: Spool, state: State) -> None:
    """A job that was recovered or killed meanwhile is left alone."""
    active = start(opened)
    if state is State.FAILED:
        moved = opened.fail(active, "killed", 5)
    else:
        moved = opened.recover(active)
    assert moved is not None
    if state is State.ACTIVE:
        moved = opened.claim(moved, "0000b02")
    elif state is State.HELD:
        moved = opened.hold(State.INCOMING, moved)
    settled = file(opened, active, dataclasses.replace(OK, value=1))
    assert settled.name is None
    jobs = [
        (place, name) for place in State if place is not State.GONE
        for name in lying(opened, place) if "," in name
    ]
    assert jobs == [(state, moved)]


def test_what_is_no_job_is_not_settled(opened: Spool) -> None:
    """A name that is not of the grammar is the caller's bug."""
    with pytest.raises(ValueError, match="not a job name"):
        file(opened, "photo.jpg", OK)


@pytest.mark.parametrize("durable", [True, False])
def test_durable_means_flushed_before_the_verdict(
    opened: Spool, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    """Record and output are on the disk before the one rename."""
    calls: list[str] = []
    real_sync, real_move = os.fsync, fsops.rename_noreplace

    def fsync(fd: int) -> None:
        calls.append("sync")
        real_sync(fd)

    def move(*args: Any) -> bool:
        calls.append("move")
        return real_move(*args)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(fsops, "rename_noreplace", move)
    (where(opened, State.ACTIVE) / f"{STEM}.out").write_text("hello")
    outcome = dataclasses.replace(OK, out_bytes=5, value=1)
    file(opened, start(opened), outcome, durable=durable)
    move_at = calls.index("move")
    assert calls.count("move") == 1
    assert calls[:move_at].count("sync") >= (2 if durable else 0)
    assert durable or "sync" not in calls


@pytest.mark.parametrize("outcome", [OK, EXIT, NEVER], ids=lambda o: o.effect)
@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("name", ["write", "fsync", "rename", "unlink"])
def test_a_verdict_is_filed_once_the_disk_heals(
    opened: Spool, monkeypatch: pytest.MonkeyPatch,
    broken: Callable[..., Any], outcome: Outcome, durable: bool, name: str,
) -> None:
    """Trouble keeps the job in active/, and the next try files it whole."""
    outcome = dataclasses.replace(outcome, out_bytes=5, err_bytes=4)
    active = start(opened)
    (where(opened, State.ACTIVE) / f"{STEM}.out").write_text("hello")
    (where(opened, State.ACTIVE) / f"{STEM}.err").write_text("ouch")
    for skip in range(3):
        broken(os, name, errno.ENOSPC, skip=skip)
        try:
            settled = file(opened, active, outcome, durable=durable)
            break
        except OSError as error:
            assert error.errno == errno.ENOSPC
        finally:
            monkeypatch.undo()
        assert active in lying(opened, State.ACTIVE)
    else:
        settled = file(opened, active, outcome, durable=durable)
    assert settled.name in lying(opened, settled.state)
    assert lying(opened, State.ACTIVE) == []
    read = told(opened, settled.state)
    assert (read.out_bytes, read.err_bytes) == (5, 4)
    place = where(opened, settled.state)
    assert (place / f"{STEM}.out").read_text() == "hello"
    assert (place / f"{STEM}.err").read_text() == "ouch"


def test_output_that_vanished(opened: Spool) -> None:
    """Captured output that somebody deleted does not hold up a verdict."""
    outcome = dataclasses.replace(NEVER, out_bytes=5)
    settled = file(opened, start(opened), outcome, durable=True)
    assert settled.state is State.FAILED


@pytest.mark.parametrize("value", [{1}, float("nan"), object()], ids=[
    "set", "NaN", "object"
])
def test_a_value_that_is_no_json(opened: Spool, value: Any) -> None:
    """A value nobody can write down is left out, not the whole record."""
    outcome = dataclasses.replace(OK, value=value)
    assert file(opened, start(opened), outcome).state is State.DONE
    assert told(opened, State.DONE).value is None


def test_a_deep_value(opened: Spool) -> None:
    """A value nested hundreds of levels does not stop the verdict."""
    value: list[Any] = []
    for _ in range(900):
        value = [value]
    outcome = dataclasses.replace(OK, value=value)
    settled = file(opened, start(opened), outcome)
    assert settled.name in lying(opened, State.DONE)
    told(opened, State.DONE)


def test_reasons_are_one_inert_line(opened: Spool) -> None:
    """What a handler said is kept as a line that can be shown."""
    outcome = dataclasses.replace(EXIT, text="\x1b[2J\n" + "x" * 5000)
    file(opened, start(opened), outcome)
    text = told(opened, State.DEFERRED).runs[0].text
    assert text.startswith("\\x1b[2J\\n") and text.isprintable()
    assert len(text) <= record.REASON_MAX_CHARS


def test_a_record_of_999_runs_can_be_read(opened: Spool) -> None:
    """The longest history, with the longest reasons, is not cut off."""
    text = "\u65e5" * record.REASON_MAX_CHARS
    runs = tuple(
        Run(number, NOW_NS, 0.1, "exit", 75, text, counted=False)
        for number in range(1, names.MAX_RUNS - 1)
    )
    data = record.encode(Record(ID, "mail", 3, runs))
    (where(opened, State.DEFERRED) / f"{STEM}.result").write_bytes(data)
    settled = file(opened, start(opened, names.MAX_RUNS - 1), EXIT)
    assert settled.state is State.DEFERRED  # its first counted failure


def statuses(kind: str) -> tuple[int | None, ...]:
    """The statuses an outcome of *kind* can have."""
    return {"exit": (1, 255), "signal": (1, 64)}.get(kind, (None,))


@pytest.mark.parametrize(
    "kind, status",
    [(kind, status) for kind in sorted(verdicts.KINDS.values())
     for status in statuses(kind)],
)
def test_every_verdict_fits_a_name(kind: str, status: int | None) -> None:
    """Every verdict is a word of the grammar and is read back."""
    verdict = Outcome(RETRY, kind, 0, 0, status=status).verdict
    name = names.parse(str(Name(5, ID, "x", runs=1, verdict=verdict)))
    assert name is not None and name.verdict == verdict
    assert verdicts.reason_of(verdict) == (kind, status)
    assert verdicts.describe(kind, status, "")
    assert verdicts.describe(kind, status, "why").endswith("why")


@pytest.mark.parametrize(
    "kind, status, text, shown",
    [
        ("exit", 3, "", "exit 3"),
        ("exit", 3, "no such host", "exit 3: no such host"),
        ("signal", 9, "SIGKILL", "signal 9: SIGKILL"),
        ("timeout", None, "", "timed out"),
        ("timeout", None, "timed out after 5s", "timed out after 5s"),
        ("error", None, "KeyError: 'x'", "KeyError: 'x'"),
        ("bad", None, "", "bad"),
    ],
)
def test_describe(
    kind: str, status: int | None, text: str, shown: str
) -> None:
    """A reason is one line: what happened, then what was said."""
    assert verdicts.describe(kind, status, text) == shown


def test_an_unknown_verdict_is_shown_as_it_is() -> None:
    """A word of a later version is passed on, not an error."""
    assert verdicts.reason_of("odd7") == ("odd", 7)


def test_drop_sidecars(opened: Spool) -> None:
    """All that lies beside one job is deleted, and nothing of another."""
    place = where(opened, State.DONE)
    for kind in names.SIDECARS:
        (place / f"{STEM}.{kind}").touch()
    (place / f"{STEM}.z{TWIN}.out").touch()
    sidecar.drop(opened, State.DONE, STEM)
    sidecar.drop(opened, State.DONE, STEM)
    assert lying(opened, State.DONE) == [f"{STEM}.z{TWIN}.out"]
