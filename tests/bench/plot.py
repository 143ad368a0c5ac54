# SPDX-License-Identifier: MIT
"""Draw the figures of a report; needs matplotlib, the extra ``bench``."""

import pathlib
import sys
from typing import Any

from bench.figures import Figure, Report
from bench.scene import TESTS

_ROW_INCHES = 0.32


def draw(report: Report, path: str) -> None:
    """Write a picture: a panel a workload, a bar a contender."""
    # Our tests have a package of a name that matplotlib imports.
    sys.path[:] = [place for place in sys.path if not _is_ours(place)]
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        print(f"no picture: {error}; install the extra: pip install"
              " '.[bench]'")
        return
    panels: dict[tuple[str, str], list[Figure]] = {}
    for figure in report.figures:
        panels.setdefault((figure.workload, figure.unit), []).append(figure)
    if not panels:
        print("no picture: nothing was measured")
        return
    heights = [len(rows) + 1.5 for rows in panels.values()]
    picture, axes = pyplot.subplots(
        len(panels), 1, squeeze=False, layout="constrained",
        figsize=(9, _ROW_INCHES * sum(heights) + 0.5),
        height_ratios=heights,
    )
    for axis, ((workload, unit), rows) in zip(axes[:, 0], panels.items()):
        _panel(axis, workload, unit, rows)
    picture.savefig(path)
    pyplot.close(picture)


def _is_ours(place: str) -> bool:
    return pathlib.Path(place).resolve() == TESTS


def _panel(axis: Any, workload: str, unit: str, rows: list[Figure]) -> None:
    """One bar a contender: the median, and the spread as a whisker."""
    middles = [row.median for row in rows]
    spread = [
        [row.median - min(row.values) for row in rows],
        [max(row.values) - row.median for row in rows],
    ]
    axis.barh([row.who for row in rows], middles, xerr=spread, capsize=2)
    axis.invert_yaxis()
    if min(middles) > 0 and max(middles) / min(middles) > 50:
        axis.set_xscale("log")
    axis.set_title(f"{workload}, {unit}", fontsize=9, loc="left")
    axis.tick_params(labelsize=8)
