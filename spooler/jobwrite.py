# SPDX-License-Identifier: MIT
"""
Write a job document: what a producer puts into the spool.

Pure.  Imports little, because every submit pays for it.  ``jobread`` reads
it back; spool(5) is the specification of both.
"""

from spooler.digest import sha256_hex

HEADER_MAX_BYTES = 64 << 10
JSON_MAX_BYTES = 1 << 20
FIELDS_MAX = 1000  #: header lines
DIGEST_FIELD = "Digest"
DIGEST_PREFIX = "sha256:"


def encode(
    handler: str,
    args: tuple[str, ...] = (),
    body: bytes = b"",
    fields: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """
    Make a document: header lines, an empty line, *body*.

    Args:
        handler: name of the handler.
        args: its arguments in order.
        body: any bytes.
        fields: further header fields, name and value, in order.

    Returns:
        The document, its first line a digest over all that follows it.  A
        value that cannot stand in a header line (it holds a newline) makes
        it a JSON document instead.

    Raises:
        ValueError: a text is not UTF-8 or holds a NUL, or there is more
            than spoold would read.
    """
    pairs = [("Handler", handler), *(("Arg", arg) for arg in args), *fields]
    for name, value in pairs:
        if "\0" in value:
            raise ValueError(f"{name} holds a NUL byte; it cannot be passed")
    for name, value in fields:
        if "\n" in value and name not in ("Arg", "Tag"):
            raise ValueError(f"{name} holds a newline")
    try:
        "".join(value for _, value in pairs).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"not valid UTF-8: {error.object!r}") from None
    if any(_needs_json(value) for _, value in pairs):
        return _encode_json(handler, args, body, fields)
    lines = [f"{name}: {value}\n" for name, value in pairs]
    lines.append(f"Length: {len(body)}\n\n")
    try:
        covered = "".join(lines).encode("utf-8") + body
    except UnicodeEncodeError as error:
        raise ValueError(f"not valid UTF-8: {error.object!r}") from None
    digest = sha256_hex(covered)
    first = f"{DIGEST_FIELD}: {DIGEST_PREFIX}{digest}\n".encode("ascii")
    header = len(first) + len(covered) - len(body)
    if header > HEADER_MAX_BYTES or len(lines) >= FIELDS_MAX:
        raise ValueError(
            f"{header} bytes of arguments in {len(pairs)} fields; the limits"
            f" are {HEADER_MAX_BYTES} and {FIELDS_MAX}: put them in the body"
        )
    return first + covered


def encode_call(
    handler: str,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    fields: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """
    Make a document of a call: arguments of any JSON value, by name too.

    Args:
        args, kwargs: JSON, as why_not_json of jsonable.py judges.
        fields: further header fields, name and value, in order.

    Raises:
        ValueError: as encode.
    """
    if not kwargs and all(type(arg) is str for arg in args):
        texts = tuple(arg for arg in args if isinstance(arg, str))
        if sum(map(len, texts)) < HEADER_MAX_BYTES // 8:
            return encode(handler, texts, b"", fields)
    import json  # see _encode_json

    for arg in args:
        if isinstance(arg, str) and "\0" in arg:
            raise ValueError("Arg holds a NUL byte; it cannot be passed")
    document: dict[str, object] = {"Handler": handler, "Arg": list(args)}
    if kwargs:
        document["Kwargs"] = kwargs
    tags = []
    for name, value in fields:
        if "\0" in value or "\n" in value and name != "Tag":
            raise ValueError(f"{name} holds a NUL byte or a newline")
        if name == "Tag":
            tags.append(value)
        else:
            document[name] = value
    if tags:
        document["Tag"] = tags
    data = (json.dumps(document, allow_nan=False) + "\n").encode("ascii")
    if len(data) > JSON_MAX_BYTES:
        raise ValueError(
            f"{len(data)} bytes of arguments, {JSON_MAX_BYTES} is the limit;"
            " write them to a file and pass its name"
        )
    return data


def _needs_json(value: str) -> bool:
    return "\n" in value or value.endswith("\r")


def _encode_json(
    handler: str,
    args: tuple[str, ...],
    body: bytes,
    fields: tuple[tuple[str, str], ...],
) -> bytes:
    # Only the rare document pays for these imports: 8 ms of a submit.
    import base64
    import json

    more = [value for name, value in fields if name == "Arg"]
    fields = tuple(item for item in fields if item[0] != "Arg")
    document: dict[str, object] = {
        "Handler": handler, "Arg": [*args, *more]
    }
    tags = [value for name, value in fields if name == "Tag"]
    document.update(item for item in fields if item[0] != "Tag")
    if tags:
        document["Tag"] = tags
    if body:
        document["Body-Base64"] = base64.b64encode(body).decode("ascii")
    data = (json.dumps(document) + "\n").encode("utf-8")
    if len(data) > JSON_MAX_BYTES:
        raise ValueError(
            "an argument holds a newline, and the rest is too large for that:"
            f" {len(data)} bytes of JSON, {JSON_MAX_BYTES} is the limit"
        )
    return data
