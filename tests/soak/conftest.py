# SPDX-License-Identifier: MIT
"""Counts that can be seen."""

import pytest


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Print what a soak saw, of passed tests as well."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for line in report.capstdout.splitlines():
                if line.startswith("soak: "):
                    terminalreporter.write_line(line)
