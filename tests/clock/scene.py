# SPDX-License-Identifier: MIT
"""
A spool whose processes live by a clock that jumps, and the truth.

What was submitted is remembered with the waits it asked for; when handlers
really started is in a ledger that they write with the monotonic clock.
"""

import collections
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from clock.shimmed import HERE, NS, ROOT, Clock
from support import HANDLERS, Spoold, SpoolDir, wait_until

from spooler import check
from spooler.spool import Spool

LATE_S = 1.0  #: what is promised
EARLY_S = 0.25  #: smaller jumps are not made good
BACKOFF_S = 0.4

CONFIG = """
workers = 2
durability = "relaxed"
[handler.once]
python = "clock.handlers:once"
backoff = "{backoff}s"
max_backoff = "{backoff}s"
[handler.nap]
python = "clock.handlers:nap"
[handler.again]
python = "clock.handlers:again"
[handler.patient]
python = "clock.handlers:again"
max_backoff = "{backoff}s"
[handler.fails]
python = "clock.handlers:fails"
attempts = 9
backoff = "{backoff}s"
max_backoff = "{backoff}s"
[handler.brief]
python = "clock.handlers:nap"
timeout = "3s"
attempts = 1
[handler.sleep]
command = ["sleep"]
timeout = "3s"
attempts = 1
[handler.exits]
command = ["sh", "-c", '''
read up idle </proc/uptime
echo "start $SPOOL_JOB_ID $SPOOL_ATTEMPT $up" >>{ledger}
[ $SPOOL_ATTEMPT -gt $1 ] && exit 0
[ -z "$2" ] || sleep $2
read up idle </proc/uptime
echo "end $SPOOL_JOB_ID $SPOOL_ATTEMPT $up" >>{ledger}
exit 1
''', "-"]
attempts = 9
backoff = "{backoff}s"
max_backoff = "{backoff}s"
"""


def busy_s() -> float:
    """What a busy machine may add."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclasses.dataclass(frozen=True)
class Sent:
    """
    What one job was asked to do.

    Attributes:
        times: how often it is put off.
        least_s, most_s: bounds of each wait.
        due: wall clock before which it must not start.
        at: the moment of its submission.
    """

    times: int
    least_s: float
    most_s: float
    due: float | None
    at: float


class Scene:
    """One spool, one clock, and what runs by it."""

    def __init__(
        self, spool: SpoolDir, clock: Clock, start: Callable[..., Spoold]
    ) -> None:
        """Configure *spool*; nothing runs yet."""
        self.spool, self.clock = spool, clock
        self._start = start
        self.ledger = spool.path.parent / "ledger"
        self.ledger.touch()
        self.sent: dict[str, Sent] = {}
        self._puppet: subprocess.Popen[str] | None = None
        #: /proc/uptime also counts while the machine sleeps.
        self._slept = (
            time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
        )
        spool.configure(
            CONFIG.format(ledger=self.ledger, backoff=BACKOFF_S)
        )

    def environ(self) -> dict[str, str]:
        """What is added to the environment of this scene's processes."""
        paths = [str(HERE.parent), HANDLERS, os.environ.get("PYTHONPATH")]
        return {
            **self.clock.env, "CLOCK_LEDGER": str(self.ledger),
            "PYTHONPATH": os.pathsep.join(filter(None, [*paths, str(ROOT)])),
        }

    def spoold(self, *options: str, **settings: Any) -> Spoold:
        """Start a daemon that lives by the clock."""
        return self._start(*options, env=self.environ(), **settings)

    def submit(
        self, handler: str, *args: object, in_s: float | None = None,
        count: int = 1, times: int = 0,
        waits_s: tuple[float, float] = (0.0, 0.0),
    ) -> list[str]:
        """Let the producer that lives by the clock submit; returns ids."""
        self.ask(handler, *args, in_s=in_s, count=count)
        return self.answer(times, waits_s)

    def ask(
        self, handler: str, *args: object, in_s: float | None = None,
        count: int = 1,
    ) -> None:
        """Ask the producer to submit, and do not wait."""
        self._request(
            handler=handler, args=[str(arg) for arg in args], in_s=in_s,
            count=count,
        )

    def answer(
        self, times: int = 0, waits_s: tuple[float, float] = (0.0, 0.0)
    ) -> list[str]:
        """Wait for the producer; returns ids."""
        answer = self._answer()
        due_ns = answer["due_ns"]
        for job_id in answer["ids"]:
            self.sent[job_id] = Sent(
                times, *waits_s, None if due_ns is None else due_ns / NS,
                time.monotonic(),
            )
        return list(answer["ids"])

    def spoolctl(self, *words: str) -> tuple[int, str]:
        """Run spoolctl by the clock; returns its status and output."""
        self._request(words=words)
        answer = self._answer()
        return answer["code"], answer["out"]

    def _request(self, **request: object) -> None:
        if self._puppet is None:
            self._puppet = subprocess.Popen(
                [sys.executable, str(HERE / "puppet.py"),
                 str(self.spool.path)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**os.environ, **self.environ()}, bufsize=1,
            )
        print(json.dumps(request), file=self._puppet.stdin, flush=True)

    def _answer(self) -> dict[str, Any]:
        assert self._puppet and self._puppet.stdout
        answer = json.loads(self._puppet.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def again(self, times: int, delay_s: float, count: int = 1) -> list[str]:
        """Submit jobs that ask to be run later."""
        return self.submit(
            "again", times, delay_s, count=count, times=times,
            waits_s=(delay_s, delay_s),
        )

    def fails(
        self, handler: str, times: int, count: int = 1,
        seconds: float | str = "",
    ) -> list[str]:
        """Submit jobs that fail *times* times and are then done."""
        return self.submit(
            handler, times, seconds, count=count, times=times,
            waits_s=(0.0, BACKOFF_S),
        )

    def close(self) -> None:
        """End what submits."""
        if self._puppet is not None:
            self._puppet.communicate(timeout=10)

    def starts(self) -> dict[str, list[tuple[str, int, float]]]:
        """What the ledger says of each job: word, run, moment."""
        out = collections.defaultdict(list)
        for line in self.ledger.read_text().splitlines():
            word, key, run, moment = line.split()
            coarse = len(moment.partition(".")[2]) == 2
            at = float(moment) - (self._slept if coarse else 0.0)
            out[key].append((word, int(run), at))
        return out

    def started(self, key: str, runs: int = 1) -> bool:
        """Whether a job was started *runs* times at least."""
        lines = self.starts().get(key, ())
        return sum(word == "start" for word, _, _ in lines) >= runs

    def await_done(
        self, keys: Sequence[str] | None = None, timeout: float = 30.0
    ) -> None:
        """Wait until jobs, or all there are, are done."""
        wanted = set(self.sent if keys is None else keys)

        def missing() -> set[str]:
            done = {job.name.id for job in self.spool.jobs("done")}
            return wanted - done

        wait_until(
            lambda: not missing(), timeout,
            lambda: f"{len(missing())} not done: {self.spool.tree()};"
            f" {self.spool.listed('deferred')[-9:]}",
        )

    def findings(self) -> list[str]:
        """What ``spoolctl check`` says once nothing runs."""
        with Spool(str(self.spool.path)) as spool:
            return [
                f"I{found.number} {found.path}: {found.what}"
                for found in check.check(spool, lambda _: True)
            ]
