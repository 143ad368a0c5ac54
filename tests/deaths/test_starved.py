# SPDX-License-Identifier: MIT
"""Workers that end before they are ready, every time."""

import pathlib
from collections.abc import Callable

import pytest
from support import Spoold, SpoolDir

Start = Callable[..., Spoold]
CONFIG = """
[handler.true]
command = ["true"]
[handler.noop]
python = "sample_handlers:noop"
"""
#: Any Python comes by here as it starts.
DIES = """
import os, sys
if sys.orig_argv[-4:-3] == ["KIND"]:
    os._exit(3)
"""


@pytest.mark.parametrize("kind, name", [("command", "true"),
                                        ("python", "noop")])
def test_a_drain_ends_that_nobody_works_for(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path,
    kind: str, name: str,
) -> None:
    """It tells of it and exits 1, the others' jobs are done, none is lost."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(DIES.replace("KIND", kind))
    spool.configure(CONFIG)
    for handler in "true", "noop":
        spool.drop_job(handler, handler)
    handlers = pathlib.Path(__file__).parents[1] / "daemon"
    daemon = spoold(
        "--drain", wait=False, env={"PYTHONPATH": f"{site}:{handlers}"}
    )
    assert daemon.wait(90) == 1
    assert f"no {kind} worker starts" in daemon.log
    (left,) = spool.all(f"{name}.job")
    assert left.state == "incoming" and left.name.runs == 0
    assert spool.count("done") == 1
    again = spoold("--drain", wait=False, env={"PYTHONPATH": str(handlers)})
    assert again.wait() == 0
    assert spool.count("done") == 2
