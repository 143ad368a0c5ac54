# SPDX-License-Identifier: MIT
"""
Read a job document: header lines, an empty line and a body, or JSON.

Pure: bytes in, a Document or BadJob out.  A document comes from an untrusted
producer, so everything here is bounded, and whatever is not understood is an
error that says what to write instead.
"""

import base64
import binascii
import difflib
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from spooler import names, units
from spooler.errors import BadJob
from spooler.jobwrite import DIGEST_PREFIX
from spooler.text import inert

HEADER_MAX_BYTES = 64 << 10
JSON_MAX_BYTES = 1 << 20
FIELDS_MAX = 1000
JSON_DEPTH_MAX = 64


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
        "timeout_s", "attempts", "key", "tags", "traceparent", "extra",
        "length", "digest", "body",
    )

    def __init__(self) -> None:
        self.handler = ""
        self.args: list[Any] = []
        self.kwargs: dict[str, Any] = {}
        self.priority: int | None = None
        self.not_before_ns: int | None = None
        self.timeout_s: float | None = None
        self.attempts: int | None = None
        self.key: str | None = None
        self.tags: list[str] = []
        self.traceparent: str | None = None
        self.extra: dict[str, str] = {}
        self.length: int | None = None
        self.digest: str | None = None
        self.body: bytes | None = None


def is_json(start: bytes) -> bool:
    """Tell by the first byte whether a document is a JSON object."""
    return start[:1] == b"{"


def header_end(start: bytes) -> int:
    """
    Where the header lines end and the body begins.

    Args:
        start: the first bytes of the document, all of them if it is shorter
            than HEADER_MAX_BYTES.

    Returns:
        Offset of the first byte of the body; len(start) if there is no
        empty line.

    Raises:
        BadJob: no empty line within HEADER_MAX_BYTES.
    """
    if start.startswith((b"\n", b"\r\n")):
        raise BadJob("starts with an empty line, so it has no Handler field")
    ends = [
        at + len(mark)
        for mark in (b"\n\n", b"\n\r\n")
        if (at := start.find(mark)) >= 0
    ]
    if ends:
        return min(ends)
    if len(start) >= HEADER_MAX_BYTES:
        raise BadJob(
            f"no empty line within {HEADER_MAX_BYTES} bytes; a document is"
            " header lines, an empty line, a body"
        )
    return len(start)


def parse_header(header: bytes) -> Document:
    """
    Read header lines, the ending empty line included or not.

    Raises:
        BadJob: empty, not UTF-8, an unknown or repeated or malformed field,
            or no Handler.
    """
    if not header:
        raise BadJob("empty: no Handler field")
    try:
        text = header.decode("utf-8")
    except UnicodeDecodeError as error:
        number = header.count(b"\n", 0, error.start) + 1
        raise BadJob(f"line {number}: not UTF-8") from None
    lines = text.rstrip("\r\n").split("\n")
    if len(lines) > FIELDS_MAX:
        raise BadJob(f"more than {FIELDS_MAX} header lines")
    if "\0" in text:
        number = text.count("\n", 0, text.index("\0")) + 1
        raise BadJob(f"line {number}: holds a NUL byte")
    document = Document()
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        field, colon, value = line.partition(":")
        if not colon:
            raise BadJob(
                f"line {number}: '{inert(line, 60)}' is not of the form"
                " 'Field: value'"
            )
        if value[:1] == " ":
            value = value[1:]
        if value[-1:] == "\r":
            value = value[:-1]
        try:
            _set_text(document, seen, field, value)
        except ValueError as error:
            raise BadJob(f"line {number}: {error}") from None
        if number > 1 and document.digest and field.lower() == "digest":
            raise BadJob(f"line {number}: Digest must be the first line")
    return _whole(document)


def parse_json(data: bytes) -> Document:
    """
    Read a JSON object with the same fields.

    Arg is a value or a list of them, Kwargs an object, Body a text,
    Body-Base64 bytes.

    Raises:
        BadJob: not one JSON object in UTF-8, duplicate keys, NaN, nested
            deeper than JSON_DEPTH_MAX, or what parse_header refuses.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        if _depth(value) > JSON_DEPTH_MAX:
            raise BadJob(f"JSON nested deeper than {JSON_DEPTH_MAX}")
    except UnicodeDecodeError:
        raise BadJob("JSON document is not UTF-8") from None
    except RecursionError:
        raise BadJob(f"JSON nested deeper than {JSON_DEPTH_MAX}") from None
    except ValueError as error:
        raise BadJob(f"bad JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadJob("bad JSON: a job document is one object")
    document = Document()
    seen: set[str] = set()
    for field, item in value.items():
        try:
            _set_json(document, seen, field, item)
        except ValueError as error:
            raise BadJob(str(error)) from None
    return _whole(document)


def new_digest(header: bytes) -> "hashlib._Hash":
    """Start the digest of a document with what follows its first line."""
    return hashlib.sha256(header.partition(b"\n")[2])


def verify(document: Document, length: int, digest: str | None) -> None:
    """
    Hold the body's *length* in bytes and the *digest* to what was told.

    Raises:
        BadJob: they differ: the file was cut short or altered.
    """
    if document.length is not None and document.length != length:
        raise BadJob(
            f"body of {length} bytes where Length says {document.length}:"
            " cut short or altered"
        )
    if document.digest is not None and not hmac.compare_digest(
        document.digest, digest or ""
    ):
        raise BadJob("content does not match its Digest: altered")


def _whole(document: Document) -> Document:
    if not document.handler:
        raise BadJob("no Handler field")
    return document


def _priority(text: str) -> int:
    if len(text) != 1 or text not in "0123456789":
        raise ValueError(f"Priority is a digit 0..9, not '{inert(text, 40)}'")
    return int(text)


def _attempts(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 2):
        raise ValueError(f"Attempts is 1..99, not '{inert(text, 40)}'")
    return max(1, int(text))


def _handler(text: str) -> str:
    if not names.is_handler(text):
        raise ValueError(
            f"'{inert(text, 40)}' cannot be a handler's name"
            " (1..32 letters, digits, - and _)"
        )
    return text


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError(f"Length is a count of bytes, not '{inert(text)}'")
    return int(text)


def _digest(text: str) -> str:
    value = text.removeprefix(DIGEST_PREFIX).lower()
    if len(value) != 64 or value.strip("0123456789abcdef"):
        raise ValueError(f"Digest is {DIGEST_PREFIX} and 64 hex digits")
    return value


_SINGLE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "handler": ("handler", _handler),
    "priority": ("priority", _priority),
    "not-before": ("not_before_ns", units.parse_moment),
    "timeout": ("timeout_s", units.parse_duration),
    "attempts": ("attempts", _attempts),
    "key": ("key", str),
    "traceparent": ("traceparent", str),
    "length": ("length", _length),
    "digest": ("digest", _digest),
}

#: Every field of a document, as spool(5) spells it.
FIELDS = (
    "Handler", "Arg", "Priority", "Not-Before", "Timeout", "Attempts",
    "Key", "Tag", "Traceparent", "Length", "Digest",
)
JSON_FIELDS = ("Kwargs", "Body", "Body-Base64")


def _set_text(
    document: Document, seen: set[str], field: str, text: str
) -> None:
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
    known = _SINGLE.get(key)
    if known is None:
        raise ValueError(_unknown(field, FIELDS))
    if key in seen:
        raise ValueError(f"{field} given twice")
    seen.add(key)
    try:
        setattr(document, known[0], known[1](text))
    except ValueError as error:
        raise ValueError(str(error)) from None


def _set_json(
    document: Document, seen: set[str], field: str, item: Any
) -> None:
    key = field.lower()
    if key == "arg":
        document.args.extend(item if isinstance(item, list) else [item])
    elif key == "tag":
        for tag in item if isinstance(item, list) else [item]:
            document.tags.append(_text(field, tag))
    elif key == "kwargs":
        if not isinstance(item, dict):
            raise ValueError("Kwargs is an object")
        document.kwargs = item
    elif key == "body":
        document.body = _text(field, item).encode("utf-8", "surrogatepass")
    elif key == "body-base64":
        try:
            document.body = base64.b64decode(_text(field, item), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("Body-Base64 is not base64") from None
    elif key == "digest":
        raise ValueError("a JSON document has no Digest")
    elif key in _SINGLE or key.startswith("x-"):
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise ValueError(f"{field} is a text or a number")
        _set_text(document, seen, field, _scalar(item))
    else:
        raise ValueError(_unknown(field, FIELDS + JSON_FIELDS))


def _text(field: str, item: Any) -> str:
    if not isinstance(item, str):
        raise ValueError(f"{field} is a text")
    return item


def _scalar(item: str | int | float) -> str:
    text = str(item)
    if "\0" in text or "\n" in text:
        raise ValueError("holds a NUL byte or a newline")
    return text


def _is_token(field: str) -> bool:
    return len(field) <= 64 and not field.lower().strip(
        "abcdefghijklmnopqrstuvwxyz0123456789-"
    )


def _unknown(field: str, fields: tuple[str, ...]) -> str:
    text = f"unknown field '{inert(field, 40)}'"
    close = difflib.get_close_matches(field.title(), fields, 1)
    if close:
        return f"{text}, did you mean {close[0]}?"
    return f"{text}; use X-... for fields of your own"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key is given twice")
    return out


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level and deepest <= JSON_DEPTH_MAX:
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper.extend(item.values())
            elif isinstance(item, list):
                deeper.extend(item)
        level = deeper
        deepest += 1
    return deepest
