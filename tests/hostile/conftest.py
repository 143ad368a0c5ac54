# SPDX-License-Identifier: MIT
"""Counts that can be seen."""

import pytest


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Print how many of what were tried, of passed tests as well."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for line in report.capstdout.splitlines():
                if line.startswith("hostile"):
                    terminalreporter.write_line(line)
