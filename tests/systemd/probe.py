# SPDX-License-Identifier: MIT
"""
Try one thing that the sandbox of the unit is to refuse.

``probe.py NAME [ARG]`` exits 0 if it was refused, as the option would, and 1
if it was allowed.  Run by itself: nothing of spooler, nothing of the tests.
"""

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

PROBES: dict[str, Callable[..., bool]] = {}
_libc = ctypes.CDLL(None, use_errno=True)
_X32 = 0x40000000
_GETPID, _PTRACE, _CLOCK_SETTIME = 39, 101, 227  # of x86-64
_NEWUSER = 0x10000000
_ADDR_NO_RANDOMIZE = 0x0040000


def probe(function: Callable[..., bool]) -> Callable[..., bool]:
    """Make it known by its name."""
    PROBES[function.__name__] = function
    return function


def refused(call: Callable[[], object], *numbers: int) -> bool:
    """Whether *call* fails with one of these errors."""
    try:
        call()
    except OSError as error:
        print(error)
        return error.errno in numbers
    return False


def number_of(result: int) -> int:
    """The error of a call of the C library; 0: none."""
    return ctypes.get_errno() if result == -1 else 0


@probe
def write_elsewhere() -> bool:
    """A directory that everybody may write to."""
    return refused(lambda: open("/opt/open/x", "w").close(), errno.EROFS)


@probe
def write_run() -> bool:
    """The same below /run."""
    return refused(lambda: open("/run/open/x", "w").close(), errno.EROFS)


@probe
def see_home() -> bool:
    """A file that everybody may read, in a home directory."""
    return refused(
        lambda: os.stat("/home/open/file"), errno.ENOENT, errno.EACCES
    )


@probe
def see_tmp() -> bool:
    """What others put into /tmp."""
    return refused(lambda: os.stat("/tmp/open"), errno.ENOENT)


@probe
def other_namespace(kind: str, known: str) -> bool:
    """Whether it is in another namespace than the rest."""
    return os.readlink(f"/proc/self/ns/{kind}") != known


@probe
def device() -> bool:
    """A device that everybody may open."""
    return refused(lambda: open("/dev/probe", "rb").close(), errno.ENOENT)


@probe
def set_clock() -> bool:
    """A time that the kernel would refuse too, but otherwise."""
    bad = (ctypes.c_long * 2)(0, -1)
    return number_of(_libc.syscall(_CLOCK_SETTIME, 0, bad)) == errno.EPERM


@probe
def tunables() -> bool:
    """Whether any sysfs can be written."""
    with open("/proc/self/mounts") as mounts:
        options = [
            line.split()[3].split(",") for line in mounts
            if line.split()[2] == "sysfs"
        ]
    return all("ro" in each for each in options)


@probe
def modules() -> bool:
    """What modules there are."""
    return refused(lambda: os.listdir("/usr/lib/modules"), errno.EACCES)


@probe
def kernel_log() -> bool:
    """The size of the kernel's log."""
    return number_of(_libc.klogctl(10, None, 0)) == errno.EPERM


@probe
def other_group(path: str) -> bool:
    """A control group outside of ours."""
    def make() -> None:
        os.mkdir(path)
        os.rmdir(path)

    return refused(make, errno.EROFS)


@probe
def see_process() -> bool:
    """A process of somebody else."""
    return refused(lambda: os.stat("/proc/1"), errno.ENOENT)


@probe
def see_system() -> bool:
    """What /proc tells of the machine."""
    return refused(lambda: os.stat("/proc/meminfo"), errno.ENOENT)


@probe
def become_root() -> bool:
    """A program that is set-uid root."""
    told = subprocess.run(["/opt/root-id", "-u"], capture_output=True)
    print(told)
    return told.stdout.strip() != b"0"


@probe
def capabilities() -> bool:
    """What root could do if it were one."""
    with open("/proc/self/status") as status:
        fields = dict(line.rstrip().split(":", 1) for line in status)
    return {int(fields[name], 16) for name in (
        "CapBnd", "CapPrm", "CapEff", "CapAmb"
    )} == {0}


@probe
def set_uid_bit(where: str = ".") -> bool:
    """A set-uid program of one's own."""
    path = os.path.join(where, f"bit-{os.getpid()}")
    open(path, "w").close()
    return refused(lambda: os.chmod(path, 0o4755), errno.EPERM)


@probe
def namespace() -> bool:
    """A user namespace, the door to all others."""
    return number_of(_libc.unshare(_NEWUSER)) == errno.EPERM


@probe
def realtime() -> bool:
    """Priority over all others."""
    return refused(lambda: os.sched_setscheduler(
        0, os.SCHED_FIFO, os.sched_param(1)
    ), errno.EPERM)


@probe
def netlink() -> bool:
    """A socket to the kernel."""
    return refused(
        lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(),
        errno.EAFNOSUPPORT,
    )


@probe
def personality() -> bool:
    """Another execution domain."""
    return number_of(_libc.personality(_ADDR_NO_RANDOMIZE)) == errno.EPERM


@probe
def write_and_execute() -> bool:
    """Memory that is both."""
    return refused(lambda: mmap.mmap(
        -1, mmap.PAGESIZE,
        prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC,
    ), errno.EPERM, errno.EACCES)


@probe
def foreign_call() -> bool:
    """A system call of another architecture."""
    pid = os.fork()
    if pid == 0:
        _libc.syscall(_X32 | _GETPID)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code == -signal.SIGSYS


@probe
def give_away(where: str = ".") -> bool:
    """chown, even to oneself."""
    path = os.path.join(where, f"own-{os.getpid()}")
    open(path, "w").close()
    return refused(
        lambda: os.chown(path, os.getuid(), os.getgid()), errno.EPERM
    )


@probe
def renice() -> bool:
    """A lower priority."""
    return refused(
        lambda: os.setpriority(os.PRIO_PROCESS, 0, 5), errno.EPERM
    )


@probe
def trace() -> bool:
    """To be traced."""
    return number_of(_libc.syscall(_PTRACE, 0, 0, 0, 0)) == errno.EPERM


@probe
def core() -> bool:
    """A core file."""
    return resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


@probe
def be_root() -> bool:
    """Who it runs as."""
    return os.getuid() != 0 and os.getgid() != 0


@probe
def many_processes() -> bool:
    """More than TasksMax."""
    pids = []
    try:
        for _ in range(40):
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            pids.append(pid)
    except BlockingIOError:
        return True
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    return False


@probe
def connect(port: str) -> bool:
    """A service of the machine."""
    try:
        socket.create_connection(("127.0.0.1", int(port)), 5).close()
    except OSError as error:
        print(error)
        return True
    return False


if __name__ == "__main__":
    sys.exit(0 if PROBES[sys.argv[1]](*sys.argv[2:]) else 1)
