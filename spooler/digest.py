# SPDX-License-Identifier: MIT
"""
SHA-256 of small data, for programs that start, digest once and end.

hashlib loads OpenSSL, which takes longer than all else that a plain submit
does; the module that Python itself brings takes a tenth of that, and is
slower only for what is large.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing them for real would cost every submit 3 ms
    from collections.abc import Callable
    from typing import Any

_LARGE_BYTES = 1 << 16


def _find() -> Callable[[bytes], Any]:
    try:
        from _sha2 import sha256  # type: ignore[import-not-found]
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found]
        except ImportError:
            from hashlib import sha256
    found: Callable[[bytes], Any] = sha256
    return found


_small = _find()


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of *data* in hex."""
    if len(data) > _LARGE_BYTES:
        from hashlib import sha256

        return sha256(data).hexdigest()
    return str(_small(data).hexdigest())
