# SPDX-License-Identifier: MIT
"""
Read a job document: header lines, an empty line and a body, or JSON.

Pure: bytes in, a Document or BadJob out.  A document comes from an untrusted
producer, so everything here is bounded, and whatever is not understood is an
error that says what to write instead.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from typing import Any

from spooler.document import FIELDS, SINGLE, Document, set_field, unknown
from spooler.errors import BadJob
from spooler.jobwrite import DIGEST_PREFIX, FIELDS_MAX, HEADER_MAX_BYTES
from spooler.text import inert

JSON_DEPTH_MAX = 64
#: What a JSON document may have besides FIELDS.
JSON_FIELDS = ("Kwargs", "Body", "Body-Base64")

#: What our submit writes most, and a worker reads thousands of a second.
_PLAIN = re.compile(
    rb"Digest: sha256:([0-9a-f]{64})\n"
    rb"Handler: ([0-9A-Za-z][0-9A-Za-z_-]{0,31})\n"
    rb"((?:Arg: [^\0\r\n]*\n){0,%d})"
    rb"Length: ([0-9]{1,15})\n\n" % (FIELDS_MAX - 4)
)
#: The members of a JSON document that asks for a call and nothing else.
_CALL = {"Handler", "Arg", "Kwargs"}
_DIGEST_LINE = len(f"Digest: {DIGEST_PREFIX}\n") + 64


def read_plain(data: bytes) -> tuple[str, list[str], int] | None:
    """
    Read the whole document *data* in one step, if it is of the form that
    our submit writes most.

    Returns:
        Handler, arguments and the offset of the body, as the general way
        would read and verify them; None: it has to judge.
    """
    found = _PLAIN.match(data)
    if found is None:
        return None
    digest, handler, args, length = found.groups()
    body_at = found.end()
    if int(length) != len(data) - body_at or (
        hashlib.sha256(data[_DIGEST_LINE:]).hexdigest() != digest.decode()
    ):
        return None
    if not args:
        return handler.decode(), [], body_at
    try:
        lines = args.decode().split("\n")
    except UnicodeDecodeError:
        return None
    del lines[-1]
    return handler.decode(), [line[5:] for line in lines], body_at


def read_call(
    data: bytes,
) -> tuple[str, list[Any], dict[str, Any]] | None:
    """
    Read the whole document *data*, if it asks for a call and nothing else.

    Returns:
        Handler, positional and keyword arguments; None: the general way has
        to judge.
    """
    if not is_json(data):
        plain = read_plain(data)
        return None if plain is None else (plain[0], plain[1], {})
    try:
        value = _load_json(data)
        if not value.keys() <= _CALL:
            return None
        document = _of_json(value)
    except BadJob:
        return None
    return document.handler, document.args, document.kwargs


def told_digest(data: bytes) -> str:
    """What the first line of a document that read_plain read tells."""
    return data[_DIGEST_LINE - 65:_DIGEST_LINE - 1].decode()


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
            set_field(document, seen, field, value)
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
    return _of_json(_load_json(data))


def _load_json(data: bytes) -> dict[str, Any]:
    try:
        value = _decode(data.decode("utf-8"))
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
    return value


def _of_json(value: dict[str, Any]) -> Document:
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


def _set_json(
    document: Document, seen: set[str], field: str, item: Any
) -> None:
    key = field.lower()
    if key in ("kwargs", "body", "body-base64"):
        once = "kwargs" if key == "kwargs" else "body"
        if once in seen:
            raise ValueError(f"{field} given twice")
        seen.add(once)
    if key == "arg":
        args = item if isinstance(item, list) else [item]
        for arg in args:
            if isinstance(arg, str):
                _passable(field, arg)
        document.args.extend(args)
    elif key == "tag":
        for tag in item if isinstance(item, list) else [item]:
            document.tags.append(_passable(field, _text(field, tag)))
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
    elif key in SINGLE or key.startswith("x-"):
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise ValueError(
                f"{inert(field, 40)} is a text or a number"
            )
        set_field(document, seen, field, _scalar(field, item))
    else:
        raise ValueError(unknown(field, FIELDS + JSON_FIELDS))


def _text(field: str, item: Any) -> str:
    if not isinstance(item, str):
        raise ValueError(f"{inert(field, 40)} is a text")
    return item


def _scalar(field: str, item: str | int | float) -> str:
    text = _passable(field, str(item))
    if "\n" in text:
        raise ValueError(f"{inert(field, 40)} holds a newline")
    return text


def _passable(field: str, text: str) -> str:
    """What a header line could hold can also be an argument, a variable."""
    if "\0" in text:
        raise ValueError(f"{inert(field, 40)} holds a NUL byte")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{inert(field, 40)} is not UTF-8") from None
    return text


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


#: Made once: json.loads would make one for every document.
_decode = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant,
    parse_float=_finite,
).decode


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
