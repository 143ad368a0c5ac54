# SPDX-License-Identifier: MIT
"""
What CPython's tests of executors submit, and what a worker cannot find by
name: a builtin is no function that a module defines.
"""

import time


def power(base: int, exponent: int) -> int:
    """As pow."""
    return pow(base, exponent)


def divide(a: int, b: int) -> tuple[int, int]:
    """As divmod."""
    return divmod(a, b)


def sleep(seconds: float) -> None:
    """As time.sleep."""
    time.sleep(seconds)


def text(value: object) -> str:
    """As str."""
    return str(value)
