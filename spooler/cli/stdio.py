# SPDX-License-Identifier: MIT
"""Standard streams that may be closed, full or gone."""

import os
import sys


def mend() -> None:
    """
    Open what was closed when we were started, on nothing.

    A file of ours would get its number otherwise, and what is printed would
    go into that file.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        # A name may hold what the locale's encoding does not.
        stream.reconfigure(errors="backslashreplace")  # type: ignore


def give_up() -> None:
    """Print nothing more: what is left in the buffer would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
