# SPDX-License-Identifier: MIT
"""The ways to die, and the verdict that is the truth about each."""

import dataclasses
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT_LIMIT = 64 << 10
TIMED = 'timeout = "250ms"\nkill_after = "150ms"\n'
LOST = "^its worker was killed by {}"


def environment() -> dict[str, str]:
    """What a daemon needs to find the functions."""
    search = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, search))}


def words(way: str, module: str = "ways") -> str:
    """The command of a function, for spool.toml."""
    script = str(HERE / "run.py")
    return json.dumps([sys.executable, "-S", "-E", script, module, way])


@dataclasses.dataclass(frozen=True)
class Death:
    """
    One way for one kind of handler, and what must be told of it.

    Attributes:
        kind: ``command`` or ``python``.
        verdicts: kind and status, one of them for every run.
        reason: pattern of the last run's text.
        runs: how many it is given: two attempts, unless nothing is left.
        keys: further keys of the handler.
        output: bytes of standard output that are kept, if it writes any.
        module: that has the function.
    """

    way: str
    kind: str
    verdicts: frozenset[tuple[str, int | None]]
    reason: str
    runs: int = 2
    keys: str = ""
    output: int | None = None
    module: str = "ways"

    @property
    def handler(self) -> str:
        """The handler's name."""
        return f"{self.kind}-{self.way}"

    def table(self) -> str:
        """The handler in spool.toml."""
        run = f'python = "deaths.{self.module}:{self.way}"'
        if self.kind == "command":
            run = f"command = {words(self.way)}\nconcurrency = 4"
        return (
            f"[handler.{self.handler}]\n{run}\nattempts = 2\n"
            f'backoff = "1ms"\noutput_limit = {OUTPUT_LIMIT}\n'
            f"breaker = 0\n{self.keys}"
        )


def command(
    way: str, kind: str, status: int | None, reason: str, runs: int = 2,
    keys: str = "", output: int | None = None,
) -> Death:
    """A death of a command."""
    verdicts = frozenset([(kind, status)])
    return Death(way, "command", verdicts, reason, runs, keys, output)


def python(
    way: str, kind: str, reason: str, runs: int = 2, keys: str = "",
    output: int | None = None,
) -> Death:
    """A death of a Python handler."""
    verdicts = frozenset([(kind, None)])
    return Death(way, "python", verdicts, reason, runs, keys, output)


WENT = "^RuntimeError: went wrong"
GONE = WENT + "; its handler removed the job file$"

COMMANDS = (
    command("segv", "signal", 11, "^SIGSEGV$"),
    command("kill", "signal", 9, "^SIGKILL$"),
    Death(
        "kill_parent", "command",
        # It outlives the runner, or is lost with it.
        frozenset([("exit", 1), ("lost", None)]),
        f"{WENT}|{LOST.format('SIGKILL')}",
    ),
    command("kill_group", "signal", 9, "^SIGKILL$"),
    command("exit_now", "exit", 9, "^$"),
    command("abort", "signal", 6, "^SIGABRT$"),
    command("stack", "signal", 11, "^SIGSEGV$"),
    command("memory", "exit", 1, "^MemoryError$"),
    command("tree", "exit", 9, "^$"),
    command("sessions", "exit", 1, WENT),
    command("double_fork", "exit", 9, "^$"),
    command("output", "timeout", None, "^timed out after 0.9s$",
            keys=TIMED.replace("250", "900"), output=OUTPUT_LIMIT),
    command("stop", "timeout", None, "^timed out after 0.25s$", keys=TIMED),
    command("stubborn", "timeout", None, "^timed out after 0.25s$",
            keys=TIMED),
    command("sleep_in_c", "timeout", None, "^timed out after 0.25s$",
            keys=TIMED),
    Death(
        "close_all", "command",
        # Python's own, when it cannot flush at its exit.
        frozenset([("exit", 1), ("exit", 120)]), "^$",
    ),
    command("delete_file", "exit", 1, GONE, runs=1),
    command("move_file", "exit", 1, GONE, runs=1),
    command("fill_work", "exit", 1, WENT),
    command("exec_other", "exit", 7, "^$"),
    command("system_exit", "exit", 3, "^$"),
    command("interrupt", "signal", 2, "^SIGINT$"),
    command("no_exception", "exit", 1, "^BaseException: of the worst kind$"),
    command("corrupt", "exit", 1, WENT),
    command("close_streams", "exit", 1, "^lost sys.stderr$"),
    command("flood", "exit", 1, WENT),
    command("settings", "exit", 1, WENT),
    command("limits", "signal", 25, "^SIGXFSZ$"),
)
SOFT = "^timed out after 0.25s$"
HARD = "^timed out and did not end when told to; its worker was killed$"

PYTHONS = (
    python("segv", "lost", LOST.format("SIGSEGV")),
    python("kill", "lost", LOST.format("SIGKILL")),
    python("kill_group", "lost", LOST.format("SIGKILL")),
    python("exit_now", "lost", "^its worker exited with status 9"),
    python("abort", "lost", LOST.format("SIGABRT")),
    python("stack", "lost", LOST.format("SIGSEGV")),
    python("memory", "error", "^MemoryError$"),
    python("tree", "lost", "^its worker exited with status 9"),
    python("output", "timeout", SOFT, keys=TIMED.replace("150ms", "5s"),
           output=OUTPUT_LIMIT),
    python("stop", "timeout", HARD, keys=TIMED),
    python("stubborn", "timeout", HARD, keys=TIMED),
    python("sleep_in_c", "timeout", HARD, keys=TIMED),
    python("close_all", "lost", "^its worker exited with status 1"),
    python("delete_file", "error", GONE, runs=1),
    python("move_file", "error", GONE, runs=1),
    python("exec_other", "lost", "^its worker exited with status 7"),
    python("system_exit", "error", "^SystemExit: 3$"),
    python("interrupt", "error", "^KeyboardInterrupt$"),
    python("no_exception", "error", "^BaseException: of the worst kind$"),
    python("corrupt", "error", f"{WENT}$"),
    python("flood", "lost",
           LOST.format("SIGKILL") + "|^its worker talked nonsense"),
    python("settings", "error", f"{WENT}$"),
    python("limits", "lost", LOST.format("SIGXFSZ")),
)
DEATHS = COMMANDS + PYTHONS
