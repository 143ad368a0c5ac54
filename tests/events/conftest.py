# SPDX-License-Identifier: MIT
"""Fixtures: a spool in memory, and counts that can be seen."""

import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from support import SpoolDir

#: The figures of the long form take minutes.
LONG = os.environ.get("SPOOL_LONG") == "1"


@pytest.fixture
def big(tmp_path: pathlib.Path) -> Iterator[SpoolDir]:
    """Make a spool for very many files, in memory if there is one."""
    if not os.access("/dev/shm", os.W_OK):
        yield SpoolDir(tmp_path / "big")
        return
    base = pathlib.Path(tempfile.mkdtemp(prefix="spool-big.", dir="/dev/shm"))
    try:
        yield SpoolDir(base / "spool")
    finally:
        shutil.rmtree(base)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Print the counts, of passed tests as well."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for line in report.capstdout.splitlines():
                if line.startswith("events "):
                    terminalreporter.write_line(line)
