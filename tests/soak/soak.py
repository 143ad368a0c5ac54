# SPDX-License-Identifier: MIT
"""
Kill everything, all the time, and see that the books balance.

    PYTHONPATH=tests python -m soak.soak --seconds N [--every S] [--seed S]
        [--dir D]

Producers submit in every way there is, an operator steers, and every second,
or every S, one process of ours is killed; a supervisor starts spoold again.
In the last third spoold itself lives on, and must be as slim at its end as a
new one.
"""

import argparse
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from soak.books import Books, Counts, findings, waiting
from soak.house import House
from soak.steer import Operator
from support import wait_until

WAYS = ("durable", "relaxed", "batch", "mv")
#: Whom a turn is for: a kill of that role, or a signal to spoold.
TURNS = {
    "daemon": 20, "python": 16, "asyncio": 8, "runner": 14, "command": 16,
    "producer": 9, "operator": 3, "TERM": 7, "HUP": 7,
}
LIVES_ON = 0.65  #: share of the time after which spoold is not killed
DRAIN_S = 60.0
CHECK_EVERY_S = 4.0
OPERATE_EVERY_S = 0.6
MEMORY_MORE = 32 << 20  #: that spoold may have over a new one


class Soak:
    """One soak."""

    def __init__(
        self, path: pathlib.Path, seconds: float, seed: str, every: float
    ) -> None:
        self.house = House(path)
        self.operator = Operator(self.house, f"{seed}/operator")
        self.counts = Counts()
        self._seconds = seconds
        self._every = every
        self._seed = seed
        self._dice = random.Random(f"{seed}/killer")
        self._producers: dict[str, subprocess.Popen[bytes]] = {}
        self._made = 0
        self._over = threading.Event()
        self._started = 0.0

    def run(self) -> Counts:
        """Do it all; returns what was seen."""
        self._started = time.monotonic()
        try:
            self.house.start()
            self._strike_all_the_time()
            self._finish()
        finally:
            self.house.end()
        self.counts.wrong += self.house.end_left()
        self.counts.wrong += self.house.wrong
        self.counts.restarts = self.house.restarts
        Books(self.house, self.operator, self.counts).balance()
        self.counts.seconds = self._elapsed()
        return self.counts

    def _strike_all_the_time(self) -> None:
        threads = [
            threading.Thread(target=self._guard, args=(work, every_s))
            for work, every_s in (
                (self.operator.act, OPERATE_EVERY_S),
                (self._check, CHECK_EVERY_S),
            )
        ]
        for thread in threads:
            thread.start()
        try:
            while self._elapsed() < self._seconds:
                self._keep_producers()
                self._over.wait(self._every * (0.5 + self._dice.random()))
                self._strike()
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            self._stop_producers()

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _guard(self, work: Callable[[], object], every_s: float) -> None:
        """Do *work* again and again; what it raises is a violation."""
        while not self._over.wait(every_s):
            try:
                work()
            except Exception as error:  # anything ends up in the report
                self.counts.note("harness", f"{work}: {error!r}")

    def _check(self) -> None:
        for found in findings(self.house, everybody_dead=False):
            # A second try lies beside the first until spoold has seen both.
            if ".s," not in found:
                self.counts.note("running", found)

    def _keep_producers(self) -> None:
        for way in WAYS:
            running = self._producers.get(way)
            if running is not None and running.poll() is None:
                continue
            if running is not None and running.returncode != -9:
                self.counts.note(
                    "harness", f"{way} ended with {running.returncode}"
                )
            self._made += 1
            seed = f"{way}{self._made}"
            self._producers[way] = subprocess.Popen(
                [sys.executable, "-m", "soak.producer",
                 str(self.house.spool.path),
                 str(self.house.path / f"ledger.{self._made}"), seed, way],
                stdin=subprocess.DEVNULL, env=self.house.environment(),
            )

    def _stop_producers(self) -> None:
        for producer in self._producers.values():
            producer.kill()
            producer.wait()
        # What a killed one had begun goes on for a moment.
        wait_until(lambda: not any(
            "bin/spoolctl" in words or "incoming/ sh " in words
            for words in self.house.left().values()
        ))

    def _strike(self) -> None:
        turns = dict(TURNS)
        if self._elapsed() > LIVES_ON * self._seconds:
            del turns["daemon"], turns["TERM"]
        (turn,) = self._dice.choices(list(turns), list(turns.values()))
        if turn == "HUP":
            self.counts.hups += self.house.reload()
        elif turn == "TERM":
            self.house.stop(signal.SIGTERM)
            self.counts.terms += 1
        elif turn == "daemon":
            self.house.stop(signal.SIGKILL)
            self.counts.kills["daemon"] += 1
        elif self._kill(turn):
            self.counts.kills[turn] += 1

    def _kill(self, role: str) -> bool:
        if role == "producer":
            self._dice.choice(list(self._producers.values())).kill()
            return True
        if role == "operator":
            process = self.operator.process
            if process is None or process.poll() is not None:
                return False
            process.kill()
            return True
        pids = self.house.pids(role)
        parents = self.house.pids("daemon") + self.house.pids("runner")
        return bool(pids) and self.house.kill(
            self._dice.choice(pids), parents
        )

    def _finish(self) -> None:
        """Let all be done, then look at what the long-lived one has."""
        house = self.house
        self.operator.finish()
        try:
            house.wait_ready()
            wait_until(lambda: not waiting(house), DRAIN_S, "all is done")
            old = house.at_rest()
            house.renew()
            new = house.at_rest()
        except AssertionError as error:
            self.counts.note("rest", f"{error}: {house.spool.tree()}")
            return
        for more in old.more_than(new):
            self.counts.note("leak", more)
        if old.memory > new.memory + MEMORY_MORE:
            self.counts.note(
                "leak", f"{old.memory} bytes of memory at the end,"
                f" {new.memory} when new",
            )


def soak(
    path: pathlib.Path, seconds: float, seed: str, every: float = 1.0
) -> Counts:
    """Soak for so long below *path*, with a strike every so many seconds."""
    return Soak(path, seconds, seed, every).run()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--every", type=float, default=1.0)
    parser.add_argument("--seed", default=str(time.time_ns()))
    parser.add_argument("--dir", type=pathlib.Path)
    typed = parser.parse_args()
    path = typed.dir or pathlib.Path(tempfile.mkdtemp(prefix="spool-soak."))
    path.mkdir(parents=True, exist_ok=True)
    counts = soak(path, typed.seconds, typed.seed, typed.every)
    print(counts.report())
    if counts.wrong:
        print(f"seed {typed.seed}; the spool is kept in {path}")
        sys.exit(1)
    if typed.dir is None:
        shutil.rmtree(path)


if __name__ == "__main__":
    main()
