# SPDX-License-Identifier: MIT
"""Show a person how far a long operation is."""

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")
_MANY = 500  #: fewer are done before a bar could be read


def track(items: Sequence[_Item], label: str) -> Iterator[_Item]:
    """Yield *items*; on a terminal, a bar tells how many are done."""
    if len(items) < _MANY or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console  # 40 ms that a short run is spared
    from rich.progress import track as bar

    console = Console(stderr=True)
    yield from bar(items, label, console=console, transient=True)
