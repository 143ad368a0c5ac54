# SPDX-License-Identifier: MIT
"""
What this process holds open of the spools it submits to.

A spool is opened once, not every time; and if its jobs are waited for, the
one who waits is told of them before they are submitted.
"""

from __future__ import annotations

import os

from spooler.place import spool_path

TYPE_CHECKING = False
if TYPE_CHECKING:  # for real when the first job is submitted
    from typing import Protocol

    from spooler.client import Client

    class Expecter(Protocol):
        """Who is told of jobs before they are submitted."""

        def expect(self, job_id: str) -> None: ...

        def forget(self, job_id: str) -> None: ...

        def expects(self, job_id: str) -> bool: ...

        def lose(self, job_id: str) -> None: ...

        def close(self) -> None: ...

#: By path; waiting.py puts them there.
watchers: dict[str, Expecter] = {}

_clients: dict[tuple[str, bool], tuple[Client, tuple[int, int]]] = {}


def path_of(spool: str | os.PathLike[str] | None) -> str:
    """The absolute path of *spool*; None: as spoolctl chooses."""
    chosen = None if spool is None else os.fspath(spool)
    return os.path.abspath(spool_path(chosen))


def client(path: str, durable: bool = True) -> Client:
    """
    A client of the spool at *path*, which stays open.

    Raises:
        SpoolError: there is no spool at *path*.
        PermissionError: this user may not submit.
    """
    from spooler.client import Client

    key = path, durable
    known = _clients.get(key)
    if known is not None:
        if known[1] == _stamp(path):
            return known[0]
        # Another spool lies there by now.  Not closed: a thread may be
        # submitting to the old one.
        del _clients[key]
    stamp = _stamp(path)
    opened = Client(path, durable)
    _clients[key] = opened, stamp
    return opened


def _stamp(path: str) -> tuple[int, int]:
    """What tells one spool from another at the same path."""
    try:
        status = os.stat(f"{path}/incoming")
    except OSError:
        return 0, 0  # Client says what is wrong
    return status.st_dev, status.st_ino
