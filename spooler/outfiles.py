# SPDX-License-Identifier: MIT
"""What handlers print that run one at a time in a worker."""

import functools
import io
import os
import sys
from collections.abc import Callable
from os import SEEK_END, lseek

from spooler import fsops
from spooler.states import State
from spooler.worker import Link, Task


class OutFiles:
    """Standard output and error of the handlers, in files of this worker."""

    def __init__(
        self, link: Link, insist: Callable[[Callable[[], int]], int]
    ) -> None:
        self._insist = insist
        self._link = link
        self._fd = link.spool.fds[State.ACTIVE]
        self._owner = link.owner
        for target, kind in ((1, "out"), (2, "err")):
            self._open(target, kind)
        assert isinstance(sys.stdout, io.TextIOWrapper)
        sys.stdout.reconfigure(line_buffering=True)  # for who follows it

    def _open(self, target: int, kind: str) -> None:
        name = f"{self._owner}.{kind}"
        fsops.unlink(self._fd, name)
        fd = os.open(
            name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND,
            0o640, dir_fd=self._fd,
        )
        os.dup2(fd, target)
        os.close(fd)

    @staticmethod
    def is_empty() -> bool:
        """Whether nothing was written since; False if that is not known."""
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            # What fstat would tell, in a third of the time.
            return not lseek(1, 0, SEEK_END) and not lseek(2, 0, SEEK_END)
        except Exception:
            return False  # the disk is full, or a handler took a stream

    def collect(self, task: Task) -> tuple[int, int]:
        """
        Give what was written since the last call to the job.

        Returns:
            Bytes of standard output and of standard error.
        """
        if self.is_empty():
            return 0, 0
        sizes = []
        for target, name in ((1, "stdout"), (2, "stderr")):
            try:
                getattr(sys, name).flush()
            except OSError:
                pass  # the disk is full
            except Exception:  # closed, or replaced by anything
                _reopen(name, target)
        if not os.fstat(1).st_size and not os.fstat(2).st_size:
            return 0, 0
        self._insist(functools.partial(self._own, task))
        for target, kind in ((1, "out"), (2, "err")):
            take = functools.partial(self._take, task, target, kind)
            sizes.append(self._insist(take))
        return sizes[0], sizes[1]

    def _own(self, task: Task) -> int:
        self._link.set_apart(task)
        return 0

    def _take(self, task: Task, target: int, kind: str) -> int:
        """One of the two; done again it goes on where it stopped."""
        size = os.fstat(target).st_size
        if size:
            limit = task.handler.output_limit
            if size > limit:
                os.ftruncate(target, limit)
                size = limit
            fsops.rename(
                self._fd, f"{self._owner}.{kind}",
                self._fd, f"{task.name.stem}.{kind}",
            )
            self._open(target, kind)
        return size

    def close(self) -> None:
        """Remove the files; they are empty between jobs."""
        for kind in ("out", "err"):
            fsops.unlink(self._fd, f"{self._owner}.{kind}")


def _reopen(name: str, fd: int) -> None:
    """Give Python a stream again that a handler took away."""
    stream = open(
        fd, "w", 1, encoding="utf-8", errors="backslashreplace",
        closefd=False,
    )
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)
