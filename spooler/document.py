# SPDX-License-Identifier: MIT
"""
The fields of a job document: which there are, and what each may hold.

Pure.  ``jobread`` takes a document apart; this module judges its fields.
"""

import difflib
from collections.abc import Callable
from typing import Any

from spooler import names, units
from spooler.jobwrite import DIGEST_PREFIX
from spooler.text import inert


class Document:
    """
    What a job document asks for.  Treat as frozen.

    Attributes:
        handler: name of the handler.
        args: positional arguments; text, or any JSON value in a JSON
            document.
        kwargs: keyword arguments, of a JSON document only.
        priority: 0..9 or None.
        not_before_ns: wall clock or None.
        timeout_s: seconds or None.
        expires_s: seconds after its submission or None.
        attempts: how many runs may fail, or None.
        key: carried and shown.
        tags: carried and shown.
        traceparent: W3C trace context, passed on.
        extra: ``X-*`` fields, passed on.
        length: size of the body in bytes, if told.
        digest: SHA-256 in hex over all after the Digest line, if told.
        body: the body, of a JSON document only.
    """

    __slots__ = (
        "handler", "args", "kwargs", "priority", "not_before_ns",
        "timeout_s", "expires_s", "attempts", "key", "tags", "traceparent",
        "extra", "length", "digest", "body",
    )

    def __init__(self) -> None:
        self.handler = ""
        self.args: list[Any] = []
        self.kwargs: dict[str, Any] = {}
        self.priority: int | None = None
        self.not_before_ns: int | None = None
        self.timeout_s: float | None = None
        self.expires_s: float | None = None
        self.attempts: int | None = None
        self.key: str | None = None
        self.tags: list[str] = []
        self.traceparent: str | None = None
        self.extra: dict[str, str] = {}
        self.length: int | None = None
        self.digest: str | None = None
        self.body: bytes | None = None


def _priority(text: str) -> int:
    if len(text) != 1 or text not in "0123456789":
        raise ValueError(f"Priority is a digit 0..9, not '{inert(text, 40)}'")
    return int(text)


def _attempts(text: str) -> int:
    number = 0
    if len(text) <= 2 and text.isascii() and text.isdigit():
        number = int(text)
    if not 1 <= number <= 99:
        raise ValueError(f"Attempts is 1..99, not '{inert(text, 40)}'")
    return number


def _handler(text: str) -> str:
    if not names.is_handler(text):
        raise ValueError(
            f"'{inert(text, 40)}' cannot be a handler's name"
            " (1..32 letters, digits, - and _)"
        )
    return text


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError(
            f"Length is a count of bytes, not '{inert(text, 40)}'"
        )
    return int(text)


def _digest(text: str) -> str:
    value = text.removeprefix(DIGEST_PREFIX).lower()
    if len(value) != 64 or value.strip("0123456789abcdef"):
        raise ValueError(f"Digest is {DIGEST_PREFIX} and 64 hex digits")
    return value


#: field in lower case -> (attribute, reader), of those that stand once.
SINGLE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "handler": ("handler", _handler),
    "priority": ("priority", _priority),
    "not-before": ("not_before_ns", units.parse_moment),
    "timeout": ("timeout_s", units.parse_duration),
    "expires": ("expires_s", units.parse_duration),
    "attempts": ("attempts", _attempts),
    "key": ("key", str),
    "traceparent": ("traceparent", str),
    "length": ("length", _length),
    "digest": ("digest", _digest),
}

#: Every field of a document, as spool(5) spells it.
FIELDS = (
    "Handler", "Arg", "Priority", "Not-Before", "Timeout", "Expires",
    "Attempts", "Key", "Tag", "Traceparent", "Length", "Digest",
)


def set_field(
    document: Document, seen: set[str], field: str, text: str
) -> None:
    """
    Set one field from its text.

    Args:
        seen: fields in lower case that were set before; is added to.

    Raises:
        ValueError: unknown, given twice, or malformed; the text says which.
    """
    key = field.lower()
    if key == "arg":
        document.args.append(text)
        return
    if key == "tag":
        document.tags.append(text)
        return
    if key.startswith("x-") and _is_token(field):
        if key in seen:
            raise ValueError(f"{field} given twice")
        seen.add(key)
        document.extra[field] = text
        return
    known = SINGLE.get(key)
    if known is None:
        raise ValueError(unknown(field, FIELDS))
    if key in seen:
        raise ValueError(f"{field} given twice")
    seen.add(key)
    try:
        setattr(document, known[0], known[1](text))
    except ValueError as error:
        raise ValueError(str(error)) from None


def _is_token(field: str) -> bool:
    return len(field) <= 64 and not field.lower().strip(
        "abcdefghijklmnopqrstuvwxyz0123456789-"
    )


def unknown(field: str, fields: tuple[str, ...]) -> str:
    """What is said of a *field* that is none of *fields*."""
    text = f"unknown field '{inert(field, 40)}'"
    close = difflib.get_close_matches(field[:40].title(), fields, 1)
    if close:
        return f"{text}, did you mean {close[0]}?"
    return f"{text}; use X-... for fields of your own"
