# SPDX-License-Identifier: MIT
"""
spoolctl, one short file per verb.

What is called in loops, a plain submit, ls or status, is done by quick.py
without importing a command line library.
"""

import sys


def main() -> None:
    """Entry point of bin/spoolctl."""
    from spooler.cli import quick, stdio

    stdio.mend()
    status = quick.run(sys.argv[1:])
    if status is None:
        from spooler.cli.app import run

        status = run()
    sys.exit(status)
