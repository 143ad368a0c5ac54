# SPDX-License-Identifier: MIT
"""Python handlers for the tests of spoolctl."""

from typing import Any


def slow(gate: str) -> None:
    """Write a line, wait to be let go, and write another."""
    print(gate)
    with open(gate) as file:
        file.read()
    print("two")


def far(job: Any, gate: str) -> None:
    """Tell of progress, and wait to be let go."""
    job.progress(1, 8, "old")
    job.progress(3, 8, "pages")
    with open(gate) as file:
        file.read()
