# SPDX-License-Identifier: MIT
"""Short or long, and counts that can be seen."""


import hypothesis
import pytest
from support import LONG


# The same examples in every run and on every machine.
hypothesis.settings.register_profile(
    "model", database=None, deadline=None, derandomize=True,
    print_blob=False,
)
hypothesis.settings.load_profile("model")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long form has no time limit."""
    if LONG:
        for item in items:
            if "model" in item.path.parts:
                item.add_marker(pytest.mark.timeout(0))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Print the counts, of passed tests as well."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for line in report.capstdout.splitlines():
                if line.startswith(("order: ", "model: ")):
                    terminalreporter.write_line(line)
