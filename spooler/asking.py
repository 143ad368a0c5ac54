# SPDX-License-Identifier: MIT
"""
Ask a running spoold, over a socket in the spool.

One JSON line asks, one answers.  The socket lies in the daemon's private
directory, so its mode decides who may ask.  Everything a person needs
without it is on disk.
"""

from __future__ import annotations

import _socket  # socket, without what costs a listing a tenth of its time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SOCKET = "control"


def address(private_fd: int) -> str:
    """Where the socket is."""
    # A path of its own would often be longer than the 107 bytes allowed.
    return f"/proc/self/fd/{private_fd}/{SOCKET}"


def ask(
    private_fd: int, request: dict[str, Any], timeout_s: float = 5.0
) -> dict[str, Any] | None:
    """
    Ask the daemon of the spool.

    Returns:
        Its answer; None if no daemon is running.

    Raises:
        TimeoutError: it runs but does not answer.
        PermissionError: this user may not ask.
    """
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        try:
            sock.connect(address(private_fd))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        import json  # nobody is there: not needed

        data = bytearray()
        try:
            sock.sendall(json.dumps(request).encode("ascii") + b"\n")
            while not data.endswith(b"\n"):
                chunk = sock.recv(1 << 16)
                if not chunk:
                    return None
                data += chunk
        except ConnectionError:
            return None  # it ended meanwhile
    finally:
        sock.close()
    answer = json.loads(data)
    return answer if isinstance(answer, dict) else None


def holder(private_fd: int) -> str:
    """Who serves the spool, in brackets; "" if that cannot be told."""
    try:
        answer = ask(private_fd, {"verb": "status"}, 1.0)
    except OSError:
        return ""
    return f" (pid {answer['pid']})" if answer else ""
