# SPDX-License-Identifier: MIT
"""Which jobs a verb is for: named ones, or all that filters leave."""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from spooler import listing
from spooler.cli.choose import Selection
from spooler.cli.common import Teller, states_of
from spooler.cli.out import say
from spooler.cli.progress import track
from spooler.cli.words import Duration, HandlerName, Job
from spooler.errors import EX_FAILED, EX_USAGE, SpoolError
from spooler.spool import Spool
from spooler.states import State, sources
from spooler.view import JobView


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add -H, --tag, --since and --older-than to a verb."""
    for option in reversed((
        click.option("-H", "--handler", type=HandlerName(),
                     metavar="HANDLER", help="Only jobs of this handler."),
        click.option("--tag", "tags", metavar="TAG", multiple=True,
                     help="Only jobs with this tag; may be repeated."),
        click.option("--since", type=Duration(), metavar="D",
                     help="Only jobs submitted within D."),
        click.option("--older-than", type=Duration(), metavar="D",
                     help="Only jobs submitted longer ago than D."),
    )):
        function = option(function)
    return function


def named_jobs(spool: Spool, words: tuple[str, ...]) -> list[JobView]:
    """
    The jobs a person named; ``-`` reads more from standard input.

    Raises:
        NotFound: one of them is none; nothing was done yet.
    """
    return listing.find(spool, _words(words), say)


def _words(words: tuple[str, ...]) -> Iterator[str]:
    for word in words:
        if word != "-":
            yield word
            continue
        for line in sys.stdin:
            if line.strip():
                yield line.strip()


def steering_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every verb that changes jobs takes; see Steering."""
    for option in reversed((
        click.argument("words", nargs=-1, type=Job(),
                       metavar="JOB...|-|--all [STATE]"),
        click.option("--all", "every", is_flag=True,
                     help="All jobs in STATE that the filters leave."),
        selection_options,
        click.option("-n", "--dry-run", is_flag=True,
                     help="Only print which."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    )):
        function = option(function)
    return function


@dataclasses.dataclass(frozen=True)
class Steering:
    """What was typed behind a verb that changes jobs."""

    words: tuple[str, ...]
    every: bool
    handler: str | None
    tags: tuple[str, ...]
    since: float | None
    older_than: float | None
    dry_run: bool
    yes: bool

    def run(
        self,
        path: str,
        events: tuple[str, ...],
        default: tuple[State, ...],
        move: Callable[[Spool, JobView], bool],
    ) -> int:
        """
        Do one move to every job meant, and print the ids of those moved.

        Args:
            events: rows of the table of moves that the verb stands for.
            default: states of a bare --all; empty: one must be named.
            move: False if the job went elsewhere meanwhile.

        Returns:
            The exit status.

        Raises:
            NotFound, SpoolError: as chosen.
        """
        allowed = {state for event in events for state in sources(event)}
        with Spool(path) as spool:
            gone = 0
            jobs = self.chosen(spool, allowed, default)
            for job in track(jobs, verb()):
                if self.dry_run or move(spool, job):
                    click.echo(job.id)
                else:
                    gone += 1
                    click.echo(f"{job.id}: went elsewhere", err=True)
        return EX_FAILED if gone else 0

    def chosen(
        self, spool: Spool, allowed: set[State], default: tuple[State, ...]
    ) -> list[JobView]:
        """
        The jobs meant; a person was asked if there are many.

        Raises:
            NotFound, SpoolError: a job is none, or in a state that is not
                *allowed*; nothing was done.
        """
        jobs = self._jobs(spool, default)
        for job in jobs:
            if job.state not in allowed:
                raise SpoolError(
                    f"{job.id} is {job.state.word}; {verb()} is for jobs"
                    f" that are {_listed(allowed)}", EX_USAGE,
                )
        if self.every and not self.dry_run:
            confirm(len(jobs), verb(), self.yes)
        if self.every and not jobs:
            click.echo("no jobs match", err=True)
        return jobs

    def _jobs(
        self, spool: Spool, default: tuple[State, ...]
    ) -> list[JobView]:
        selection = Selection(
            self.handler, self.since, self.older_than, self.tags
        )
        if not self.every:
            if not self.words:
                raise click.UsageError("which jobs? JOB..., - or --all")
            if not selection.empty:
                raise click.UsageError("filters go with --all")
            return named_jobs(spool, self.words)
        if not self.words and not default:
            raise click.UsageError("--all of which STATE?")
        states = states_of(self.words, default)
        teller = Teller(spool)
        found = listing.jobs(spool, states).values()
        chosen = [j for j in found if selection.matches(j, spool, teller)]
        return sorted(chosen, key=lambda job: job.id)


def verb() -> str:
    """The verb that was typed."""
    return click.get_current_context().info_name or ""


def _listed(states: Iterable[State]) -> str:
    words = sorted(state.word for state in states)
    if len(words) == 1:
        return words[0]
    return ", ".join(words[:-1]) + f" or {words[-1]}"


def confirm(count: int, what: str, yes: bool) -> None:
    """Ask before many jobs are touched, where there is somebody to ask."""
    if yes or count < 2 or not sys.stdin.isatty():
        return
    if not click.confirm(f"{what} {count} jobs?", err=True):
        raise SpoolError("nothing was done")
