# SPDX-License-Identifier: MIT
"""SHA-256 without its large library."""

import hashlib
import subprocess
import sys

import pytest
from spooler import digest


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 65_536, 65_537, 200_000])
def test_it_is_sha256(size: int) -> None:
    """It is what hashlib says, for small and for large data."""
    data = bytes(range(256)) * (size // 256 + 1)
    assert digest.sha256_hex(data[:size]) == hashlib.sha256(
        data[:size]
    ).hexdigest()


def test_small_data_loads_no_library() -> None:
    """A producer of small jobs never loads OpenSSL."""
    script = (
        "import sys; from spooler import jobwrite;"
        "jobwrite.encode('h', ('a',)); print('_hashlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c",
         f"import sys; sys.path.insert(0, {sys.path[0]!r});"
         f"sys.path[:0] = {sys.path!r}; {script}"],
        capture_output=True, text=True, check=True,
    )
    assert done.stdout.strip() == "False"
