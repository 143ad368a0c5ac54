# SPDX-License-Identifier: MIT
"""
A disk that remembers: every write and every flush, in order.

A FUSE file system with two files, spoken straight over /dev/fuse.  ``disk``
is an image served from memory; a loop device and a real file system go on
top of it.  Each WRITE and FSYNC that arrives is appended to a log.  What is
written to ``mark`` lands in the same log: so a process can say what it was
promised, and when.

    python blocklog.py IMAGE LOG MOUNTPOINT

serves until it is unmounted.
"""

import contextlib
import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

WRITE, FLUSH, MARK = 1, 2, 3
_HEAD = struct.Struct("<BQI")


class Entry(NamedTuple):
    """One line of the log: what happened, where on the disk, what bytes."""

    what: int
    offset: int
    data: bytes


def read_log(path: str) -> list[Entry]:
    """Read a log that a server wrote."""
    entries = []
    with open(path, "rb") as stream:
        while len(head := stream.read(_HEAD.size)) == _HEAD.size:
            what, offset, size = _HEAD.unpack(head)
            entries.append(Entry(what, offset, stream.read(size)))
    return entries


def why_not() -> str | None:
    """Say why the disk cannot be served; None if it can."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"no FUSE: /dev/fuse: {error.strerror}"
    return None


@contextlib.contextmanager
def served(image: str, log: str, where: str) -> Iterator[None]:
    """Serve *image* at *where*, by a process of its own."""
    server = subprocess.Popen(
        [sys.executable, __file__, image, log, where],
        stdin=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10
        while not os.path.ismount(where):
            if server.poll() is not None or time.monotonic() > deadline:
                raise OSError("the disk is not served")
            time.sleep(0.01)
        yield
    finally:
        with contextlib.suppress(OSError):
            _unmount(where)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _unmount(where: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(400):
        if libc.umount2(where.encode(), 0) == 0:
            return
        if ctypes.get_errno() != errno.EBUSY:
            break
        time.sleep(0.005)
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), where)


# The kernel's side: linux/fuse.h.

_IN = struct.Struct("=IIQQIIIHH")
_OUT = struct.Struct("=IiQ")
_INIT_IN = struct.Struct("=IIII")
_INIT_OUT = struct.Struct("=IIIIHHIIHH32x")
_RW_IN = struct.Struct("=QQII16x")
_ATTR = struct.Struct("=QQQQQQIIIIIIIIII")
_MAX_WRITE = 1 << 17
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22
_DIRECT_IO, _KEEP_CACHE = 1, 2
_ROOT, _DISK, _MARK_FILE = 1, 2, 3
_NAMES = {b"disk": _DISK, b"mark": _MARK_FILE}

(_LOOKUP, _FORGET, _GETATTR, _SETATTR, _OPEN, _READ, _WRITE, _RELEASE,
 _FSYNC, _FLUSH, _INIT, _INTERRUPT, _DESTROY, _BATCH_FORGET) = (
    1, 2, 3, 4, 14, 15, 16, 18, 20, 25, 26, 36, 38, 42,
)


class Server:
    """Answers the kernel, one request after the other."""

    def __init__(self, image: str, log: str, where: str) -> None:
        """Take the image into memory, and mount."""
        with open(image, "rb") as stream:
            self._disk = bytearray(stream.read())
        self._log = open(log, "wb", buffering=1 << 20)
        self._fd = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(
            b"blocklog", where.encode(), b"fuse", 0, options.encode()
        ):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), where)

    def serve(self) -> None:
        """Answer until unmounted."""
        try:
            while True:
                try:
                    request = os.read(self._fd, _MAX_WRITE + 8192)
                except InterruptedError:
                    continue
                except OSError as error:
                    if error.errno == errno.ENOENT:
                        continue  # interrupted while it was handed over
                    if error.errno == errno.ENODEV:
                        return
                    raise
                self._answer(request)
        finally:
            self._log.close()

    def _answer(self, request: bytes) -> None:
        _, opcode, unique, node, *_ = _IN.unpack_from(request)
        if opcode in (_FORGET, _BATCH_FORGET, _INTERRUPT):
            return
        number, answer = 0, b""
        try:
            answer = self._do(opcode, node, request[_IN.size:])
        except OSError as error:
            number = error.errno or errno.EIO
        head = _OUT.pack(_OUT.size + len(answer), -number, unique)
        try:
            os.writev(self._fd, (head, answer))
        except FileNotFoundError:
            pass  # it was interrupted, and nobody waits any more

    def _do(self, opcode: int, node: int, body: bytes) -> bytes:
        if opcode == _WRITE:
            return self._write(node, body)
        if opcode == _READ:
            _, offset, size, _ = _RW_IN.unpack_from(body)
            return bytes(self._disk[offset:offset + size])
        if opcode == _FSYNC:
            if node == _DISK:
                self._note(FLUSH, 0, b"")
            return b""
        if opcode in (_FLUSH, _RELEASE, _DESTROY):
            return b""
        if opcode in (_GETATTR, _SETATTR):
            return struct.pack("=QII", 3600, 0, 0) + self._attr(node)
        if opcode == _LOOKUP:
            found = _NAMES.get(body.rstrip(b"\0"))
            if found is None:
                raise FileNotFoundError(errno.ENOENT, "no such file")
            return struct.pack(
                "=QQQQII", found, 0, 3600, 3600, 0, 0
            ) + self._attr(found)
        if opcode == _OPEN:
            # A mark has no content and no size: each write is a message.
            how = _DIRECT_IO if node == _MARK_FILE else _KEEP_CACHE
            return struct.pack("=QII", node, how, 0)
        if opcode == _INIT:
            _, _, readahead, flags = _INIT_IN.unpack_from(body)
            return _INIT_OUT.pack(
                7, 31, readahead, flags & (_BIG_WRITES | _MAX_PAGES),
                12, 9, _MAX_WRITE, 1, _MAX_WRITE // 4096, 0,
            )
        raise OSError(errno.ENOSYS, "not needed here")

    def _write(self, node: int, body: bytes) -> bytes:
        _, offset, size, _ = _RW_IN.unpack_from(body)
        data = body[_RW_IN.size:_RW_IN.size + size]
        if node == _MARK_FILE:
            self._note(MARK, 0, data)
        else:
            self._note(WRITE, offset, data)
            self._disk[offset:offset + size] = data
        return struct.pack("=II", size, 0)

    def _note(self, what: int, offset: int, data: bytes) -> None:
        self._log.write(_HEAD.pack(what, offset, len(data)) + data)

    def _attr(self, node: int) -> bytes:
        size, mode = 0, stat.S_IFREG | 0o600
        if node == _ROOT:
            mode = stat.S_IFDIR | 0o700
        elif node == _DISK:
            size = len(self._disk)
        return _ATTR.pack(
            node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0,
            4096, 0,
        )


if __name__ == "__main__":
    Server(*sys.argv[1:]).serve()
