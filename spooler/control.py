# SPDX-License-Identifier: MIT
"""
What a running spoold answers over a socket in the spool; see asking.py.
"""

import json
import os
import selectors
import socket
from collections.abc import Callable
from typing import Any

from spooler import fsops
from spooler.asking import SOCKET, address

REQUEST_MAX_BYTES = 64 << 10
_CONNECTIONS_MAX = 64


class Server:
    """The daemon's side; never blocks."""

    def __init__(
        self,
        private_fd: int,
        selector: selectors.BaseSelector,
        answer: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        """
        Listen.

        Raises:
            OSError: the socket cannot be made; the daemon works without.
        """
        self._private_fd = private_fd
        self._selector = selector
        self._answer = answer
        self._open: dict[socket.socket, bytearray] = {}
        fsops.unlink(private_fd, SOCKET)  # of a dead daemon: we hold the lock
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(address(private_fd))
            os.chmod(SOCKET, 0o660, dir_fd=private_fd)
            self._listener.listen(16)
        except BaseException:
            self._listener.close()
            raise
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if len(self._open) >= _CONNECTIONS_MAX:
            sock.close()
            return
        sock.setblocking(False)
        self._open[sock] = bytearray()
        self._selector.register(
            sock, selectors.EVENT_READ, lambda: self._read(sock)
        )

    def _read(self, sock: socket.socket) -> None:
        buffer = self._open[sock]
        try:
            data = sock.recv(1 << 16)
        except OSError:
            data = b""
        buffer += data
        if data and b"\n" not in buffer and len(buffer) < REQUEST_MAX_BYTES:
            return
        line, newline, _ = buffer.partition(b"\n")
        if newline:
            try:
                request = json.loads(line)
                answer = self._answer(request)
            except (
                ValueError, KeyError, TypeError, AttributeError,
                RecursionError,
            ):
                answer = {"v": 1, "error": "not understood"}
            try:
                # Small, and the socket is fresh: it takes it whole.
                sock.sendall(json.dumps(answer).encode("ascii") + b"\n")
            except OSError:
                pass
        self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        del self._open[sock]
        sock.close()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        for sock in list(self._open):
            self._drop(sock)
        self._selector.unregister(self._listener)
        self._listener.close()
        try:
            fsops.unlink(self._private_fd, SOCKET)
        except OSError:
            pass  # nobody answers there; the next start replaces it
