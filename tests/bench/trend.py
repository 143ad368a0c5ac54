# SPDX-License-Identifier: MIT
"""
How the figures changed from release to release.

``releases/VERSION.json`` holds what ``--json`` wrote for each.  Ratios are
compared where there are any: machines differ, and so do their loads.
"""

import json
import pathlib
import re
import statistics
from collections.abc import Iterator
from typing import Any

RELEASES = pathlib.Path(__file__).with_name("releases")
#: Figures of a workload by whoever did it: version -> value.
Rows = dict[tuple[str, str], dict[str, float]]


def trend(directory: pathlib.Path = RELEASES) -> None:
    """Print a row a figure and a column a release, oldest first."""
    versions, rows = read(directory)
    if not versions:
        print(f"no release in {directory}; --json writes one")
        return
    workload = ""
    for (what, who), values in rows.items():
        if what != workload:
            print(f"\n{what}")
            workload = what
        cells = [
            f"{values[version]:>10.3g}" if version in values else f"{'-':>10}"
            for version in versions
        ]
        print(f"  {who:36}{''.join(cells)}")
    print("\n" + " " * 38 + "".join(f"{version:>10}" for version in versions))


def read(directory: pathlib.Path) -> tuple[list[str], Rows]:
    """The versions, oldest first, and what was measured of each."""
    found = sorted(directory.glob("*.json"), key=lambda path: _key(path.stem))
    rows: Rows = {}
    for path in found:
        for figure in json.loads(path.read_text())["figures"]:
            for key, value in _values(figure):
                rows.setdefault(key, {})[path.stem] = value
    return [path.stem for path in found], rows


def _values(
    figure: dict[str, Any],
) -> Iterator[tuple[tuple[str, str], float]]:
    what, who = figure["workload"], figure["who"]
    if figure["ratios"]:
        ratio = statistics.median(figure["ratios"])
        yield (what, f"{who}, x {figure['base']}"), ratio
    else:
        yield (what, f"{who}, {figure['unit']}"), figure["median"]


def _key(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
