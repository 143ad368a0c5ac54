# SPDX-License-Identifier: MIT
"""The floor: the same system calls in C, compiled on the spot."""

import pathlib
import shutil
import subprocess

from bench.figures import Unable

SOURCE = pathlib.Path(__file__).parent / "floor.c"
NAME = "floor in C"


class Floor:
    """The program, in a scratch directory."""

    def __init__(self, scratch: pathlib.Path, workers: int) -> None:
        self._program = scratch / "floor"
        self._spool = scratch / "floor-spool"
        self._workers = workers

    def rate(self, jobs: int, *options: str) -> float:
        """
        Jobs a second.

        Args:
            options: ``unlink`` to remove jobs at their end.

        Raises:
            Unable: there is no C compiler.
        """
        self._compile()
        out = subprocess.check_output([
            str(self._program), str(self._spool), str(jobs),
            str(self._workers), *options,
        ])
        shutil.rmtree(self._spool)
        return float(out)

    def _compile(self) -> None:
        if self._program.exists():
            return
        if shutil.which("cc") is None:
            raise Unable("no cc on this machine")
        subprocess.run(
            ["cc", "-O2", "-o", str(self._program), str(SOURCE)], check=True
        )
