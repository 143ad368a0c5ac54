# SPDX-License-Identifier: MIT
"""Fixtures: a populated spool; what the suite tells at its end."""

import pathlib
from collections.abc import Iterator

import pytest
from check.healthy import Healthy


@pytest.fixture
def healthy(tmp_path: pathlib.Path) -> Iterator[Healthy]:
    """Make a spool of which nothing is wrong, with jobs in every state."""
    spool = Healthy(tmp_path / "healthy")
    yield spool
    spool.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Print the figures of tests that passed as well."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for line in report.capstdout.splitlines():
                if line.startswith("check: "):
                    terminalreporter.write_line(line)
