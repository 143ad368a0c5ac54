# SPDX-License-Identifier: MIT
"""Fixtures: a real spool and a real spoold."""

import contextlib
import os
import pathlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator

import pytest
from support import Spoold, SpoolDir

# A shell without job control, and nohup, start what runs in the background
# deaf to SIGINT; children would inherit it, and some tests send them one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def spool(tmp_path: pathlib.Path) -> SpoolDir:
    """Make a real, empty spool with a configuration without handlers."""
    return SpoolDir(tmp_path / "spool")


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


@pytest.fixture
def spoold(
    spool: SpoolDir, tmp_path: pathlib.Path
) -> Iterator[Callable[..., Spoold]]:
    """Start daemons; at the end each must stop and leave no process."""
    with contextlib.ExitStack() as stack:
        count = 0

        def start(*options: str, **settings: object) -> Spoold:
            nonlocal count
            count += 1
            on = settings.pop("spool", spool)
            assert isinstance(on, SpoolDir)
            wait = settings.pop("wait", True)
            daemon = Spoold(
                on, tmp_path / f"spoold.{count}.log", *options,
                **settings,  # type: ignore[arg-type]
            )
            stack.callback(daemon.close)
            if wait:
                daemon.wait_ready()
            return daemon

        yield start


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With SPOOL_FEW_SKIPS a run that mostly skips has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("SPOOL_FEW_SKIPS"):
        return
    skipped = len(reporter.stats.get("skipped", ()))
    if skipped > len(reporter.stats.get("passed", ())):
        reporter.write_line(f"{skipped} skipped: more than passed")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
