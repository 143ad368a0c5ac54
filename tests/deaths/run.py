# SPDX-License-Identifier: MIT
"""A command of one of the functions: ``python run.py MODULE NAME``."""

import importlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))


class Command:
    """What the functions want to know of a job, of a command."""

    def __init__(self) -> None:
        self.file = os.environ["SPOOL_JOB_FILE"]
        self.attempt = int(os.environ["SPOOL_ATTEMPT"])


if __name__ == "__main__":
    functions = importlib.import_module(f"deaths.{sys.argv[1]}")
    getattr(functions, sys.argv[2])(Command())
