# SPDX-License-Identifier: MIT
"""Short or long, and counts that can be seen."""

import sys
from collections.abc import Callable

import pytest

from .verdict import Counts
from support import LONG


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long form has no time limit."""
    if LONG:
        for item in items:
            if "crash" in item.path.parts:
                item.add_marker(pytest.mark.timeout(0))


@pytest.fixture
def show(capfd: pytest.CaptureFixture[str]) -> Callable[[Counts], None]:
    """Print counts where a person sees them, whatever is captured."""

    def print_counts(counts: Counts) -> None:
        with capfd.disabled():
            print(f"\n{counts}", file=sys.stderr, flush=True)

    return print_counts
