# SPDX-License-Identifier: MIT
"""
Types of what stands on a command line: they tell a shell what may come next.

An argument or option gets its completion by its type alone.  A spool can hold
very many jobs, and a name in it can be whatever a producer chose, so job
names are not parsed before they are known to fit, few are offered, and none
that a terminal or a shell's script could trip over.
"""

import heapq
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from spooler import configfile, fsops, names, units
from spooler.config import Config
from spooler.errors import SpoolError
from spooler.place import spool_path
from spooler.spool import PRIVATE
from spooler.states import FLOW, State, sources
from spooler.text import inert

OFFERED_MAX = 200
#: Entries looked at in one directory: about 0.2 s.
LOOKED_AT_MAX = 300_000

_UNFINISHED = (State.INCOMING, State.DEFERRED, State.HELD, State.ACTIVE)
#: Jobs a verb is for, where that is not what the move of its name starts from.
_STATES = {
    "kill": (State.ACTIVE,),
    "rm": (*sources("remove"), *sources("purge")),
    "wait": _UNFINISHED,
}

Items = list[CompletionItem[str]]


class Word(click.ParamType[str]):
    """A word that is taken as it is typed."""

    name = "word"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Take it."""
        return str(value)


class Duration(click.ParamType[float]):
    """A duration option: seconds."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Read 90s, 1h30m, 2d."""
        try:
            return units.parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[int]):
    """A moment option: ns of the wall clock."""

    name = "moment"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Read RFC 3339 or @epoch."""
        try:
            return units.parse_moment(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class StateWord(Word):
    """The word for a state, or ``all``."""

    name = "state"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> Items:
        """All of them, but those that stand there."""
        typed = _typed(ctx, param)
        words = [*(state.word for state in FLOW), "all"]
        return [
            CompletionItem(word) for word in words
            if word.startswith(incomplete) and word not in typed
        ]


class HandlerName(Word):
    """The name of a handler; behind ``--file``, a file."""

    name = "handler"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> Items:
        """Those of spool.toml and handlers.d, and tasks that spoold knows."""
        if ctx.params.get("as_files"):
            return [CompletionItem(incomplete, type="file")]
        try:
            read = _with_tasks(_spool(ctx))
        except SpoolError:
            return []
        found = sorted(
            name for name in read.handlers if name.startswith(incomplete)
        )
        return [CompletionItem(name) for name in found[:OFFERED_MAX]]


class FileName(Word):
    """A word that often is a file."""

    name = "file"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> Items:
        """Leave it to the shell."""
        return [CompletionItem(incomplete, type="file")]


class Job(Word):
    """An id or the name of a dropped file; behind ``--all``, a state."""

    name = "job"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> Items:
        """Jobs in the states the verb is for, the latest first."""
        if ctx.params.get("every"):
            return StateWord().shell_complete(ctx, param, incomplete)
        typed = _typed(ctx, param)
        found = (
            item for item in _jobs(
                _spool(ctx), states_for(ctx.info_name or ""), incomplete
            ) if item.value not in typed
        )
        return list(itertools.islice(found, OFFERED_MAX))


def _with_tasks(path: str) -> Config:
    read = configfile.load(path)
    if not read.tasks:
        return read
    from spooler.cli import installed  # what every submit is spared

    try:
        private_fd = fsops.open_dir(os.path.join(path, PRIVATE))
    except OSError:
        return read
    try:
        return installed.with_tasks(read, private_fd) or read
    finally:
        os.close(private_fd)


def states_for(verb: str) -> tuple[State, ...]:
    """The states of the jobs that *verb* is for; all, if for any."""
    return _STATES.get(verb) or sources(verb) or FLOW


def _typed(ctx: click.Context, param: click.Parameter) -> tuple[str, ...]:
    """The words that stand there already."""
    value = ctx.params.get(param.name or "")
    return tuple(value) if isinstance(value, (tuple, list)) else ()


def _spool(ctx: click.Context) -> str:
    """The spool meant; the shell has not expanded what was typed."""
    typed = ctx.find_root().params.get("spool")
    if typed:
        typed = os.path.expanduser(os.path.expandvars(typed))
    return spool_path(typed)


def _jobs(
    path: str, states: Iterable[State], incomplete: str
) -> Iterator[CompletionItem[str]]:
    found: list[tuple[str, str, State]] = []
    for state in states:
        entries = _fitting(os.path.join(path, state.value), incomplete)
        found += [
            (age, entry, state) for age, entry in heapq.nlargest(
                OFFERED_MAX, entries
            )
        ]
    offered: set[str] = set()
    for _, entry, state in heapq.nlargest(
        OFFERED_MAX, found, key=lambda job: job[0]
    ):
        for value, text in _words_for(state, entry):
            if value.startswith(incomplete) and value not in offered:
                offered.add(value)
                yield CompletionItem(value, help=text)


def _fitting(directory: str, incomplete: str) -> Iterator[tuple[str, str]]:
    """Entries with an id or a name that begins so; what sorts them first."""
    tail = f",{incomplete}"
    try:
        with os.scandir(directory) as entries:
            for entry in itertools.islice(entries, LOOKED_AT_MAX):
                name = entry.name
                comma = name.find(",")
                if name[1:2] != "." or comma < names.STEM_CHARS:
                    # Dropped, and not admitted yet: the latest of all.
                    if name.startswith(incomplete):
                        yield "~", name
                elif name.startswith(incomplete, 2) or name.startswith(
                    tail, comma
                ):
                    yield name[2:names.STEM_CHARS], name
    except OSError:
        return  # no spool, or not ours to read


def _words_for(state: State, entry: str) -> Iterator[tuple[str, str]]:
    """What stands for a job, and what tells it from others."""
    name = names.parse(entry)
    if name is None:
        if state is State.INCOMING and names.why_illegal(entry) is None:
            if _is_plain(entry):
                yield entry, state.word
        return
    dropped = name.dropped_name
    yield name.id, f"{state.word} {inert(dropped or name.told_handler or '')}"
    if dropped and _is_plain(dropped):
        yield dropped, f"{state.word} {name.id}"


def _is_plain(name: str) -> bool:
    """Whether a name can be offered: one line, no option, no byte lost."""
    return inert(name) == name and not name.startswith("-")
