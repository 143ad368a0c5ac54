# SPDX-License-Identifier: MIT
"""
Untrusted text made inert: what a producer wrote may reach a terminal, a log
line or a STATUS= message only through here.
"""


def inert(text: str, limit: int | None = None) -> str:
    """
    Escape all that is not plainly printable, backslash included.

    Control characters, bidirectional marks, odd spaces and undecodable bytes
    come out as ``\\n``, ``\\x1b``, ``\\u202e``; the result is one line and
    can be printed as UTF-8.

    Args:
        limit: longest result in characters; a longer one ends in ``...``.
    """
    if not (text.isascii() and text.isprintable() and "\\" not in text):
        text = "".join(map(_escape, text))
    if limit is not None and len(text) > limit:
        text = text[: max(0, limit - 3)] + "..."
    return text


def _escape(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode of an undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """
    Escape what would leave the line or move a cursor, and only that.

    For text that is inert already but for a mistake: a backslash stays.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char == "\\" else _escape(char) for char in text
    )


def inert_bytes(data: bytes, limit: int | None = None) -> str:
    """The same for bytes of unknown encoding."""
    return inert(data.decode("utf-8", "surrogateescape"), limit)
