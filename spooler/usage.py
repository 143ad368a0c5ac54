# SPDX-License-Identifier: MIT
"""What running processes use: read from /proc, by process and by session."""

import dataclasses
import os

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
#: Fields of /proc/PID/stat behind the name, which may hold anything.
_SESSION, _TIMES, _RSS = 3, slice(11, 15), 21


@dataclasses.dataclass
class Usage:
    """CPU time in seconds, and resident memory in bytes."""

    cpu_s: float = 0.0
    memory: int = 0


def of_sessions(pids: set[int]) -> dict[int, Usage]:
    """
    What each of *pids* uses, with all processes of its session.

    A worker shares its session with others: for a pid that leads none, it
    is the process alone.
    """
    out = {pid: Usage() for pid in pids}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        pid, session = int(entry), int(fields[_SESSION])
        total = out.get(session) or out.get(pid)
        if total is not None:
            total.cpu_s += sum(map(int, fields[_TIMES])) * _TICK_S
            total.memory += int(fields[_RSS]) * _PAGE_BYTES
    return out
