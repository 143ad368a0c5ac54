# SPDX-License-Identifier: MIT
"""
How far a job is, as its handler tells it: ``PERCENT [TEXT]`` or
``DONE/TOTAL [TEXT]``, the last line counts.

Pure: bytes in, a record out; what cannot be understood is no progress.
"""

from __future__ import annotations

import math

from spooler.text import inert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LINE_MAX_BYTES = 512
TEXT_MAX_CHARS = 200
FILE = "progress"  #: in the work directory; SPOOL_PROGRESS names it


def read(data: bytes) -> dict[str, Any] | None:
    """
    What the last line of *data* tells.

    Returns:
        ``fraction`` (0..1, or null) and ``text`` (inert); None if nothing.
    """
    lines = data.rstrip(b"\n").rpartition(b"\n")
    line = lines[2][:LINE_MAX_BYTES].decode("utf-8", "replace").strip()
    if not line:
        return None
    head, _, text = line.partition(" ")
    fraction = _fraction(head)
    if fraction is None:
        text = line
    elif "/" in head:
        text = f"{head} {text.strip()}"
    return {
        "fraction": fraction, "text": inert(text.strip(), TEXT_MAX_CHARS),
    }


def _fraction(head: str) -> float | None:
    done, slash, total = head.rstrip("%").partition("/")
    try:
        number = float(done)
        out_of = float(total) if slash else 100.0
    except ValueError:
        return None
    if not math.isfinite(number) or not math.isfinite(out_of) or out_of <= 0:
        return None
    return min(1.0, max(0.0, number / out_of))


def line(fraction: float | None, text: str) -> bytes:
    """The line that tells this; ValueError for a fraction that is none."""
    if fraction is not None and not 0 <= fraction <= 1:
        raise ValueError(f"a fraction is 0..1, not {fraction!r}")
    words = [] if fraction is None else [f"{fraction * 100:.1f}%"]
    words += text.split()
    return " ".join(words).encode("utf-8", "replace")[:LINE_MAX_BYTES]


def shown(told: dict[str, Any] | None) -> str:
    """What was told, for a person."""
    if told is None:
        return ""
    if told["fraction"] is None:
        return str(told["text"])
    percent = f"{told['fraction'] * 100:.0f}%"
    return f"{percent} {told['text']}" if told["text"] else percent
