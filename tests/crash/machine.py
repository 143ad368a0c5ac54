# SPDX-License-Identifier: MIT
"""File systems of our own: images, loop devices, mounts, the plug."""

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

#: mkfs for an image of our own; no discards, which a log of writes has not.
MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E",
             "nodiscard,lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
    "btrfs": ("mkfs.btrfs", "-q", "-f", "-K", "-m", "single"),
}
#: The least each takes, and some room for jobs.
SIZE_MIB = {"ext4": 64, "xfs": 304, "btrfs": 128}
OPTIONS = {
    "ext4": "nodiscard",
    # The same image is mounted again and again.
    "xfs": "nodiscard,nouuid",
    "btrfs": "nodiscard",
}
#: Where images lie: memory, if there is such a place.
SCRATCH = "/dev/shm" if os.path.isdir("/dev/shm") else None

_BUSY_S = 5.0
#: EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN: _IOR('X', 125, __u32).
_SHUTDOWN = 0x8004587D
#: Nothing is flushed, not even the journal: what was not committed is gone.
_NO_LOG_FLUSH = 2
_BLKFLSBUF = 0x1261

_libc = ctypes.CDLL(None, use_errno=True)


def why_not(kind: str) -> str | None:
    """Say why *kind* cannot be mounted from an image; None if it can."""
    if os.geteuid() != 0:
        return f"{kind}: mounting needs root"
    for program in (MKFS[kind][0], "losetup"):
        if shutil.which(program) is None:
            return f"{kind}: no {program} on this machine"
    with open("/proc/filesystems", encoding="ascii") as stream:
        known = kind in stream.read().split()
    if not known and shutil.which("modprobe"):
        known = not subprocess.run(
            ["modprobe", kind], capture_output=True
        ).returncode
    if not known:
        return f"{kind}: not known to this kernel"
    done = subprocess.run(["losetup", "-f"], capture_output=True, text=True)
    if done.returncode:
        return f"{kind}: no loop device: {done.stderr.strip()}"
    return None


def make_image(kind: str, path: str) -> None:
    """Make an empty file system of *kind* in the new file *path*."""
    with open(path, "wb") as image:
        image.truncate(SIZE_MIB[kind] << 20)
    run(*MKFS[kind], path)


def run(*command: str) -> str:
    """Run a program that must succeed; returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextlib.contextmanager
def loop_device(path: str) -> Iterator[str]:
    """Lend a loop device over the file *path*."""
    device = run("losetup", "-f", "--show", path)
    try:
        yield device
    finally:
        run("losetup", "-d", device)
        _wait_detached(device, path)


def _wait_detached(device: str, path: str) -> None:
    """
    Wait until *device* has let go of *path*.

    The kernel puts that off while anybody looks at the device, and what the
    device still holds in memory would then go into the image late.
    """
    backing = f"/sys/block/{os.path.basename(device)}/loop/backing_file"
    deadline = time.monotonic() + _BUSY_S
    while time.monotonic() < deadline:
        try:
            with open(backing, encoding="utf-8") as stream:
                if stream.read().strip() != path:
                    return  # lent to somebody else already
        except OSError:
            return
        time.sleep(0.002)
    raise OSError(errno.EBUSY, "is not detached", device)


@contextlib.contextmanager
def mounted(device: str, where: str, kind: str) -> Iterator[None]:
    """Mount *device*, journal replay and all; unmount at the end."""
    mount(device, where, kind, OPTIONS[kind])
    try:
        yield
    finally:
        unmount(where)


@contextlib.contextmanager
def powered(image: str, where: str, kind: str) -> Iterator[None]:
    """Mount an image over a loop device that knows nothing of the past."""
    with loop_device(image) as device, mounted(device, where, kind):
        yield


def mount(device: str, where: str, kind: str, options: str) -> None:
    """mount(2)."""
    if _libc.mount(
        device.encode(), where.encode(), kind.encode(), 0, options.encode()
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), device)


def unmount(where: str) -> None:
    """umount(2); a process that just died may keep it busy for a moment."""
    deadline = time.monotonic() + _BUSY_S
    while _libc.umount2(where.encode(), 0):
        number = ctypes.get_errno()
        if number != errno.EBUSY or time.monotonic() > deadline:
            raise OSError(number, os.strerror(number), where)
        time.sleep(0.005)


def pull_the_plug(where: str) -> None:
    """Shut a mounted ext4 or xfs down as a power cut would."""
    fd = os.open(where, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(fd)


def forget_blocks(device_fd: int) -> None:
    """Drop what the kernel keeps of a device whose image was rewritten."""
    fcntl.ioctl(device_fd, _BLKFLSBUF)


def end_on_sigterm() -> None:
    """Let SIGTERM end a campaign as an error would: all is unmounted."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def sync_tree(path: str) -> None:
    """syncfs(2) the file system that *path* lies on."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if _libc.syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(fd)
