# SPDX-License-Identifier: MIT
"""Fixtures: a ward of healthy jobs, shared by the tests of one process."""

import re
from collections.abc import Iterator

import pytest
from deaths.ward import Ward


class Wards:
    """The ward that is open now; one that was harmed is closed."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._open: Ward | None = None

    def ward(self) -> Ward:
        """The open ward, or a new one."""
        if self._open is None:
            self._open = Ward(self._factory.mktemp("ward"))
        return self._open

    def close(self) -> None:
        """Close it; its last jobs must end well."""
        ward, self._open = self._open, None
        if ward is not None:
            ward.close()

    def abandon(self) -> None:
        """Be rid of a ward in which a test failed."""
        ward, self._open = self._open, None
        if ward is not None:
            ward.abandon()


@pytest.fixture(scope="session")
def wards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wards]:
    """Keep wards open over tests; starting one takes longer than a death."""
    made = Wards(tmp_path_factory)
    yield made
    made.close()


@pytest.fixture
def ward(wards: Wards) -> Iterator[Ward]:
    """Give the open ward; after a failure the next test gets a fresh one."""
    used = wards.ward()
    used.neighbours = 0
    yield used
    if used.harmed:
        wards.abandon()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Print how many died, beside how many."""
    ways = deaths = neighbours = 0
    for report in terminalreporter.stats.get("passed", ()):
        for line in report.capstdout.splitlines():
            found = re.search(r"(\d+) deaths, (\d+) neighbours", line)
            if found:
                ways += 1
                deaths += int(found[1])
                neighbours += int(found[2])
    if ways:
        terminalreporter.write_line(
            f"{ways} ways to die, {deaths} deaths beside {neighbours}"
            " healthy jobs: 0 harmed, 0 processes left over"
        )
