# SPDX-License-Identifier: MIT
"""
What a job can do to itself and its surroundings, one function each.

Every function is a Python handler; ``run.py`` makes a command of each.
Whatever they leave behind ends by itself within a minute.
"""

import ctypes
import itertools
import os
import resource
import signal
import subprocess
import sys
import time
from typing import Any, NoReturn

LASTS_S = 60
_TREE = 50


def _alone() -> None:
    """Insist on a session of our own before signals go to a group."""
    assert os.getsid(0) == os.getpid(), "shares its session with others"


def fail() -> NoReturn:
    """End a run the ordinary way: status 1 of a command."""
    raise RuntimeError("went wrong")


def segv(job: Any) -> None:
    """Read what is not mapped."""
    ctypes.string_at(0)


def kill(job: Any) -> None:
    """SIGKILL to oneself."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_parent(job: Any) -> None:
    """SIGKILL to the process that runs commands."""
    assert {b"spooler.workermain", b"command"} <= set(_words(os.getppid()))
    os.kill(os.getppid(), signal.SIGKILL)
    fail()


def kill_spoold(job: Any) -> None:
    """SIGKILL to spoold, after telling the run's number."""
    pid = os.getppid()
    words = _words(pid)
    if b"spooler.workermain" in words:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            pid = int(stream.read().rpartition(b")")[2].split()[1])
        words = _words(pid)
    spool = spool_of(job)
    assert words[-1] == os.fsencode(spool), words
    with open(f"{spool}.killed", "a", encoding="ascii") as stream:
        stream.write(f"{job.attempt}\n")
    os.kill(pid, signal.SIGKILL)
    time.sleep(LASTS_S)


def _words(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/cmdline", "rb") as stream:
        return stream.read().split(b"\0")[:-1]


def kill_group(job: Any) -> None:
    """SIGKILL to the whole process group, with a child in it."""
    _alone()
    subprocess.Popen(["sleep", str(LASTS_S)])
    os.killpg(0, signal.SIGKILL)


def exit_now(job: Any) -> None:
    """End the process past every handler and finally."""
    os._exit(9)


def abort(job: Any) -> None:
    """End as a failed assertion in C does."""
    os.abort()


def stack(job: Any) -> None:
    """Overflow the stack in C: a pattern nested too deep."""
    libc = ctypes.CDLL(None)
    libc.regcomp(ctypes.create_string_buffer(1024), b"(" * 300000, 1)


def memory(job: Any) -> None:
    """Take memory until there is none."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as stream:
        now = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20), before[1]))
    taken = []
    try:
        while True:
            taken.append(bytearray(1 << 20))
    finally:
        taken.clear()
        resource.setrlimit(resource.RLIMIT_AS, before)


def tree(job: Any) -> None:
    """Leave fifty processes in the group behind, in several generations."""
    shell = 'n=$1; while [ $n -gt 0 ]; do sleep 60 & n=$((n-1)); done; wait'
    for _ in range(5):
        subprocess.Popen(["sh", "-c", shell, "sh", str(_TREE // 5 - 1)])
    _wait_for_children(5)
    os._exit(9)


def sessions(job: Any) -> None:
    """Leave processes behind that made sessions of their own."""
    for _ in range(10):
        subprocess.Popen(["sleep", str(LASTS_S)], start_new_session=True)
    fail()


def _wait_for_children(number: int) -> None:
    while len(children(os.getpid())) < number:
        time.sleep(0.01)


def double_fork(job: Any) -> None:
    """Leave a daemon behind that keeps standard output open."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for _ in range(LASTS_S * 10):
                os.write(1, b".")
                time.sleep(0.1)
        os._exit(0)
    os.waitpid(pid, 0)
    os._exit(9)


def output(job: Any) -> None:
    """Write without an end."""
    while True:
        os.write(1, b"x" * (1 << 18))
        time.sleep(0.01)


def stop(job: Any) -> None:
    """SIGSTOP to oneself."""
    os.kill(os.getpid(), signal.SIGSTOP)


def stubborn(job: Any) -> None:
    """Go on whatever asks one to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            time.sleep(LASTS_S)
        except BaseException:
            pass


def sleep_in_c(job: Any) -> None:
    """Sleep where no signal is heard."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.CDLL(None).sleep(LASTS_S)


def close_all(job: Any) -> None:
    """Close every descriptor, ours and whoever's."""
    os.closerange(0, 4096)
    fail()


def delete_file(job: Any) -> None:
    """Delete its own job file."""
    os.unlink(job.file)
    fail()


def move_file(job: Any) -> None:
    """Move its own job file out of the spool."""
    spool = spool_of(job)
    os.rename(job.file, f"{spool}.taken")
    fail()


def fill_work(job: Any) -> None:
    """Fill the work directory: many, deep, large, unreadable."""
    for number in range(1000):
        with open(f"file {number}\n", "wb") as stream:
            stream.write(b"x" * 100)
    with open("large", "wb") as stream:
        stream.write(b"x" * (8 << 20))
    os.makedirs("/".join(["deep"] * 100))
    os.mkdir("locked", 0)
    os.symlink("/", "root")
    os.mkfifo("fifo")
    fail()


def exec_other(job: Any) -> None:
    """Become another program."""
    os.execv("/bin/sh", ["sh", "-c", "exit 7"])


def system_exit(job: Any) -> None:
    """Raise what ends a program."""
    sys.exit(3)


def interrupt(job: Any) -> None:
    """Raise what control-C does."""
    raise KeyboardInterrupt


def no_exception(job: Any) -> None:
    """Raise what ``except Exception`` does not catch."""
    raise BaseException("of the worst kind")


def corrupt(job: Any) -> None:
    """Break the standard input and forget modules."""
    sys.stdin = None
    sys.argv.clear()
    for name in ("json", "traceback", "spooler", "spooler.errors"):
        sys.modules.pop(name, None)
    fail()


def children(pid: int) -> list[str]:
    path = f"/proc/{pid}/task/{pid}/children"
    with open(path, encoding="ascii") as stream:
        return stream.read().split()


def spool_of(job: Any) -> str:
    return os.path.dirname(os.path.dirname(str(job.file)))


def close_streams(job: Any) -> None:
    """Close the standard streams as Python has them."""
    sys.stdout.close()
    sys.stderr.close()
    fail()


def flood(job: Any) -> None:
    """Write nonsense into every descriptor beyond the standard ones."""
    for fd in range(3, 256):
        try:
            for _ in range(64):
                os.write(fd, b"\xff" * 4096)
        except OSError:
            pass
    time.sleep(0.2)
    fail()


def settings(job: Any) -> None:
    """Change what a process hands on: directory, umask, signals, nice."""
    os.chdir("/")
    os.umask(0)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.nice(1)
    signal.setitimer(signal.ITIMER_REAL, 3600)
    fail()


def limits(job: Any) -> None:
    """Lower the limits of the process, and run into one."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    for _ in itertools.repeat(None):
        os.write(1, b"x" * 1000)


def healthy(job: Any) -> dict[str, Any]:
    """Do what it should."""
    print("healthy")
    return {"attempt": job.attempt, "cwd_is_there": bool(os.getcwd())}


def hold(job: Any, fifo: str) -> int:
    """Run until somebody writes to *fifo*."""
    with open(fifo, encoding="ascii") as stream:
        stream.read()
    return int(job.attempt)
