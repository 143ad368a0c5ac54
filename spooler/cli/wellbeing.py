# SPDX-License-Identifier: MIT
"""What status prints."""

from __future__ import annotations

import time

from spooler import asking, listing, pause, units
from spooler.cli.common import emit
from spooler.cli.out import echo, style
from spooler.errors import EX_FAILED, EX_NODAEMON
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert

TYPE_CHECKING = False
if TYPE_CHECKING:  # what starts fast imports nothing in vain
    from collections.abc import Iterator
    from typing import Any


def show(path: str, as_json: bool = False) -> int:
    """Print how the spool is; returns the exit status."""
    with Spool(path) as spool:
        report = Report(spool)
        if as_json:
            emit(report.json())
        else:
            for label, text in report.rows():
                echo(f"{label + ':':<11}{text}")
        return report.status


def busy(daemon: dict[str, Any]) -> str:
    """How many slots are taken, and what runs in slots of its own."""
    own = daemon["own"]
    taken = len(daemon["running"]) - own
    text = f"{taken} of {daemon['slots']} slots busy"
    return f"{text}, {own} beside" if own else text


class Report:
    """
    What is to be told of a spool.

    Attributes:
        status: the exit status.
    """

    def __init__(self, spool: Spool) -> None:
        self._path = inert(spool.path)
        self._counts, self._oldest_ns = listing.count(spool)
        self._marks = sorted(pause.marks(spool))
        self._trouble: str | None = None
        self._daemon: dict[str, Any] | None = None
        self.status = 0
        try:
            self._daemon = asking.ask(spool.private_fd, {"verb": "status"})
        except TimeoutError:
            self._trouble = "spoold does not answer; is it stopped, its disk?"
        if self._daemon is not None:
            self._trouble = self._daemon["trouble"]
        if self._trouble:
            self.status = EX_FAILED
        elif self._daemon is None:
            self.status = EX_NODAEMON

    def json(self) -> dict[str, Any]:
        """The fields that spoolctl(1) lists."""
        daemon = self._daemon
        told = daemon or {}
        return {
            "v": 1,
            "spool": self._path,
            "running": daemon is not None,
            "pid": told.get("pid"),
            "started": units.format_moment(told["started_ns"])
            if told else None,
            "trouble": self._trouble,
            "closed": told.get("closed") or None,
            "paused": [
                "*" if mark == pause.EVERY else mark for mark in self._marks
            ],
            "tripped": sorted(told["paused"]) if told else None,
            "watching": told.get("watching"),
            "stopping": told.get("stopping"),
            "slots": told.get("slots"),
            "jobs": {state.word: self._counts[state] for state in FLOW},
            "oldest": None if self._oldest_ns is None
            else units.format_moment(self._oldest_ns),
            "strays": told.get("stray_count"),
        }

    def rows(self) -> Iterator[tuple[str, str]]:
        """Labels and texts for a person; the first says it all."""
        wrong = [*self._wrong()]
        if wrong:
            word = style("look here", fg="red", bold=True)
        elif self._counts[State.FAILED]:
            word = style("spoold is well; jobs failed", fg="yellow")
        else:
            word = style("all is well", fg="green", bold=True)
        yield "status", word
        yield from wrong
        yield "spool", self._path
        if self._daemon is not None:
            yield from self._running(self._daemon)
        yield from self._jobs()

    def _wrong(self) -> Iterator[tuple[str, str]]:
        """What needs a person, and what he types."""
        daemon = self._daemon
        if self._trouble:
            yield "trouble", style(self._trouble, fg="red")
        elif daemon is None:
            word = style("not running", fg="red")
            yield "spoold", f"{word}; 'spoold {self._path}' starts it"
        for mark in self._marks:
            if mark == pause.EVERY:
                yield "paused", "all handlers; 'spoolctl resume' ends it"
            else:
                yield "paused", f"{mark}; 'spoolctl resume {mark}' ends it"
        if daemon is None:
            return
        if daemon["closed"]:
            closed = style(daemon["closed"], fg="red")
            yield "closed", f"{closed}; submissions are refused"
        for handler, (wait_s, deaths, last) in daemon["paused"].items():
            word = style(f"handler {handler}", fg="red")
            yield "paused", (
                f"{word}: {deaths} runs in a row died ({last}); it is tried"
                f" in {units.format_duration(wait_s)}"
            )
        if daemon["stray_count"]:
            yield "strays", (
                f"{daemon['stray_count']} entries of incoming/ are left"
                " alone; 'spoolctl check' says why"
            )

    def _running(self, daemon: dict[str, Any]) -> Iterator[tuple[str, str]]:
        since = max(0.0, time.time() - daemon["started_ns"] / units.NS)
        word = "stopping" if daemon["stopping"] else "running"
        yield "spoold", (
            f"{style(word, fg='green')}, pid {daemon['pid']},"
            f" since {units.format_duration(since)},"
            f" {busy(daemon)}"
        )
        if not daemon["watching"]:
            yield "events", "none from this file system; scanning"

    def _jobs(self) -> Iterator[tuple[str, str]]:
        for state in FLOW:
            text = str(self._counts[state])
            if state is State.INCOMING and self._oldest_ns is not None:
                age = time.time() - self._oldest_ns / units.NS
                shown = units.format_duration(max(0.0, age))
                text += f", the oldest for {shown}"
            if state is State.FAILED and self._counts[state]:
                text += "; 'spoolctl ls failed' says why"
            yield state.word, text
