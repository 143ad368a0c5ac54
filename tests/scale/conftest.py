# SPDX-License-Identifier: MIT
"""Short and long forms, and counts that can be seen."""


import pytest


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Print the counts, of passed tests as well."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for line in report.capstdout.splitlines():
                if line.startswith("scale "):
                    terminalreporter.write_line(line)
