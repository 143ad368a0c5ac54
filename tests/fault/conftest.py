# SPDX-License-Identifier: MIT
"""Fixtures: a stage, with the shim compiled on the spot."""

import shutil
from collections.abc import Iterator

import pytest
from fault import killpoints


@pytest.fixture(scope="session")
def stage() -> Iterator[killpoints.Stage]:
    """Compile the shim and start what it is loaded into."""
    directory = killpoints.scratch()
    try:
        shim = killpoints.build(directory)
        if shim is None:
            print("fault suite skipped: no C compiler")
            pytest.skip("no C compiler (cc) to build the shim with")
        made = killpoints.Stage(shim, directory)
        try:
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(directory)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Print how many points were struck, of passed tests as well."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for line in report.capstdout.splitlines():
                if " points, " in line:
                    terminalreporter.write_line(line)
