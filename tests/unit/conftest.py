# SPDX-License-Identifier: MIT
"""Fixtures of the unit tests: an opened spool, a function that fails."""

import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from spooler import layout
from spooler.spool import Spool

# The same examples in every run and on every machine: a test that fails
# fails for everybody.  No deadline, for a loaded machine is not a bug.
hypothesis.settings.register_profile(
    "unit", database=None, deadline=None, derandomize=True, max_examples=30
)
hypothesis.settings.load_profile("unit")


@pytest.fixture
def opened(tmp_path: pathlib.Path) -> Iterator[Spool]:
    """Make a real, empty spool and open it."""
    path = str(tmp_path / "spool")
    layout.create(path)
    with Spool(path) as spool:
        yield spool


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """
    Make a function fail with an errno.

    ``broken(os, "fsync", errno.EIO, skip=1)`` lets one call through; the
    list it returns grows by the arguments of every call.
    """

    def install(
        owner: Any, name: str, number: int, skip: int = 0,
        times: int = 1_000_000,
    ) -> list[Any]:
        calls: list[Any] = []
        real = getattr(owner, name)

        def call(*args: Any, **keys: Any) -> Any:
            calls.append(args)
            if skip < len(calls) <= skip + times:
                raise OSError(number, os.strerror(number))
            return real(*args, **keys)

        monkeypatch.setattr(owner, name, call)
        return calls

    return install
