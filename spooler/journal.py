# SPDX-License-Identifier: MIT
"""
Log to the journal in its own protocol, so that a line has fields.

Without its library; where standard error is no journal, or the journal does
not listen, the lines go to standard error as ever.
Source: systemd's JOURNAL_NATIVE_PROTOCOL.
"""

import logging
import os
import socket
import struct

from spooler.labels import FIELDS
from spooler.text import one_line

SOCKET = "/run/systemd/journal/socket"
_SYSLOG = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def is_journal(fd: int) -> bool:
    """Whether *fd* is the journal's, as systemd told us."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    # What was redirected since is another file.
    return os.environ.get("JOURNAL_STREAM") == (
        f"{status.st_dev}:{status.st_ino}"
    )


def encode(fields: dict[str, str]) -> bytes:
    """
    Write an entry.

    A value with a newline goes with its length: it can neither end its own
    field nor begin another.
    """
    out = []
    for name, value in fields.items():
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            size = struct.pack("<Q", len(data))
            out.append(name.encode("ascii") + b"\n" + size + data)
        else:
            out.append(name.encode("ascii") + b"=" + data)
    return b"\n".join([*out, b""])


class JournalHandler(logging.Handler):
    """Sends log records to the journal, or else to another handler."""

    def __init__(self, otherwise: logging.Handler, path: str = SOCKET) -> None:
        """
        Begin.

        Args:
            otherwise: gets what the journal does not take.
        """
        super().__init__()
        self._otherwise = otherwise
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            self._socket.sendto(encode(_fields(record)), self._path)
        except OSError:
            self._otherwise.emit(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def _fields(record: logging.LogRecord) -> dict[str, str]:
    fields = {
        "MESSAGE": one_line(record.getMessage()),
        "PRIORITY": str(next((
            priority for level, priority in _SYSLOG if record.levelno >= level
        ), 7)),
        "SYSLOG_IDENTIFIER": "spoold",
    }
    for name in FIELDS:
        value = getattr(record, name, None)
        if value:
            fields[name.upper()] = value
    return fields
