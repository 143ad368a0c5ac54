# SPDX-License-Identifier: MIT
"""
What was measured: values of several rounds, their median, spread and ratio.

A ratio is taken within a round, never between two: what disturbs the machine
disturbs both sides of a ratio.
"""

import dataclasses
import json
import os
import pathlib
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from typing import Any


class Unable(Exception):
    """This cannot be measured here; the text says why."""


@dataclasses.dataclass
class Figure:
    """
    One row of a report.

    Attributes:
        workload: what was done.
        who: by whom.
        unit: of the values.
        values: one a round.
        ratios: to the base of the same round; none for the base itself.
        base: who that is.
    """

    workload: str
    who: str
    unit: str
    values: list[float] = dataclasses.field(default_factory=list)
    ratios: list[float] = dataclasses.field(default_factory=list)
    base: str | None = None

    @property
    def median(self) -> float:
        """The middle of all rounds."""
        return statistics.median(self.values)

    def as_object(self) -> dict[str, Any]:
        """For JSON."""
        found = dataclasses.asdict(self)
        found["median"] = self.median
        found["spread"] = [min(self.values), max(self.values)]
        if self.ratios:
            found["ratio"] = statistics.median(self.ratios)
        return found

    def as_text(self, width: int) -> str:
        """One line."""
        text = f"  {self.who:{width}}  {_number(self.median):>9} {self.unit}"
        if len(self.values) > 1:
            low, high = min(self.values), max(self.values)
            text += f"  ({_number(low)}..{_number(high)})"
        if self.ratios:
            text += f"  {_number(statistics.median(self.ratios))} x"
            if len(self.ratios) > 1:
                low, high = min(self.ratios), max(self.ratios)
                text += f" ({_number(low)}..{_number(high)})"
            text += f" {self.base}"
        return text


class Report:
    """All figures of a run, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.notes: list[str] = []
        self.load = os.getloadavg()[0]
        self.where = ""  #: put behind the name of every workload

    def note(self, text: str) -> None:
        """Say once what a reader must know."""
        if text not in self.notes:
            self.notes.append(text)
            print(f"  note: {text}", flush=True)

    def contest(
        self, workload: str, unit: str, rounds: int,
        contenders: Mapping[str, Callable[[], float]],
        base: str | None = None,
    ) -> list[Figure]:
        """
        Let all take turns, *rounds* times, and print what came out.

        Args:
            contenders: measure one value each; who raises Unable is left
                out, with its reason.
            base: the one that ratios are taken to.
        """
        workload += self.where
        print(f"\n{workload}", flush=True)
        rows = {
            who: Figure(workload, who, unit, base=base) for who in contenders
        }
        out: set[str] = set()
        for _ in range(rounds):
            values = {}
            for who, measure in contenders.items():
                if who in out:
                    continue
                try:
                    values[who] = measure()
                except Unable as why:
                    out.add(who)
                    self.note(f"without {who}: {why}")
            for who, value in values.items():
                rows[who].values.append(value)
                if base in values and who != base:
                    rows[who].ratios.append(value / values[base])
        return self._print(list(rows.values()))

    def tell(
        self, workload: str, rows: Mapping[str, tuple[float, str]],
    ) -> list[Figure]:
        """Add values that were measured in one go: name -> value, unit."""
        workload += self.where
        print(f"\n{workload}", flush=True)
        return self._print([
            Figure(workload, who, unit, [value])
            for who, (value, unit) in rows.items()
        ])

    def _print(self, rows: list[Figure]) -> list[Figure]:
        rows = [row for row in rows if row.values]
        width = max((len(row.who) for row in rows), default=0)
        for row in rows:
            print(row.as_text(width), flush=True)
        self.figures += rows
        return rows

    def write_json(self, path: str) -> None:
        """Write everything into a file."""
        found = {
            "v": 1,
            "machine": {
                "processors": len(os.sched_getaffinity(0)),
                "kernel": platform.release(),
                "python": platform.python_version(),
                "load_at_start": self.load,
            },
            "command": sys.argv[1:],
            "notes": self.notes,
            "figures": [figure.as_object() for figure in self.figures],
        }
        pathlib.Path(path).write_text(json.dumps(found, indent=1) + "\n")


def percentile(values: list[float], share: float) -> float:
    """The value that *share* of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _number(value: float) -> str:
    """Three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"
