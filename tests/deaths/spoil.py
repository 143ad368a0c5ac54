# SPDX-License-Identifier: MIT
"""
How a job can spoil what others need: its worker, or the place it ran in.

As in ``ways``, whose helpers these use.
"""

import os
import resource
import signal
import subprocess
import time
from typing import Any

from deaths.ways import LASTS_S, children, fail, kill_parent, spool_of


def fork_child(job: Any) -> None:
    """Die, and leave a forked child that has all our descriptors."""
    if os.fork() == 0:
        time.sleep(LASTS_S)
        os._exit(0)
    os._exit(9)


def fork_daemon(job: Any) -> None:
    """The same, with the child in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(LASTS_S)
        os._exit(0)
    os._exit(9)


def fork_once(job: Any) -> None:
    """Leave a forked daemon in the first run, and go on for long."""
    if job.attempt == 1:
        if os.fork() == 0:
            os.setsid()
            time.sleep(LASTS_S)
            os._exit(0)
        time.sleep(LASTS_S)


def generations(job: Any) -> None:
    """Leave a session behind that has another one for its child."""
    inner = f"setsid sleep {LASTS_S} & exec sleep {LASTS_S}"
    subprocess.Popen(["sh", "-c", inner], start_new_session=True)
    while not _descendants():
        time.sleep(0.01)
    fail()


def _descendants() -> bool:
    """Whether a child of ours has a child."""
    for pid in children(os.getpid()):
        if children(int(pid)):
            return True
    return False


def orphan(job: Any) -> None:
    """Leave a session behind, and kill the process that runs commands."""
    subprocess.Popen(["sleep", str(LASTS_S)], start_new_session=True)
    kill_parent(job)


def deep(job: Any) -> None:
    """Nest directories deeper than anybody can call himself."""
    for _ in range(1050):
        os.mkdir("deeper")
        os.chdir("deeper")
    fail()


def deep_and_stay(job: Any) -> None:
    """The same, and run on in the first run, after a sign."""
    if job.attempt == 1:
        try:
            deep(job)
        except RuntimeError:
            os.mkfifo(f"{spool_of(job)}.deep")
            time.sleep(LASTS_S)
    fail()


def exec_long(job: Any) -> None:
    """Become a program that runs on."""
    os.execvp("sleep", ["sleep", str(LASTS_S)])


def timer(job: Any) -> None:
    """Leave an alarm that rings in somebody else's run."""
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    fail()


def deafen(job: Any) -> None:
    """Block and ignore what rings when the time is up."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    fail()


def linger(job: Any) -> None:
    """Take too long."""
    time.sleep(LASTS_S)


def mask(job: Any) -> None:
    """Leave an umask that hides what is made."""
    os.umask(0o777)
    fail()


def drop_identity(job: Any) -> None:
    """Become somebody who may touch nothing of the spool."""
    os.setresuid(54321, 54321, 54321)
    fail()


def close_directories(job: Any) -> None:
    """Close the directories that the worker works in."""
    for fd in range(3, 256):
        try:
            if os.path.isdir(f"/proc/self/fd/{fd}"):
                os.close(fd)
        except OSError:
            pass
    fail()


_kept: list[int] = []


def leak_descriptors(job: Any) -> None:
    """Open files until there are no descriptors, and keep them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    while True:
        _kept.append(os.open("/dev/null", os.O_RDONLY))


def say(job: Any, text: str) -> None:
    """Say *text*, in hexadecimal, to spoold in the worker's name."""
    for fd in range(3, 256):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                os.write(fd, bytes.fromhex(text))
        except OSError:
            pass
    time.sleep(0.1)
    fail()


def pause(job: Any) -> str:
    """Take longer than most, and tell where."""
    time.sleep(0.4)
    return os.getcwd()
