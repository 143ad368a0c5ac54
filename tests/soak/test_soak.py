# SPDX-License-Identifier: MIT
"""A short soak; ``python -m soak.soak`` makes longer ones."""

import os
import pathlib
import time

import pytest
from soak.soak import soak
from support import sized

SECONDS = float(os.environ.get(
    "SPOOL_SOAK_S", sized(20, 3600)
))


@pytest.mark.timeout(SECONDS * 2 + 240)
def test_the_books_balance(tmp_path: pathlib.Path) -> None:
    """Under kills of everything no job is lost, run twice or stuck."""
    seed = os.environ.get("SPOOL_SOAK_SEED", str(time.time_ns()))
    counts = soak(tmp_path, SECONDS, seed)
    print(counts)
    assert not counts.wrong, f"seed {seed}, {tmp_path}\n{counts.report()}"
