# SPDX-License-Identifier: MIT
"""A live screen of the spool."""

import collections
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from spooler import listing, pause, progress, units, usage
from spooler.cli import live
from spooler.cli.common import ask_status, table_lines, told
from spooler.cli.wellbeing import busy
from spooler.doorbell import POLL_S
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert

_HANDLERS = ("HANDLER", "WAITING", "RUNNING", "LIMIT", "")
_JOBS = ("ID", "HANDLER", "PID", "TIME", "CPU", "MEM", "PROGRESS")
_EVERY_S = 1.0
_RATE_S = 10.0
_SHARE = 10  #: counting all files may take this share of the time
_WIDTH = 80


@click.command("top")
@click.pass_obj
def command(path: str) -> int:
    """
    Show workers, rates, handlers and running jobs, live, until ^C.

    Without a terminal: once.
    """
    with Spool(path) as spool:
        screen = Screen(spool)
        if not sys.stdout.isatty():
            for line in screen.lines(_WIDTH):
                click.echo(line)
            return 0

        def draw() -> str:
            size = shutil.get_terminal_size()
            return "\n".join(list(screen.lines(size.columns))[:size.lines])

        def changed(wait_s: float) -> bool:
            time.sleep(max(wait_s, POLL_S))  # rates have no event
            return True

        live.show(draw, changed, _EVERY_S)
    return 0


class Screen:
    """Collects what the screen tells, again and again."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._counts: dict[State, int] = {}
        self._oldest_ns: int | None = None
        self._count_at = 0.0
        self._seen: collections.deque[tuple[float, int, int]] = (
            collections.deque()
        )

    def lines(self, width: int) -> Iterator[str]:
        """The screen as it is now."""
        daemon = ask_status(self._spool)
        self._count()
        yield from self._head(daemon)
        if daemon is None:
            return
        rows: list[tuple[str, ...]] = [
            (
                name, str(daemon["waiting"].get(name, 0)), str(limit[0]),
                str(limit[1]), _state_of(name, daemon),
            )
            for name, limit in daemon["limits"].items()
        ]
        if rows:
            yield ""
            yield from table_lines(
                _HANDLERS, rows, [None] * len(rows), width
            )
        running = sorted(daemon["running"], key=lambda job: job["started_ns"])
        if running:
            used = usage.of_sessions({job["pid"] for job in running})
            jobs = [_row(job, used[job["pid"]]) for job in running]
            yield ""
            yield from table_lines(_JOBS, jobs, [None] * len(jobs), width)

    def _count(self) -> None:
        """Count the files, but not for most of the time."""
        now = time.monotonic()
        if now < self._count_at:
            return
        self._counts, self._oldest_ns = listing.count(self._spool)
        took = time.monotonic() - now
        self._count_at = time.monotonic() + took * _SHARE

    def _head(self, daemon: dict[str, Any] | None) -> Iterator[str]:
        clock = time.strftime("%H:%M:%S")
        if daemon is None:
            word = click.style("not running", fg="red")
            yield f"{clock}  spoold {word}  {inert(self._spool.path)}"
        else:
            age = _age(daemon["started_ns"])
            yield (
                f"{clock}  spoold up {age}, pid {daemon['pid']},"
                f" {busy(daemon)}"
                f"  {inert(self._spool.path)}"
            )
        counts = []
        for state in FLOW:
            text = f"{self._counts[state]} {state.word}"
            if state is State.INCOMING and self._oldest_ns is not None:
                text += f" (oldest {_age(self._oldest_ns)})"
            counts.append(text)
        yield ", ".join(counts)
        if daemon is not None:
            yield self._rates(daemon)
            yield from _troubles(daemon)

    def _rates(self, daemon: dict[str, Any]) -> str:
        now = time.monotonic()
        self._seen.append((now, daemon["done"], daemon["failed"]))
        while now - self._seen[0][0] > _RATE_S:
            self._seen.popleft()
        then, done, failed = self._seen[0]
        span = now - then
        if not span:
            return f"{daemon['done']} done, {daemon['failed']} failed since"
        return (
            f"{(daemon['done'] - done) / span:.1f} done/s,"
            f" {(daemon['failed'] - failed) / span:.1f} failed/s"
        )


def _age(since_ns: int) -> str:
    seconds = time.time() - since_ns / units.NS
    return units.format_duration(max(0.0, seconds))


def _troubles(daemon: dict[str, Any]) -> Iterator[str]:
    for label in ("trouble", "closed"):
        if daemon[label]:
            yield click.style(f"{label}: {daemon[label]}", fg="red")
    if pause.EVERY in daemon["marks"]:
        yield click.style("paused: all handlers", fg="yellow")


def _state_of(name: str, daemon: dict[str, Any]) -> str:
    if name in daemon["marks"]:
        return f"paused; 'spoolctl resume {told(name)}'"
    if name in daemon["paused"]:
        wait_s, deaths, last = daemon["paused"][name]
        return f"{deaths} runs in a row died ({last})"
    return ""


def _row(job: dict[str, Any], used: usage.Usage) -> tuple[str, ...]:
    return (
        job["id"], job["handler"] or "-", str(job["pid"]),
        _age(job["started_ns"]), f"{used.cpu_s:.1f}s",
        units.format_size(used.memory), progress.shown(job["progress"]),
    )
