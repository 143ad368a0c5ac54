# SPDX-License-Identifier: MIT
"""What a command leaves running is found, whatever it is at."""

import os
import subprocess
import sys

import pytest
from spooler import leftover

_JOB = "0123456789abcdefghij"
#: Prints the names of what is left of *rounds* commands.
_HAMMER = """
import os, subprocess, sys
from spooler import foster, leftover
foster.become_subreaper()
for number in range(int(sys.argv[1])):
    job = f"job{number}"
    subprocess.run(
        ["sh", "-c", "setsid sleep 100 & exit 0"],
        env={**os.environ, "SPOOL_JOB_ID": job},
    )
    leftover.end_strays(job)
    foster.reap_orphans(set())
left = []
for pid in leftover.children():
    with open(f"/proc/{pid}/comm") as file:
        left.append(file.read().strip())
    os.kill(pid, 9)
print(left)
"""


def test_nothing_is_left_of_what_has_just_begun() -> None:
    """What a command starts last, and leaves, ends with it; between its
    fork and its program too."""
    done = subprocess.run(
        [sys.executable, "-c", _HAMMER, "300"],
        capture_output=True, text=True, check=True,
    )
    assert done.stdout == "[]\n", done.stderr[-500:]


def test_one_between_two_programs_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who shows no environment yet is not taken for somebody else's."""
    looks = iter([None, True, False])
    killed: list[str] = []
    monkeypatch.setattr(leftover, "children", lambda: [os.getpid()])
    monkeypatch.setattr(leftover, "_look", lambda *_: next(looks))
    monkeypatch.setattr(
        leftover, "kill", lambda variable, ids: killed.extend(ids)
    )
    assert leftover.end_strays(_JOB) is False
    assert killed == [_JOB]


def test_who_has_no_environment_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was started without any is told by its age, one that has
    ended by its state."""
    with subprocess.Popen(["sleep", "100"], env={}) as alone:
        try:
            monkeypatch.setattr(leftover, "_BEGIN_S", 0.0)
            assert leftover._look(alone.pid, set()) is False
            monkeypatch.setattr(leftover, "_BEGIN_S", 1000.0)
            assert leftover._look(alone.pid, set()) is None
        finally:
            alone.kill()
        os.waitid(os.P_PID, alone.pid, os.WEXITED | os.WNOWAIT)
        assert leftover._look(alone.pid, set()) is False
    assert leftover._look(os.getpid(), set()) is False
