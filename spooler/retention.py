# SPDX-License-Identifier: MIT
"""
Purge finished jobs that are older, more or larger than is to be kept.

Age is the time since a job's verdict; a clock that leaps ahead makes nothing
old at once.  A pass over a directory is made in slices.  The oldest go first,
as far as counts by age tell: jobs whose ages differ by less than a fiftieth
may go in any order, and so memory does not grow with the number of jobs.
"""

import collections
import dataclasses
import math
import time
from collections.abc import Iterator

from spooler import fsops, names, sidecar
from spooler.clock import PatientClock, steady_ns
from spooler.config import Keep
from spooler.spool import Spool
from spooler.states import State
from spooler.units import NS

_SLICE_S = 0.01
_EVERY_S = 60.0
_SHARE = 20  #: a pass may take this share of the time
_STEPS = 50  #: classes of age for each factor of e
_BLOCK_BYTES = 512
_RECORDED = (State.DEFERRED, State.DONE, State.FAILED)
_KINDS = (*names.SIDECARS, "result.new")


def forget(spool: Spool, state: State, stem: str) -> None:
    """
    Delete what lies beside a job in *state* that leaves it for good.

    A verdict that was cut short may have left something elsewhere; what lies
    beside another job of the same name is not touched.
    """
    if state in _RECORDED:
        sidecar.drop(spool, state, stem)
    for other in set(_RECORDED) - {state}:
        if any(
            fsops.exists(spool.fds[other], f"{stem}.{kind}")
            for kind in _KINDS
        ) and not sidecar.has_job(spool, other, stem):
            sidecar.drop(spool, other, stem)


def purge(spool: Spool, state: State, entry: str, stem: str) -> bool:
    """Delete a finished job, and what lies beside it; False if it is gone."""
    # Before the job: killed in between, it can be deleted again.
    forget(spool, state, stem)
    return spool.purge(state, entry)


@dataclasses.dataclass
class _Class:
    """What is of about one age."""

    jobs: int = 0
    size: int = 0


class Retention:
    """
    Holds one of ``done/`` and ``failed/`` to what is to be kept.

    Attributes:
        purged: jobs deleted so far.
    """

    def __init__(self, spool: Spool, state: State, keep: Keep) -> None:
        self._spool = spool
        self._state = state
        self.purged = 0
        self._clock = PatientClock(time.time_ns(), steady_ns())
        self.use(keep)

    def use(self, keep: Keep) -> None:
        """Go by *keep* from now on."""
        self._keep = keep
        self._pass: Iterator[None] | None = None
        self._next_at = 0.0
        self._seen_ns = -1
        self._ripe_ns = 0

    def wait_s(self) -> float | None:
        """Seconds until there is something to do; None: ever."""
        if not self._keep.limits:
            return None
        if self._pass is not None:
            return 0.0
        return max(0.0, self._next_at - time.monotonic())

    def step(self) -> None:
        """Do a slice of what is due; raises OSError as a scan does."""
        if not self._keep.limits:
            return
        if self._pass is None:
            if time.monotonic() < self._next_at:
                return
            self._pass = self._whole_pass()
        try:
            next(self._pass, None)
        except BaseException:
            self._pass = None
            self._next_at = time.monotonic() + _EVERY_S
            raise

    def _now_ns(self) -> int:
        return self._clock.now_ns(time.time_ns(), steady_ns())

    def _whole_pass(self) -> Iterator[None]:
        started = time.monotonic()
        changed_ns = self._spool.in_place(self._state).st_mtime_ns
        if changed_ns != self._seen_ns or self._now_ns() >= self._ripe_ns:
            classes: dict[int, _Class] = collections.defaultdict(_Class)
            yield from self._by_age(classes)
            excess = self._excess(classes)
            if excess is not None:
                yield from self._by_number(*excess)
            self._seen_ns = changed_ns
        took = time.monotonic() - started
        self._next_at = time.monotonic() + max(_EVERY_S, _SHARE * took)
        self._pass = None

    def _walk(self) -> Iterator[tuple[str, int, int] | None]:
        """Every entry with its age in ns and its bytes; None: a slice ends."""
        until = time.monotonic() + _SLICE_S
        fd = self._spool.fds[self._state]
        for entry in self._spool.scan(self._state):
            try:
                status = fsops.status(fd, entry.name)
            except FileNotFoundError:
                continue
            # A rename sets it, so it is the moment of the verdict.
            age_ns = self._now_ns() - status.st_ctime_ns
            yield entry.name, age_ns, status.st_blocks * _BLOCK_BYTES
            if time.monotonic() > until:
                yield None
                until = time.monotonic() + _SLICE_S

    def _by_age(self, classes: dict[int, _Class]) -> Iterator[None]:
        """Purge what is too old; take stock of the rest."""
        limit_ns = round((self._keep.age_s or 0.0) * NS)
        self._ripe_ns = self._now_ns() + 365 * 86400 * NS
        for found in self._walk():
            if found is None:
                yield
                continue
            entry, age_ns, size = found
            name = names.parse(entry)
            if limit_ns and name is not None:
                if age_ns > limit_ns:
                    self._purge(entry, name)
                    continue
                ripe_ns = self._now_ns() + limit_ns - age_ns
                self._ripe_ns = min(self._ripe_ns, ripe_ns)
            of_age = classes[_class_of(age_ns)]
            of_age.jobs += name is not None
            of_age.size += size

    def _excess(
        self, classes: dict[int, _Class]
    ) -> tuple[int, int, int] | None:
        """
        The class of age to begin with, and what of it is too much.

        Returns:
            The class, and how many jobs and bytes of it and of what is older
            are to go; None: nothing is.
        """
        jobs = sum(of_age.jobs for of_age in classes.values())
        size = sum(of_age.size for of_age in classes.values())
        more_jobs = max(0, jobs - self._keep.jobs) if self._keep.jobs else 0
        more_size = max(0, size - self._keep.size) if self._keep.size else 0
        if not more_jobs and not more_size:
            return None
        left_jobs, left_size = more_jobs, more_size
        for age in sorted(classes, reverse=True):
            left_jobs -= classes[age].jobs
            left_size -= classes[age].size
            if left_jobs <= 0 and left_size <= 0:
                break
        return age, more_jobs, more_size

    def _by_number(
        self, youngest: int, jobs: int, size: int
    ) -> Iterator[None]:
        """Purge what is older than a class, and of it what is too much."""
        boundary: list[tuple[str, names.Name, int]] = []
        for found in self._walk():
            if found is None:
                yield
                continue
            entry, age_ns, bytes_ = found
            name = names.parse(entry)
            age = _class_of(age_ns)
            if age < youngest:
                continue
            if name is None:
                size -= bytes_ if age > youngest else 0
            elif age > youngest:
                self._purge(entry, name)
                jobs, size = jobs - 1, size - bytes_
            elif len(boundary) < jobs or size > 0:
                boundary.append((entry, name, bytes_))
        for entry, name, bytes_ in boundary:
            if jobs <= 0 and size <= 0:
                return
            size -= bytes_ + self._beside(name)
            jobs -= 1
            self._purge(entry, name)
            if jobs % 100 == 0:
                yield

    def _beside(self, name: names.Name) -> int:
        """The bytes of what lies beside a job."""
        total = 0
        for kind in names.SIDECARS:
            try:
                status = fsops.status(
                    self._spool.fds[self._state], f"{name.stem}.{kind}"
                )
            except FileNotFoundError:
                continue
            total += status.st_blocks * _BLOCK_BYTES
        return total

    def _purge(self, entry: str, name: names.Name) -> None:
        if purge(self._spool, self._state, entry, name.stem):
            self.purged += 1


def _class_of(age_ns: int) -> int:
    """A number for ages that differ by less than a fiftieth."""
    return int(_STEPS * math.log(max(1.0, age_ns / NS)))
