# SPDX-License-Identifier: MIT
"""
Which points are struck, and how: the short form for every commit, the long
form with SPOOL_LONG=1.
"""

import os
from collections.abc import Callable, Iterator

from fault.control import (
    ALL,
    CALLER,
    CHANGE,
    DAEMON,
    ERROR,
    KILL_AFTER,
    KILL_BEFORE,
    OPEN,
    READ,
    SHORT,
)
from fault.killpoints import Stage, Tally, count

from support import LONG, sized

from spooler import fsops

TARGETS = {"caller": CALLER, "daemon": DAEMON, "all": ALL}
WHEN = {"before": KILL_BEFORE, "after": KILL_AFTER}
#: A run differs a little from the next; points beyond the last are tried
#: until so many in a row were not reached.
_BEYOND = 5
_STICKY_S = 0.3  #: how long the trouble lasts
#: What a kill may make of a job with few attempts.
_KILLED = frozenset(("lost",))


def spread(total: int, sample: int, phase: int) -> Iterator[int]:
    """Points 1..total: all in the long form, else evenly spaced ones."""
    if LONG >= 1:
        # A little further, or none is ever the last.
        yield from range(1, total + 2 * _BEYOND)
        return
    step = max(1.0, total / sample)
    first = 1 + phase % max(1, round(step))
    for number in range(sample):
        point = first + round(number * step)
        if point <= total:
            yield point


def _sweep(
    tally: Tally, points: Iterator[int],
    strike: Callable[[int], tuple[bool, str, list[str]]],
) -> None:
    for point in points:
        fired, what, wrong = strike(point)
        tally.add(f"{tally.kind} at {point} ({what})", fired, wrong)


def kills(
    stage: Stage, when: str, whom: str, sample: int, phase: int
) -> Tally:
    """Kill at every point of spoold's run, recover, judge."""
    tally = Tally(f"kill {whom} {when}")

    def strike(point: int) -> tuple[bool, str, list[str]]:
        with stage.place() as place:
            stage.run("produce", place)
            code = stage.run(
                "spoold", place, at=point, action=WHEN[when],
                target=TARGETS[whom],
            )
            fired, what = stage.fired, stage.control.what
            wrong = [] if code is not None else ["HUNG"]
            wrong += place.running()
            return fired, what, wrong + stage.finish(place, _KILLED)

    total = count(stage, "spoold")
    _sweep(tally, spread(total, sized(sample, total), phase), strike)
    return tally


def errors(
    stage: Stage, number: int, sticky: bool, sample: int, phase: int,
    mask: int = CHANGE | OPEN | READ,
) -> Tally:
    """Let every call of spoold's run fail, once or for a while; judge."""
    error = OSError(number, "")
    name = os.strerror(number)
    tally = Tally(f"{name}{' for a while' if sticky else ' once'}")
    # Trouble that passes is not the job's fault: one attempt must do.  What
    # a person must mend may be held against the job.
    passes = fsops.is_temporary(error)
    also = frozenset() if passes else frozenset(
        ("bad", "start", "error", "lost")
    )

    def strike(point: int) -> tuple[bool, str, list[str]]:
        with stage.place(1 if passes else 9) as place:
            stage.run("produce", place)
            code = stage.run(
                "spoold", place, lift_s=_STICKY_S if sticky else None,
                at=point, action=ERROR, number=number, sticky=int(sticky),
                mask=mask,
            )
            fired, what = stage.fired, stage.control.what
            wrong = [] if code is not None else ["HUNG"]
            return fired, what, wrong + stage.finish(place, also)

    total = count(stage, "spoold", mask)
    _sweep(tally, spread(total, sample, phase), strike)
    return tally


def shorts(stage: Stage, sample: int, phase: int) -> Tally:
    """Let every write and read take half of what it was given."""
    tally = Tally("short write or read")

    def strike(point: int) -> tuple[bool, str, list[str]]:
        with stage.place(1) as place:
            stage.run("produce", place)
            stage.run(
                "spoold", place, at=point, action=SHORT, sticky=1,
                mask=CHANGE | READ,
            )
            fired, what = stage.fired, stage.control.what
            return fired, what, stage.finish(place)

    total = count(stage, "spoold", CHANGE | READ)
    _sweep(tally, spread(total, sample, phase), strike)
    return tally


def producers(
    stage: Stage, sample: int, phase: int, **rule: int
) -> Tally:
    """Strike a producer at every point; then all it confirmed must run."""
    tally = Tally(f"producer {rule}")
    total = count(stage, "submit")
    with stage.place() as place:
        for point in spread(total, sample, phase):
            code = stage.run("submit", place, at=point, **rule)
            wrong = [] if code in (0, -9) else [f"ended with {code}"]
            tally.add(
                f"{tally.kind} at {point} ({stage.control.what})",
                stage.fired, wrong + place.running(),
            )
        tally.add(f"{tally.kind}, after all", True, stage.finish(place))
    return tally


def again(stage: Stage, when: str, whom: str, rounds: int) -> Tally:
    """Kill recovery itself, a call later each time, with jobs arriving."""
    tally = Tally(f"kill {whom} {when}, again and again")
    with stage.place(99) as place:
        point, beyond = 1, 0
        while beyond < _BEYOND and tally.points < rounds:
            if tally.points % 4 == 0:
                stage.run("produce", place)
            code = stage.run(
                "spoold", place, at=point, action=WHEN[when],
                target=TARGETS[whom],
            )
            beyond = 0 if stage.fired else beyond + 1
            wrong = [] if code is not None else ["HUNG"]
            tally.add(
                f"{tally.kind} at {point} ({stage.control.what})",
                stage.fired, wrong + place.running(),
            )
            point += 1 if LONG >= 1 else 7
        tally.add(
            f"{tally.kind}, after all", True,
            stage.finish(place, _KILLED),
        )
    return tally


def doubles(stage: Stage, sample: int, phase: int) -> Tally:
    """Kill at one point, then kill recovery at another, then recover."""
    tally = Tally("kill, then kill recovery")
    total = count(stage, "spoold")
    step = 4 if LONG >= 1 else 1
    firsts = list(spread(total, sized(sample, total), phase))[::step]
    for index, first in enumerate(firsts):
        seconds = (
            range(1 + index % 4, total, 4) if LONG
            else [1 + (index * 29) % 60]
        )
        for second in seconds:
            with stage.place() as place:
                stage.run("produce", place)
                wrong = []
                for point, target in ((first, ALL), (second, DAEMON)):
                    code = stage.run(
                        "spoold", place, at=point, target=target,
                        action=KILL_BEFORE if index % 2 else KILL_AFTER,
                    )
                    wrong += [] if code is not None else ["HUNG"]
                    wrong += place.running()
                fired, what = stage.fired, stage.control.what
                wrong += stage.finish(place, _KILLED)
            tally.add(f"{first} then {second} ({what})", fired, wrong)
            if not fired:
                break
    return tally


def steering(
    stage: Stage, args: tuple[str, ...], sample: int, phase: int
) -> Tally:
    """Kill spoolctl at every point while it sends jobs back or removes."""
    tally = Tally(f"kill spoolctl {' '.join(args)}")
    with stage.place() as place:
        stage.run("produce", place)
        stage.finish(place)
        stage.run("ctl", place, args=args)
        total = stage.control.get("count")
    for point in spread(total, sample, phase):
        with stage.place() as place:
            stage.run("produce", place)
            wrong = stage.finish(place)
            stage.run(
                "ctl", place, args=args, at=point,
                action=KILL_AFTER if point % 2 else KILL_BEFORE,
            )
            fired, what = stage.fired, stage.control.what
            place.counts = False  # runs are forgotten
            wrong += place.running() + stage.finish(place)
        if args[0] == "rm":
            wrong = [text for text in wrong if "LOST" not in text]
        tally.add(f"{tally.kind} at {point} ({what})", fired, wrong)
    return tally


def submitting(stage: Stage, **rule: int) -> Tally:
    """Strike ``spoolctl submit`` at every point; exit 0 is a promise."""
    tally = Tally(f"spoolctl submit {rule}")
    with stage.place() as place:
        for point in range(1, 30):
            code = stage.run(
                "ctl", place, args=("submit", "plain"), at=point, **rule
            )
            fired = stage.fired
            words = place.out.read_text().split()
            if code in (0, 75) and words:
                with open(place.ledger, "a") as ledger:
                    told = "unknown" if code else "confirmed"
                    ledger.write(f"{told} {words[0]}\n")
            wrong = [] if code is not None else ["HUNG"]
            if code == 0 and not words:
                wrong.append("exit 0 and no id")
            tally.add(f"{tally.kind} at {point}", fired, wrong)
            if not fired:
                break
        tally.add(f"{tally.kind}, after all", True, stage.finish(place))
    return tally
