# SPDX-License-Identifier: MIT
"""The daemon comes and goes while files arrive."""

import collections
import itertools
import threading
import time
from collections.abc import Callable

import pytest
from events.counts import await_done, tell
from support import LONG, Spoold, SpoolDir, sized, wait_until

COUNT = sized(5_000, 200_000)
RATE = 600  #: files a second

#: With scans an hour apart, a file that falls between the first scan of a
#: daemon and its first event is not found before the next daemon starts.
CONFIG = """
durability = "relaxed"
rescan = "1h"
[handler.noop]
python = "sample_handlers:noop"
match = ["n*"]
attempts = 99
"""


class Submitter(threading.Thread):
    """Drops files steadily."""

    def __init__(self, spool: SpoolDir) -> None:
        """Begin to drop files into *spool*."""
        super().__init__()
        self._spool = spool
        self.sent: list[str] = []
        self.start()

    def run(self) -> None:
        """Drop them all, in bursts."""
        began = time.monotonic()
        for number in range(COUNT):
            self.sent.append(self._spool.drop(f"n{number}"))
            ahead = number / RATE - (time.monotonic() - began)
            if ahead > 0.02:
                time.sleep(ahead)


@pytest.mark.timeout(0 if LONG else 240)
def test_no_job_is_missed_while_the_daemon_comes_and_goes(
    big: SpoolDir, spoold: Callable[..., Spoold]
) -> None:
    """Files that arrive before, in and after a start or an end all run."""
    big.configure(CONFIG)
    submitter = Submitter(big)
    starts = 0
    for end in itertools.cycle(("kill", "stop", "settle")):
        daemon = spoold("--workers", "2", spool=big)
        starts += 1
        # Some arrive while it runs, some while it ends, some in between.
        before = len(submitter.sent)
        wait_until(lambda: len(submitter.sent) >= min(COUNT, before + 100))
        if len(submitter.sent) > 0.8 * COUNT:
            break
        if end == "settle":
            seen = len(submitter.sent)
            await_done(lambda: big.count("done"), seen, 30, big)
        if end == "kill":
            daemon.kill()
        else:
            daemon.stop()
    submitter.join()
    await_done(lambda: big.count("done"), COUNT, 30, big)
    tell(f"churn of {starts} daemons", big,
         collections.Counter(submitter.sent))
