# SPDX-License-Identifier: MIT
"""
Standard output and error of jobs that run side by side in one process.

What a coroutine writes with ``print`` goes to the files of its own job; what
is written past ``sys.stdout`` and ``sys.stderr`` goes to the service's log.
"""

import contextvars
import io
import os
import sys
from typing import Any, TextIO

from spooler import fsops
from spooler.states import State
from spooler.worker import Link, Task

_FLAGS = (
    os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
    | os.O_CLOEXEC
)
_BUFFER_BYTES = 8192


class Output:
    """The two files of one job, made when something is written."""

    def __init__(self, link: Link, task: Task) -> None:
        self._link = link
        self._task = task
        self._fds: dict[str, int] = {}
        self._sizes = {"out": 0, "err": 0}
        self._unsaved = {"out": bytearray(), "err": bytearray()}
        self._closed = False

    def write(self, kind: str, data: bytes) -> None:
        """
        Add to a file, by lines; what is over the limit is dropped.

        A disk in trouble is no error of the job's: it is kept in memory.

        Raises:
            OSError: the file cannot be written, and never will be.
        """
        room = self._task.handler.output_limit - self._sizes[kind]
        data = data[:max(0, room)]
        if not data or self._closed:
            return
        self._sizes[kind] += len(data)
        self._unsaved[kind] += data
        if b"\n" in data or len(self._unsaved[kind]) > _BUFFER_BYTES:
            try:
                self._save(kind)
            except OSError as error:
                if not fsops.is_temporary(error):
                    raise

    def _save(self, kind: str) -> None:
        unsaved = self._unsaved[kind]
        while unsaved:
            if kind not in self._fds:
                self._open(kind)
            del unsaved[:os.write(self._fds[kind], unsaved)]

    def _open(self, kind: str) -> None:
        if not self._fds:
            # One that runs may have the same id.
            self._link.set_apart(self._task)
        self._fds[kind] = os.open(
            f"{self._task.name.stem}.{kind}", _FLAGS, 0o640,
            dir_fd=self._link.spool.fds[State.ACTIVE],
        )

    def close(self) -> tuple[int, int]:
        """
        Let go of both; returns their sizes in bytes.

        Raises:
            OSError: the disk refused; do it again.
        """
        self._closed = True
        for kind in self._unsaved:
            try:
                self._save(kind)
            except OSError as error:
                if fsops.is_temporary(error):
                    raise
                self._sizes[kind] -= len(self._unsaved[kind])
        self._let_go()
        return self._sizes["out"], self._sizes["err"]

    def _let_go(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def drop(self) -> None:
        """Remove both."""
        kinds = list(self._fds)
        self._closed = True
        self._let_go()
        for kind in kinds:
            fsops.unlink(
                self._link.spool.fds[State.ACTIVE],
                f"{self._task.name.stem}.{kind}",
            )


current: contextvars.ContextVar[Output | None] = contextvars.ContextVar(
    "spooler_output", default=None
)


class _Stream(io.TextIOBase):
    """What stands in for a standard stream."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, kind: str, other: TextIO) -> None:
        self._kind = kind
        self._other = other
        self.buffer = _Bytes(self)

    def writable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """The service's, for programs that a job starts."""
        return self._other.fileno()

    def write(self, text: str) -> int:
        """Write to the file of the job that runs."""
        self.write_bytes(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """The same of bytes."""
        output = current.get()
        if output is not None:
            output.write(self._kind, data)
        else:
            self._other.write(data.decode("utf-8", "backslashreplace"))
            self._other.flush()


class _Bytes(io.RawIOBase):
    """The ``buffer`` of a standard stream."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Write bytes of any kind."""
        raw = bytes(data)
        self._stream.write_bytes(raw)
        return len(raw)


def install() -> None:
    """Let ``sys.stdout`` and ``sys.stderr`` be those of the job that runs."""
    for name, kind in (("stdout", "out"), ("stderr", "err")):
        setattr(sys, name, _Stream(kind, getattr(sys, name)))
