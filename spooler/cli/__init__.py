# SPDX-License-Identifier: MIT
"""
spoolctl, one short file per verb.

A plain submit is what scripts call in loops: it is done here, without
importing a command line library, which would cost three times the rest.
"""

import sys


def main() -> None:
    """Entry point of bin/spoolctl."""
    from spooler.cli import quick, stdio

    stdio.mend()
    status = quick.submit(sys.argv[1:])
    if status is None:
        from spooler.cli.app import run

        status = run()
    sys.exit(status)
