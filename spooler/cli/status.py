# SPDX-License-Identifier: MIT
"""Tell whether all is well."""

import time
from typing import Any

import click

from spooler import control, names, units, view
from spooler.cli.common import emit
from spooler.errors import EX_FAILED, EX_NODAEMON
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(path: str, as_json: bool) -> int:
    """
    Tell whether all is well, and if not, what to type.

    Exits 0 if it is, 1 if the spool is in trouble, 3 if spoold is not
    running.
    """
    with Spool(path) as spool:
        counts, oldest_ns = _count(spool)
        hung = False
        try:
            daemon = control.ask(spool.private_fd, {"verb": "status"})
        except TimeoutError:
            daemon, hung = None, True
        trouble = daemon["trouble"] if daemon else None
        if hung:
            trouble = "spoold does not answer"
        status = EX_FAILED if trouble else 0
        if daemon is None and not hung:
            status = EX_NODAEMON
        if as_json:
            _json(spool, counts, oldest_ns, daemon, trouble)
        else:
            _text(spool, counts, oldest_ns, daemon, trouble)
    return status


def _count(spool: Spool) -> tuple[dict[State, int], int | None]:
    """Jobs per state, and the oldest waiting one's submission."""
    counts, oldest = {}, None
    for state in FLOW:
        count = 0
        for entry in spool.scan(state):
            stamp = entry.name[2:names.STEM_CHARS]
            if entry.name[names.STEM_CHARS:names.STEM_CHARS + 1] != ",":
                # The rarer forms; a plain name is told without parsing it.
                job = view.view(state, entry.name)
                if job is None:
                    continue
                if job.name is None and entry.is_dir(follow_symlinks=False):
                    continue
                stamp = job.name.id if job.name is not None else ""
            elif not names.is_id(stamp):
                continue
            count += 1
            if state is State.INCOMING and stamp:
                if oldest is None or stamp < oldest:
                    oldest = stamp
        counts[state] = count
    return counts, None if oldest is None else names.submitted_ns(oldest)


def _json(
    spool: Spool, counts: dict[State, int], oldest_ns: int | None,
    daemon: dict[str, Any] | None, trouble: str | None,
) -> None:
    emit({
        "v": 1,
        "spool": inert(spool.path),
        "running": daemon is not None,
        "pid": daemon["pid"] if daemon else None,
        "started": units.format_moment(daemon["started_ns"])
        if daemon else None,
        "trouble": trouble,
        "closed": (daemon["closed"] or None) if daemon else None,
        "paused": sorted(daemon["paused"]) if daemon else None,
        "watching": daemon["watching"] if daemon else None,
        "stopping": daemon["stopping"] if daemon else None,
        "slots": daemon["slots"] if daemon else None,
        "jobs": {state.word: counts[state] for state in FLOW},
        "oldest": None if oldest_ns is None
        else units.format_moment(oldest_ns),
        "strays": daemon["stray_count"] if daemon else None,
    })


def _text(
    spool: Spool, counts: dict[State, int], oldest_ns: int | None,
    daemon: dict[str, Any] | None, trouble: str | None,
) -> None:
    shown = inert(spool.path)
    rows = [("spool", shown)]
    if daemon is None:
        word = click.style("not running", fg="red")
        if trouble:
            rows.append(("spoold", click.style(trouble, fg="red")))
        else:
            rows.append(("spoold", f"{word}; 'spoold {shown}' starts it"))
    else:
        since = max(0.0, time.time() - daemon["started_ns"] / units.NS)
        word = "stopping" if daemon["stopping"] else "running"
        rows.append((
            "spoold", click.style(word, fg="green")
            + f", pid {daemon['pid']}, since {units.format_duration(since)},"
            f" {len(daemon['running'])} of {daemon['slots']} slots busy",
        ))
        if trouble:
            rows.append(("trouble", click.style(trouble, fg="red")))
        if daemon["closed"]:
            rows.append((
                "closed", click.style(daemon["closed"], fg="red")
                + "; submissions are refused",
            ))
        for handler, (wait_s, deaths, last) in daemon["paused"].items():
            rows.append((
                "paused", click.style(f"handler {handler}", fg="red")
                + f": {deaths} runs in a row died ({last}); it is tried in"
                f" {units.format_duration(wait_s)}",
            ))
        if not daemon["watching"]:
            rows.append(("events", "none from this file system; scanning"))
    for state in FLOW:
        text = str(counts[state])
        if state is State.INCOMING and oldest_ns is not None:
            age = time.time() - oldest_ns / units.NS
            text += f", the oldest for {units.format_duration(max(0.0, age))}"
        if state is State.FAILED and counts[state]:
            text += "; 'spoolctl ls failed' says why"
        rows.append((state.word, text))
    if daemon and daemon["stray_count"]:
        rows.append((
            "strays", f"{daemon['stray_count']} entries of incoming/ are left"
            " alone; 'spoolctl check' says why",
        ))
    for label, text in rows:
        click.echo(f"{label + ':':<11}{text}")
