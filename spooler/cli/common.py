# SPDX-License-Identifier: MIT
"""What the verbs share: opening, selecting, rendering."""

from __future__ import annotations

import os
import sys
import time

from spooler import asking, pause, progress, units, view
from spooler.cli.out import echo, say, style
from spooler.errors import EX_USAGE, ConfigError, SpoolError
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert
from spooler.view import Details, JobView

TYPE_CHECKING = False
if TYPE_CHECKING:  # what starts fast imports nothing in vain
    from collections.abc import Iterable, Iterator
    from typing import Any

    from spooler.config import Config
    from spooler.route import Router

WORDS = {state.word: state for state in FLOW}
UNFINISHED = (State.HELD, State.INCOMING, State.DEFERRED, State.ACTIVE)
_COLORS = {
    State.DONE: "green", State.FAILED: "red", State.ACTIVE: "blue",
    State.DEFERRED: "yellow", State.HELD: "magenta",
}


def states_of(words: Iterable[str], default: Iterable[State]) -> list[State]:
    """The states a person named; SpoolError for a word that is none."""
    listed = list(words)
    if not listed:
        return list(default)
    if "all" in listed:
        return list(FLOW)
    for word in listed:
        if word not in WORDS:
            raise SpoolError(
                f"no state {inert(word)!r}; the states are"
                f" {', '.join(WORDS)} and all", EX_USAGE,
            )
    return [WORDS[word] for word in listed]


def load_config(spool: Spool) -> Config:
    """
    The spool's configuration; an empty one if it cannot be read.

    With the tasks of modules if spoold runs; ``unknown_tasks`` tells if not.
    """
    from spooler import configfile  # many listings need nothing of it
    from spooler.config import Config

    try:
        read = configfile.load(spool.path)
    except ConfigError as error:
        say(f"warning: {error}")
        return Config()
    return _with_tasks(spool, read) or read


def _with_tasks(spool: Spool, read: Config) -> Config | None:
    if not read.tasks:
        return read
    from spooler.cli import installed  # few spools need it

    return installed.with_tasks(read, spool.private_fd)


def unknown_tasks(spool: Spool, read: Config) -> str | None:
    """What to say if there are handlers that only a spoold can tell."""
    if _with_tasks(spool, read) is not None:
        return None
    return (
        f"the tasks of {inert(', '.join(read.tasks))} are not known: spoold,"
        " which imports them, does not run"
    )


class Teller:
    """Tells handler and attempts of a job, for all verbs alike."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._read: tuple[Config, Router] | None = None

    def _configured(self) -> tuple[Config, Router]:
        if self._read is None:
            from spooler.route import Router

            config = load_config(self._spool)
            self._read = config, Router(config)
        return self._read

    def handler(self, job: JobView) -> str | None:
        """The handler's name, by name or by route; None if none."""
        if job.name is None:
            if job.entry.endswith(".job"):
                return None  # in the document, which spoold reads
            return self._configured()[1].route(job.entry)
        told = job.name.told_handler
        if told is not None:
            return told or None  # most are told so
        return self._configured()[1].handler_of(job.name)

    def max_attempts(self, job: JobView) -> int | None:
        """Of its handler; None if that is not known."""
        handler = self._configured()[0].handlers.get(self.handler(job) or "")
        return handler.attempts if handler else None

    def json(
        self, job: JobView, more: Details,
        daemon: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The job as --json shows it; *daemon* tells of one that runs."""
        fields = view.to_json(
            job, self.handler(job), self.max_attempts(job), more
        )
        run = _run_of(job, daemon)
        if run is not None:
            fields["started"] = units.format_moment(run["started_ns"])
            fields["worker_pid"] = run["pid"]
            fields["progress"] = run["progress"]
        return fields


def emit(fields: dict[str, Any]) -> None:
    """Print one JSON line."""
    import json  # few listings need it

    # ASCII: a name may hold what moves a terminal's cursor.
    echo(json.dumps(fields))


def ask_status(spool: Spool) -> dict[str, Any] | None:
    """The running daemon's word; None if none runs or none may ask."""
    try:
        return asking.ask(spool.private_fd, {"verb": "status"})
    except (TimeoutError, OSError):
        return None


def insist_on_handlers(spool: Spool, names: Iterable[str]) -> None:
    """Raise SpoolError for a name that is no handler's."""
    read = load_config(spool)
    known = read.handlers
    for name in names:
        if known and name not in known:
            why = unknown_tasks(spool, read)
            if why is not None:
                say(why)
                continue
            raise SpoolError(
                f"no handler {inert(name)!r}; the handlers are"
                f" {', '.join(known)}", EX_USAGE,
            )


def told(mark: str) -> str:
    """What a mark of pause.py stands for, for a person."""
    return "all handlers" if mark == pause.EVERY else inert(mark)


def tell_of_marks(spool: Spool, resumed: Iterable[str] = ()) -> None:
    """Let a running spoold see at once which handlers pause."""
    try:
        asking.ask(
            spool.private_fd, {"verb": "marks", "resumed": list(resumed)}
        )
    except TimeoutError:
        say("spoold does not answer; it looks for itself with its next scan")


def info(
    job: JobView, more: Details, daemon: dict[str, Any] | None,
    handler: str | None,
) -> str:
    """Why a job waits or failed, in one line."""
    why = view.reason(job, more)
    text = why["text"] if why else ""
    name = job.name
    if job.state is State.DEFERRED and name and name.due_ns is not None:
        wait = name.due_ns / units.NS - time.time()
        due = f"in {units.format_duration(wait)}" if wait > 0 else "due now"
        return f"{due}; {text}" if text else due
    if job.state is State.INCOMING:
        if daemon is None:
            return "spoold is not running"
        if {pause.EVERY, handler} & set(daemon["marks"]):
            return "handler paused"
        paused = daemon["paused"].get(handler or "")
        if paused:
            when = units.format_duration(paused[0])
            return f"handler pauses, tried in {when}: {paused[2]}"
        limit = daemon["limits"].get(handler or "")
        if limit and limit[0] >= limit[1]:
            return f"handler at its limit {limit[0]}/{limit[1]}"
    if job.state is State.ACTIVE:
        return _running(job, daemon)
    if job.state is State.DONE and name and name.micros is not None:
        return f"in {units.format_duration(name.micros / 1e6)}"
    return text


def _run_of(
    job: JobView, daemon: dict[str, Any] | None
) -> dict[str, Any] | None:
    """What spoold tells of a job that runs; None if nothing."""
    if daemon is not None and job.state is State.ACTIVE:
        for run in daemon["running"]:
            if run["id"] == job.id:
                assert isinstance(run, dict)
                return run
    return None


def _running(job: JobView, daemon: dict[str, Any] | None) -> str:
    """For how long a job runs, and how far it says it is."""
    if daemon is None:
        return "interrupted: spoold is not running"
    run = _run_of(job, daemon)
    if run is None:
        return ""
    seconds = time.time() - run["started_ns"] / units.NS
    text = f"for {units.format_duration(max(0.0, seconds))}"
    told = progress.shown(run["progress"])
    return f"{text}; {told}" if told else text


def shown_name(job: JobView) -> str:
    """The dropped name for a person, or nothing."""
    return inert(job.dropped_name) if job.dropped_name else ""


def print_table(
    header: tuple[str, ...], rows: list[tuple[str, ...]],
) -> None:
    """Print aligned columns; the last is cut at a terminal's width."""
    for line in table_lines(header, rows, [None] * len(rows), columns()):
        echo(line)


def columns() -> int:
    """Of the terminal that standard output is; 0: it is none."""
    # Not shutil's, which imports all that can pack: a sixth of an ls.
    if not sys.stdout.isatty():
        return 0
    told = os.environ.get("COLUMNS", "")
    if told.isdigit() and int(told):
        return int(told)
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def table_lines(
    header: tuple[str, ...], rows: list[tuple[str, ...]],
    colors: list[Any], room: int,
) -> Iterator[str]:
    """The lines of a table; the last column is cut at *room*, if not 0."""
    widths = [
        max(_width(row[column]) for row in [header, *rows])
        for column in range(len(header))
    ]
    for row, state in zip([header, *rows], [None, *colors]):
        cells = [
            cell + " " * (width - _width(cell))
            for cell, width in zip(row, widths)
        ]
        used = sum(widths[:-1]) + 2 * (len(widths) - 1)
        cells[-1] = _cut(row[-1], room - used) if room else row[-1]
        if state is not None:
            index = header.index("STATE")
            cells[index] = style(cells[index], fg=_COLORS.get(state))
        yield "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Columns of a terminal that *text* takes."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    import unicodedata

    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _cut(text: str, room: int) -> str:
    """The beginning of *text* that fits, and dots if that is not all."""
    if _width(text) <= room:
        return text
    out, left = "", room - 3
    for char in text:
        left -= _char_width(char)
        if left < 0:
            break
        out += char
    return out + "..."
