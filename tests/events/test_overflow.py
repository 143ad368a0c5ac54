# SPDX-License-Identifier: MIT
"""More arrivals than the kernel keeps events of."""

import collections
import os
import pathlib
import signal
from collections.abc import Callable

import pytest
from events.counts import await_done, tell
from support import LONG, Spoold, SpoolDir, document, sized

from spooler import names

COUNT = sized(40_000, 1_000_000)
_LINKS = 10_000  #: to one file; cheaper than files

CONFIG = """
durability = "relaxed"
rescan = "1h"
[handler.noop]
python = "sample_handlers:noop"
match = ["n*"]
[handler.echo]
python = "sample_handlers:noop"
"""


def _prepare(spool: SpoolDir, first: int, count: int) -> list[str]:
    """Lay files into tmp/: minted names and dropped ones of two handlers."""
    ready = []
    for number in range(first, first + count):
        if (number - first) % _LINKS == 0:
            data = document("echo")
            source = spool.write(f"source{number}", data)
        kind = number % 3
        text = f"n{number}"
        if kind == 0:
            text = f"4.{names.mint_id(number + 1, 0)},echo.job"
        elif kind == 1:
            text = f"{number}.job"
        os.link(source, spool.path / "tmp" / text)
        ready.append(text)
    return ready


def _key(text: str) -> str:
    name = names.parse(text)
    return text if name is None else name.id


@pytest.mark.timeout(0 if LONG else 240)
def test_an_overflow_loses_no_job(
    big: SpoolDir, spoold: Callable[..., Spoold]
) -> None:
    """Of all files renamed in while spoold slept, each is run once."""
    limit = int(pathlib.Path(
        "/proc/sys/fs/inotify/max_queued_events"
    ).read_text())
    assert COUNT > limit, f"{COUNT} renames overflow no queue of {limit}"
    big.configure(CONFIG)
    daemon = spoold("--workers", "2", spool=big)
    ready = _prepare(big, 0, COUNT)
    daemon.signal(signal.SIGSTOP)
    for text in ready:
        big.publish(text)
    daemon.signal(signal.SIGCONT)
    await_done(lambda: big.status()["done"], COUNT, 30, big)
    assert "events were lost" in daemon.log
    tell("overflow", big, collections.Counter(map(_key, ready)))
