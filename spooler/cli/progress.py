# SPDX-License-Identifier: MIT
"""Show a person how far a long operation is."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_Item = TypeVar("_Item")
_MANY = 500  #: fewer are done before a bar could be read


def track(items: Sequence[_Item], label: str) -> Iterator[_Item]:
    """Yield *items*; on a terminal, a bar tells how many are done."""
    if len(items) < _MANY or not sys.stderr.isatty():
        yield from items
        return
    from rich.progress import track as bar  # 40 ms a short run is spared

    yield from bar(items, label, console=_console(), transient=True)


def _console() -> "Console":
    """The terminal; coloured as everything else is."""
    from rich.console import Console

    coloured = click.get_current_context().find_root().color
    return Console(stderr=True, no_color=not coloured)


class Meter:
    """
    A bar for something that others do.

    Attributes:
        works: whether there is a terminal to show it on.
    """

    def __init__(self) -> None:
        self.works = sys.stderr.isatty()
        self._bar: "Progress | None" = None

    def show(self, fraction: float | None, text: str) -> None:
        """Show it anew; a fraction of None: unknown."""
        if not self.works:
            return
        if self._bar is None:
            from rich.progress import Progress

            self._bar = Progress(
                *Progress.get_default_columns()[1:3], "{task.description}",
                console=_console(), transient=True,
            )
            self._bar.add_task("", total=None)
            self._bar.start()
        task = self._bar.task_ids[0]
        self._bar.update(
            task, description=text, completed=fraction or 0.0,
            total=None if fraction is None else 1.0,
        )

    def close(self) -> None:
        """Take it off the screen."""
        if self._bar is not None:
            self._bar.stop()
