# SPDX-License-Identifier: MIT
"""What became of very many jobs."""

import collections
import os
import time
from collections.abc import Callable

from support import SpoolDir, wait_until

from spooler import names


def await_done(
    done: Callable[[], int], count: int, quiet_s: float, spool: SpoolDir
) -> None:
    """Wait until *count* jobs are done; none for *quiet_s* is a failure."""
    while (before := done()) < count:
        wait_until(lambda: done() > before, quiet_s, spool.tree)
        time.sleep(0.2)


def tell(what: str, spool: SpoolDir, wanted: collections.Counter[str]) -> None:
    """Print the counts of jobs by dropped name or id; fail if wrong."""
    found: collections.Counter[str] = collections.Counter()
    again = 0
    for entry in os.listdir(spool.path / "done"):
        name = names.parse(entry)
        if name is not None and "," in entry:
            found[name.id if name.id in wanted else name.tail] += 1
            again += name.runs > 1
    lost, twice = wanted - found, found - wanted
    print(
        f"events {what}: {wanted.total()} submitted, {found.total()} done,"
        f" {lost.total()} lost, {twice.total()} twice, {again} run again"
    )
    assert not lost and not twice, (
        f"{list(lost)[:5]} lost, {list(twice)[:5]} twice: {spool.tree()}"
    )
