# SPDX-License-Identifier: MIT
"""Tell the moves of jobs."""

import sys
import time
from collections.abc import Iterator

import click

from spooler import fsops, listing, units, view
from spooler.cli.choose import Selection
from spooler.cli.common import Teller, emit, shown_name
from spooler.cli.out import say
from spooler.cli.select import selection_options
from spooler.errors import EX_FAILED, SpoolError
from spooler.feed import Event, Feed
from spooler.spool import Spool
from spooler.states import State
from spooler.text import inert
from spooler.view import Details, JobView

_LATEST = 20
_LAST = {
    State.INCOMING: "submit", State.ACTIVE: "claim", State.DONE: "finish",
    State.FAILED: "fail", State.DEFERRED: "defer", State.HELD: "hold",
}
_COLORS = {"finish": "green", "fail": "red", "defer": "yellow"}


@click.command("events")
@click.option("-f", "--follow", is_flag=True,
              help="Tell every move from now on, until ^C.")
@selection_options
@click.option("-n", "count", type=click.IntRange(0), metavar="N",
              help="The latest N; default: 20, with -f 0.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
@click.pass_obj
def command(
    path: str, follow: bool, handler: str | None, tags: tuple[str, ...],
    since: float | None, older_than: float | None, count: int | None,
    as_json: bool,
) -> int:
    """
    Tell what became of jobs: one line a move.

    Without -f, the last move of the jobs that moved last.
    """
    selection = Selection(handler, since, older_than, tags)
    with Spool(path) as spool:
        teller = Teller(spool)
        feed = _feed(spool) if follow else None
        if count is None:
            count = 0 if follow else _LATEST
        for event in _latest(spool, selection, teller, count):
            _tell(spool, teller, event, as_json)
        if feed is None:
            return 0
        try:
            return _follow(spool, teller, feed, selection, as_json)
        except KeyboardInterrupt:
            return 0  # that is how one leaves
        finally:
            feed.close()


def _feed(spool: Spool) -> Feed:
    try:
        return Feed(spool)
    except OSError as error:
        raise SpoolError(
            f"this file system tells of no events ({fsops.why(error)});"
            " 'spoolctl ls --watch' looks for itself"
        ) from None


def _follow(
    spool: Spool, teller: Teller, feed: Feed, selection: Selection,
    as_json: bool,
) -> int:
    sys.stdout.flush()
    while not feed.gone:
        for event in feed.take(3600.0):
            if selection.matches(event.job, spool, teller):
                _tell(spool, teller, event, as_json)
        if feed.take_lost():
            if as_json:
                emit({"v": 1, "event": "lost", "time": _now()})
            else:
                say("moves were missed: more than could be told")
        sys.stdout.flush()
    say("the spool was moved or removed")
    return EX_FAILED


def _now() -> str:
    return units.format_moment(time.time_ns())


def _latest(
    spool: Spool, selection: Selection, teller: Teller, count: int
) -> Iterator[Event]:
    """The last moves of the jobs that lie in the spool, oldest first."""
    if not count:
        return

    def wanted(job: JobView) -> bool:
        return selection.matches(job, spool, teller)

    for at_ns, job in reversed(listing.latest_moved(
        spool, count, None if selection.empty else wanted
    )):
        yield Event(_LAST[job.state], job, at_ns)


def _tell(
    spool: Spool, teller: Teller, event: Event, as_json: bool
) -> None:
    job = event.job
    more = Details()
    if event.word in ("fail", "defer"):
        more = view.details(spool, job)
    if as_json:
        fields = teller.json(job, more)
        fields["event"] = event.word
        fields["time"] = units.format_moment(event.at_ns)
        if event.word in ("remove", "purge", "delete"):
            fields["state"] = None
        emit(fields)
        return
    at = time.localtime(event.at_ns // units.NS)
    millis = event.at_ns // 1_000_000 % 1000
    word = click.style(f"{event.word:<10}", fg=_COLORS.get(event.word))
    parts = [
        f"{time.strftime('%H:%M:%S', at)}.{millis:03d}", word,
        job.id, inert(teller.handler(job) or "-"),
        _info(job, more), shown_name(job) if job.name else "",
    ]
    click.echo("  ".join(part for part in parts if part).rstrip())


def _info(job: JobView, more: Details) -> str:
    why = view.reason(job, more)
    if why is not None and why["kind"] != "delayed":
        return str(why["text"])
    name = job.name
    if name is None:
        return ""
    if job.state is State.DONE and name.micros is not None:
        return f"in {units.format_duration(name.micros / 1e6)}"
    if job.state is State.ACTIVE:
        return f"run {name.runs}"
    return ""
