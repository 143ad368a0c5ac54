# SPDX-License-Identifier: MIT
"""
Messages between daemon and workers: JSON behind a 4-byte length.

Pure.  Not pickle: what a handler returns must not run code in the daemon.
"""

import json
import struct
from typing import Any

_LENGTH = struct.Struct(">I")
MESSAGE_MAX_BYTES = 16 << 20
#: Made once: json.dumps would make one for every message.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def pack(message: dict[str, Any]) -> bytes:
    """Make the bytes of one message."""
    data = _encode(message).encode("ascii")
    return _LENGTH.pack(len(data)) + data


class Unpacker:
    """Turns a stream of bytes back into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> list[dict[str, Any]]:
        """
        Take the next bytes; return the messages they complete.

        Raises:
            ValueError: not what pack writes, or over MESSAGE_MAX_BYTES: the
                other side is broken and must be ended.
        """
        self._buffer += data
        out = []
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > MESSAGE_MAX_BYTES:
                raise ValueError(f"message of {size} bytes")
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                break
            try:
                message = json.loads(bytes(self._buffer[_LENGTH.size:end]))
            except RecursionError:
                raise ValueError("message is nested too deep") from None
            if not isinstance(message, dict):
                raise ValueError("message is not an object")
            out.append(message)
            del self._buffer[:end]
        return out
