# SPDX-License-Identifier: MIT
"""An operator: sends jobs back, removes some, holds and releases others."""

import collections
import os
import random
import subprocess
import sys

from soak.house import House
from support import ROOT

from spooler import names

SPOOLCTL = str(ROOT / "bin" / "spoolctl")
_SOME = 4


class Operator:
    """
    Steers jobs, and remembers what it did.

    Attributes:
        requeued: by id, how often it may have been sent back.
        removed: ids that spoolctl said were removed.
        touched: ids that it tried to remove; touched_tails: what their
            names end in.
        held: names in ``hold/``.
        process: the spoolctl that runs now.
    """

    def __init__(self, house: House, seed: str) -> None:
        self._house = house
        self._dice = random.Random(seed)
        self.requeued: collections.Counter[str] = collections.Counter()
        self.removed: set[str] = set()
        self.touched: set[str] = set()
        self.touched_tails: set[str] = set()
        self.held: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def act(self) -> None:
        """Do one thing."""
        self._dice.choice((
            self._requeue, self._requeue, self._remove, self._hold,
            self._release, self._hurry, self._move_back,
        ))()

    def _some(self, *states: str) -> list[str]:
        """Names of some jobs."""
        state = self._dice.choice(states)
        entries = [
            f"{state}/{entry}"
            for entry in os.listdir(self._house.spool.path / state)
            if "," in entry and names.parse(entry) is not None
        ]
        return self._dice.sample(entries, min(len(entries), _SOME))

    def _requeue(self) -> None:
        ids = [_id(path) for path in self._some("done", "failed")]
        self.requeued.update(ids)
        self._spoolctl("requeue", ids)

    def _remove(self) -> None:
        paths = self._some("done", "failed", "incoming", "deferred")
        ids = [_id(path) for path in paths]
        self.touched.update(ids)
        self.touched_tails.update(_tail(path) for path in paths)
        self.removed.update(self._spoolctl("rm", ids))

    def _spoolctl(self, verb: str, ids: list[str]) -> list[str]:
        """Run it; returns the ids it printed."""
        if not ids:
            return []
        self.process = subprocess.Popen(
            [sys.executable, SPOOLCTL, "-C", str(self._house.spool.path),
             verb, *ids],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
            env=self._house.environment(),
        )
        told, _ = self.process.communicate()
        return told.split()

    def _rename(self, path: str, state: str) -> bool:
        spool = self._house.spool.path
        entry = os.path.basename(path)
        try:
            os.rename(spool / path, spool / state / entry)
        except FileNotFoundError:
            return False  # it went elsewhere
        return True

    def _hold(self) -> None:
        for path in self._some("incoming"):
            if self._rename(path, "hold"):
                self.held.append(os.path.basename(path))

    def _release(self) -> None:
        while self.held:
            self._rename(f"hold/{self.held.pop()}", "incoming")

    def _hurry(self) -> None:
        """Run deferred jobs now; those that ran before begin anew."""
        for path in self._some("deferred"):
            self.requeued[_id(path)] += 1
            self._rename(path, "incoming")

    def _move_back(self) -> None:
        """Run finished jobs anew, without spoolctl."""
        for path in self._some("done", "failed"):
            self.requeued[_id(path)] += 1
            self._rename(path, "incoming")

    def finish(self) -> None:
        """Hold nothing back."""
        self._release()


def _id(path: str) -> str:
    name = names.parse(os.path.basename(path))
    assert name is not None
    return name.id


def _tail(path: str) -> str:
    """What a dropped name is without its suffix: a token."""
    return path.partition(",")[2].partition(".")[0]
