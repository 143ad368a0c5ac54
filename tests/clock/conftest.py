# SPDX-License-Identifier: MIT
"""Fixtures: a clock that jumps, and a scene that lives by it."""

import pathlib
from collections.abc import Callable, Iterator

import pytest
from clock.scene import Scene
from clock.shimmed import Clock, build
from support import Spoold, SpoolDir


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Compile what is loaded into the processes under test."""
    built = build(tmp_path_factory.mktemp("clock"))
    if built is None:
        print("clock suite skipped: no C compiler")
        pytest.skip("no C compiler (cc) to build the shim with")
    return built


@pytest.fixture
def clock(shim: pathlib.Path, tmp_path: pathlib.Path) -> Clock:
    """Make a clock that tells the truth until told otherwise."""
    return Clock(shim, tmp_path / "clock")


@pytest.fixture
def scene(
    spool: SpoolDir, clock: Clock, spoold: Callable[..., Spoold]
) -> Iterator[Scene]:
    """Make a spool whose processes live by the clock; none runs yet."""
    made = Scene(spool, clock, spoold)
    try:
        yield made
    finally:
        made.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Print how often the clock jumped, of passed tests as well."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for line in report.capstdout.splitlines():
                if line.startswith("clock ") and " jumps, " in line:
                    terminalreporter.write_line(line)
