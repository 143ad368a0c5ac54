# SPDX-License-Identifier: MIT
"""What it takes to start each command, and to import the package."""

import functools
import subprocess
import sys
import time

from bench.scene import Setting
from support import SPOOLCTL, SPOOLD

BARE = "python3 -c pass"
#: An id that nobody can have: the wall clock of 1970.
_NONE = "00000000000000000000"


def start(setting: Setting) -> None:
    """Start-up of each command against ``python3 -c pass``."""
    times = setting.pick(3, 20, 100)
    with setting.spool() as scene:
        scene.fill(20, "noop")
        ctl = [SPOOLCTL, "-C", scene.spool]
        programs = {
            BARE: ["-c", "pass"],
            "import spooler": ["-c", "import spooler"],
            "submit": [*ctl, "submit", "noop"],
            "submit --in 5m": [*ctl, "submit", "noop", "--in", "5m"],
            "submit --relaxed": [*ctl, "submit", "--relaxed", "noop"],
            "ls": [*ctl, "ls"],
            "status": [*ctl, "status"],
            "show": [*ctl, "show", _NONE],
            "wait": [*ctl, "wait", _NONE],
            "hold": [*ctl, "hold", _NONE],
            "check": [*ctl, "check"],
            "spoolctl --help": [SPOOLCTL, "--help"],
            "spoold -t": [SPOOLD, "-t", scene.spool],
        }
        for argv in programs.values():  # compiles what it imports
            _once([sys.executable, *argv])
        setting.report.contest(
            "start-up of a command", "ms", times,
            {
                name: functools.partial(_once, [sys.executable, *argv])
                for name, argv in programs.items()
            }, BARE,
        )


def _once(argv: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - begun) * 1e3
