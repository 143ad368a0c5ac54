# SPDX-License-Identifier: MIT
"""Fixtures: the spool is the one that is meant, and knows the tasks."""

from collections.abc import Callable

import pytest
from support import ROOT, Spoold, SpoolDir

Start = Callable[..., Spoold]
TASKS = 'tasks = ["api.jobs"]\n'


@pytest.fixture(autouse=True)
def chosen(spool: SpoolDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spool is the one that is meant where none is named."""
    monkeypatch.setenv("SPOOL_DIR", str(spool.path))


@pytest.fixture
def serve(spool: SpoolDir, spoold: Start) -> Start:
    """Start a daemon whose handlers are the tasks of jobs.py."""

    def start(*options: str, text: str = "", **settings: object) -> Spoold:
        spool.configure(f"workers = 2\n{TASKS}{text}")
        return spoold(
            *options, env={"PYTHONPATH": str(ROOT / "tests")}, **settings
        )

    return start
