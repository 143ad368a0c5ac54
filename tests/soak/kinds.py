# SPDX-License-Identifier: MIT
"""The handlers of the soak, and what may become of their jobs."""

import dataclasses

WORKERS = 3
NAPS = 4  #: coroutines at once
ATTEMPTS = 9


@dataclasses.dataclass(frozen=True)
class Kind:
    """
    One handler.

    Attributes:
        run: its ``command``, a shell's words, or empty: a Python handler.
        share: of a hundred jobs.
        verdicts: without kills; empty: done.
        attempts: failed runs that it has.
        runs: how many it takes without kills.
        keys: further keys of its table.
    """

    name: str
    share: int
    run: str = ""
    verdicts: tuple[str, ...] = ()
    attempts: int = ATTEMPTS
    runs: int = 1
    keys: str = ""

    def table(self, starts: str) -> str:
        """The table of spool.toml."""
        run = f'python = "soak.handlers:{self.name}"'
        if self.run:
            mark = f'echo "$SPOOL_JOB_ID $SPOOL_ATTEMPT" >>{starts}'
            run = f"command = ['sh', '-c', '''\n{mark}; {self.run}''']"
        return (
            f"[handler.{self.name}]\n{run}\nattempts = {self.attempts}\n"
            f'backoff = "50ms"\nmax_backoff = "300ms"\n{self.keys}\n'
        )


LATE = 'timeout = "200ms"\nkill_after = "200ms"'
KINDS = {kind.name: kind for kind in (
    Kind("plain", 24),
    Kind("value", 15),
    Kind("cat", 15, "exec cat"),
    Kind("result", 10, 'echo "\\"$0\\"" >"$SPOOL_RESULT"'),
    Kind("flaky", 6, runs=2),
    Kind("defer", 5, runs=3),
    Kind("slow", 2),
    Kind("nap", 8, keys=f"asyncio = true\nconcurrency = {NAPS}"),
    Kind("shslow", 4, "exec sleep 0.4"),
    Kind("strays", 2, "setsid sleep 30 & (sleep 30 & sleep 30 &) ; exit 0"),
    Kind("never", 3, verdicts=("fail",)),
    Kind("broken", 3, "exit 3", ("exit3",), attempts=2, runs=2),
    Kind("late", 1, verdicts=("timeout",), attempts=1, keys=LATE),
    Kind("shlate", 1, "exec sleep 60", ("timeout",), attempts=1, keys=LATE),
    Kind("poison", 1, verdicts=("lost",), attempts=2, runs=2,
         keys="breaker = 0"),
    # Payloads: their producers name no handler.
    Kind("payload", 0, keys='match = ["*.dat"]'),
    Kind("count", 0, "exec wc -c", keys='match = ["*.txt"]'),
)}
#: What a kill may make of any of them, once attempts are used up.
KILLED = ("lost", "sig9")
CONFIG = f"""\
format = 1
workers = {WORKERS}
rescan = "1s"
stop_timeout = "2s"
"""


def config(starts: str) -> str:
    """The whole spool.toml."""
    return CONFIG + "".join(kind.table(starts) for kind in KINDS.values())
