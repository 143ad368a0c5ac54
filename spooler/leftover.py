# SPDX-License-Identifier: MIT
"""
Processes that outlived whoever had to end them.

They are known by what they were started with: a variable of their
environment, which they inherit whatever sessions and groups they made.  No
pid is remembered, and one is killed through a descriptor that pins it.
"""

import logging
import os
import signal
import time
from collections.abc import Collection, Iterable

log = logging.getLogger(__name__)

#: In the environment of every worker and command.
INSTANCE_VARIABLE = "SPOOL_INSTANCE"
JOB_VARIABLE = "SPOOL_JOB_ID"
SPOOL_VARIABLE = "SPOOL_DIR"  #: as place.py reads it
#: Whoever forks while he is killed is met in the next round.
_ROUNDS, _ROUND_S = 20, 0.001
#: A process has its first program after so long.
_BEGIN_S = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")


def kill(
    variable: str, values: Collection[str],
    pids: Iterable[int] | None = None,
) -> int:
    """
    Kill every process started with *variable* set to one of *values*.

    Args:
        pids: look at these only; None: at all we may look at.

    Returns:
        How many were killed.
    """
    wanted = {f"{variable}={value}".encode() for value in values}
    killed = 0
    for pid in _all() if pids is None else pids:
        if pid != os.getpid() and _is_marked(pid, wanted):
            killed += _kill(pid, wanted)
    return killed


def end_strays(job_id: str, known: Collection[int] = ()) -> bool:
    """
    Kill what the ended command of a job left behind.

    We are its subreaper: if anything is left, one of our children is.

    Args:
        known: children that others look after.

    Returns:
        Whether nothing at all is left of it, however it hides.
    """
    wanted = {f"{JOB_VARIABLE}={job_id}".encode()}
    for _ in range(_ROUNDS):
        unknown = [pid for pid in children() if pid not in known]
        looks = [_look(pid, wanted) for pid in unknown]
        if any(looks):
            # Their own children are not ours yet: look at everybody.
            kill(JOB_VARIABLE, {job_id})
        elif None not in looks:
            return not unknown
        time.sleep(_ROUND_S)
    return False


def children() -> list[int]:
    """The pids of this process's children, adopted ones too."""
    # Kept open: a runner asks at the end of every command.
    if not _children_fd:
        path = f"/proc/self/task/{os.getpid()}/children"
        try:
            _children_fd.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return []
    data = b""
    try:
        while chunk := os.pread(_children_fd[0], _READ_BYTES, len(data)):
            data += chunk
    except OSError:
        return []
    return list(map(int, data.split()))


_children_fd: list[int] = []  #: empty before the first look
_READ_BYTES = 1 << 16


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _is_marked(pid: int, wanted: set[bytes]) -> bool:
    return bool(_look(pid, wanted))


def _look(pid: int, wanted: set[bytes]) -> bool | None:
    """
    Whether a process is marked; None: that is not to be told yet.

    Between two programs it shows no environment.  It shows none either when
    it has ended, or was given none; that one is told by its age.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            data = file.read()
        if data:
            return not wanted.isdisjoint(data.split(b"\0"))
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return False  # gone, or somebody else's
    begun_s = int(fields[19]) / _TICKS
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - begun_s
    return None if fields[0] != b"Z" and age_s < _BEGIN_S else False


def _kill(pid: int, wanted: set[bytes]) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # RACE: the number may have changed hands before it was pinned.
        if not _is_marked(pid, wanted):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        log.warning("pid %d: outlived its job's run; killed", pid)
        return True
    except OSError:
        return False
    finally:
        os.close(pidfd)
