# SPDX-License-Identifier: MIT
"""
Find jobs among many, by their names alone.

A spool may hold a million jobs: names are told apart without taking them to
pieces, and only those that are wanted become a JobView.  Nothing is opened
and nothing is stat'ed.
"""

from __future__ import annotations

import heapq
import os
import re

from spooler import names
from spooler.errors import NotFound
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert
from spooler.view import JobView, view

TYPE_CHECKING = False
if TYPE_CHECKING:  # what starts fast imports nothing in vain
    from collections.abc import Callable, Iterable, Iterator

#: Where a job is sorted that has no rank yet: behind those of its priority.
_UNRANKED = f"{9 - names.DEFAULT_PRIORITY}.~"
#: What names of the grammar begin with: quick, not strict.
_ranked = re.compile(
    rf"[0-9]\.[{names.DIGITS}]{{{names.ID_CHARS}}}[,.]"
).match


def entries(spool: Spool, state: State) -> Iterator[str]:
    """The names of the job files in *state*, in no order."""
    for entry in spool.scan(state):
        name = entry.name
        if _ranked(name) and "," in name:
            yield name
        elif state is State.INCOMING and names.why_illegal(name) is None:
            if not entry.is_dir(follow_symlinks=False):
                yield name


def order(entry: str) -> str:
    """A key that sorts names as they run."""
    if _ranked(entry):
        return entry[:names.STEM_CHARS]
    return _UNRANKED + entry


def count(
    spool: Spool, states: Iterable[State] = FLOW
) -> tuple[dict[State, int], int | None]:
    """
    Count the jobs.

    Returns:
        How many are in each state, and when the oldest that waits was
        submitted, in ns; None if none waits.
    """
    counts, oldest = {}, None
    for state in states:
        number = 0
        for entry in entries(spool, state):
            number += 1
            if state is State.INCOMING and _ranked(entry):
                stamp = entry[2:names.STEM_CHARS]
                if oldest is None or stamp < oldest:
                    oldest = stamp
        counts[state] = number
    return counts, None if oldest is None else names.submitted_ns(oldest)


def handler_in(entry: str) -> str | None:
    """The handler of a document, if its name tells; most are told so."""
    head, _, tail = entry.partition(",")
    if tail.endswith(names.DOCUMENT_SUFFIX) and _ranked(entry):
        if ".h" not in head[names.STEM_CHARS:]:
            return tail[:-len(names.DOCUMENT_SUFFIX)]
    return None


def latest_moved(
    spool: Spool, limit: int,
    wanted: Callable[[JobView], bool] | None = None,
) -> list[tuple[int, JobView]]:
    """
    The jobs that moved last.

    Args:
        wanted: which ones; None: all.

    Returns:
        At most *limit* of them, the latest first, each with the wall clock
        of its move in ns.  This stats every job.
    """
    def moved() -> Iterator[tuple[int, str, State]]:
        for state in FLOW:
            for entry in entries(spool, state):
                job = view(state, entry) if wanted is not None else None
                if wanted and (job is None or not wanted(job)):
                    continue
                try:
                    # A rename sets it.
                    status = os.stat(
                        entry, dir_fd=spool.fds[state], follow_symlinks=False
                    )
                except FileNotFoundError:
                    continue
                yield status.st_ctime_ns, entry, state

    latest = heapq.nlargest(limit, moved(), lambda found: found[:2])
    found = ((at_ns, view(state, entry)) for at_ns, entry, state in latest)
    return [(at_ns, job) for at_ns, job in found if job is not None]


def some(
    spool: Spool, state: State, limit: int, latest: bool = False
) -> tuple[list[JobView], int]:
    """
    The jobs of *state* that run first, or were submitted last.

    Returns:
        At most *limit* of them, and how many there are in all.
    """
    number = 0

    def counted() -> Iterator[str]:
        nonlocal number
        for entry in entries(spool, state):
            number += 1
            yield entry

    if latest:
        chosen = heapq.nlargest(limit, counted(), lambda entry: entry[2:])
    else:
        chosen = heapq.nsmallest(limit, counted(), order)
    found = [view(state, entry) for entry in chosen]
    return [job for job in found if job is not None], number


def jobs(
    spool: Spool, states: Iterable[State] = FLOW
) -> dict[str, JobView]:
    """
    Every job in *states*, by id (and twin), in no particular order.

    Directories are read in the order jobs flow, and the later sighting of a
    job counts: a job that moves forward meanwhile is not missed.  One that
    moves backwards (recovered, requeued) can be.
    """
    wanted = set(states)
    out: dict[str, JobView] = {}
    for state in FLOW:
        if state not in wanted:
            continue
        for entry in entries(spool, state):
            job = view(state, entry)
            if job is None:
                continue
            key = job.id if job.name is None else job.stem[2:]
            if key in out and out[key].state is state:
                key = job.entry  # a producer copied a name: two jobs
            out[key] = job
    return out


class _Word:
    """What one word of a person's stands for, as far as was seen."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.by_id: dict[str, JobView] = {}
        self.by_name: dict[str, JobView] = {}

    def answer(self, tell: Callable[[str], None]) -> JobView:
        """The one job that is meant; NotFound if there is none."""
        word = self.text
        if word in self.by_id:
            return self.by_id[word]
        if self.by_name:
            # An id begins with digits of our own; a name was typed in full.
            # What spoold has not admitted yet was dropped last.
            latest = max(
                self.by_name.values(),
                key=lambda job: (job.name is None, job.submitted_ns or 0),
            )
            if len(self.by_name) > 1:
                tell(
                    f"{len(self.by_name)} jobs are named {inert(word)};"
                    f" taking the latest, {latest.id}"
                )
            return latest
        if len(self.by_id) > 1:
            shown = ", ".join(sorted(self.by_id)[:3])
            raise NotFound(
                f"{inert(word)}: {len(self.by_id)} ids begin so"
                f" ({shown}...); type more of it"
            )
        if not self.by_id:
            raise NotFound(f"{inert(word)}: no such job")
        return next(iter(self.by_id.values()))


def find(
    spool: Spool, words: Iterable[str],
    tell: Callable[[str], None] = lambda _: None,
) -> list[JobView]:
    """
    The jobs a person means, in the order of *words*, by one scan.

    Args:
        words: ids, beginnings of one, or names of dropped files.
        tell: is told which one was taken if a name stands for several.

    Raises:
        NotFound: a word means none, or is a beginning that several share.
    """
    asked = [_Word(text) for text in words]
    if not all(word.text for word in asked):
        raise NotFound("an empty word is no job")
    whole: dict[str, list[_Word]] = {}
    for word in asked:
        whole.setdefault(word.text, []).append(word)
    begun = [word for word in asked if not names.is_id(word.text)]
    texts = [word.text for word in begun]
    # A name is shown with escapes, and may be typed as it is shown.
    escaped = any("\\" in text for text in texts)
    for state in FLOW:
        for entry in entries(spool, state):
            if escaped or entry[2:names.STEM_CHARS] in whole or any(
                text in entry for text in texts
            ):
                _match(state, entry, whole, begun, escaped)
    return [word.answer(tell) for word in asked]


def _match(
    state: State, entry: str, whole: dict[str, list[_Word]],
    begun: list[_Word], escaped: bool,
) -> None:
    name = entry
    if _ranked(entry):
        hits = list(whole.get(entry[2:names.STEM_CHARS], ()))
        hits += [w for w in begun if entry.startswith(w.text, 2)]
        job = view(state, entry) if hits else None
        for word in hits if job is not None else ():
            assert job is not None
            if job.id.startswith(word.text):
                word.by_id[job.id] = job
        name = entry.partition(",")[2]
    named = list(whole.get(name, ()))
    if escaped:
        named += whole.get(inert(name), ())
    if not named:
        return
    job = view(state, entry)
    if job is None or job.dropped_name != name:
        return  # a name of our own making
    for word in named:
        word.by_name[job.id] = job
