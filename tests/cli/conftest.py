# SPDX-License-Identifier: MIT
"""Fixtures: spoolctl on a fresh spool, without and with a spoold."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

import pytest

from .harness import CONFIG, Cli, Served, environment


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the programs under test."""
    out = environment()
    if out.pop("PYTHONDONTWRITEBYTECODE", ""):
        # Compiling everything anew at each call would double its time.
        base = tmp_path_factory.getbasetemp().parent
        out["PYTHONPYCACHEPREFIX"] = str(base / "pycache")
    return out


@pytest.fixture
def cli(
    tmp_path: pathlib.Path, environ: dict[str, str]
) -> Iterator[Cli]:
    """Run spoolctl on a fresh spool that nobody serves."""
    with contextlib.closing(Cli(tmp_path / "spool", environ)) as cli:
        yield cli


@pytest.fixture
def serve(
    tmp_path: pathlib.Path, environ: dict[str, str]
) -> Iterator[Callable[..., Served]]:
    """Make a fresh spool with a spoold of a configuration of one's own."""
    with contextlib.ExitStack() as stack:

        def start(config: str, prefix: list[str] | None = None) -> Served:
            served = Served(
                tmp_path / "spool", environ, config, prefix or []
            )
            stack.callback(served.daemon.stop)
            stack.callback(served.close)
            return served

        yield start


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """Run spoolctl on a fresh spool that a spoold serves."""
    return serve(CONFIG)


@pytest.fixture
def public(environ: dict[str, str]) -> Iterator[Cli]:
    """Run spoolctl on a fresh spool that every user can reach."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="spool-test-"))
    try:
        root.chmod(0o755)
        yield Cli(root / "spool", environ)
    finally:
        shutil.rmtree(root)
