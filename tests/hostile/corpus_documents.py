# SPDX-License-Identifier: MIT
"""Hostile documents: everything a job document should not be."""

import base64
import gzip
import hashlib
import itertools
import json
import pickle
import random
from collections.abc import Iterator
from typing import Any

from hostile.kinds import BAD, RAN, UNKNOWN, Kind, filed
from hostile.kinds import note as document

_SHELL = b"#!/bin/sh\ntouch RAN\n"
_MARK = "NEVER: not a legal document"
_OK = document(_MARK)


class _Bomb:
    def __reduce__(self) -> Any:
        return exec, ("open('RAN', 'w')",)


def _json(**fields: Any) -> bytes:
    return json.dumps({"Handler": "note", "Arg": _MARK, **fields}).encode()


def _signed(data: bytes) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    return f"Digest: sha256:{digest}\n".encode() + data


def _raw_json(member: bytes) -> bytes:
    return b'{"Handler": "note", "Arg": "NEVER: bad JSON", ' + member + b"}"


#: Values no field may have.
_VALUES = {
    "Handler": (
        "../../bin/sh", "/bin/sh", "os.system", "hostile.handlers:note",
        "__import__", "-note", "note ", "no te", "n\u043ete", "n" * 33,
        "note;id", "note.job", "\x1b[31mnote", "note\u202e", "note,x", "",
    ),
    "Priority": ("10", "-1", "\uff15", "5.0", "", "high", "0x5"),
    "Not-Before": (
        "tomorrow", "@", "@nan", "@inf", "@-1", "@1e400", "99999-01-01",
        "2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z", "0", "",
    ),
    "Timeout": ("-1", "nan", "inf", "1e999", "soon", "9" * 400, "1h-1s", ""),
    "Attempts": ("0", "100", "-1", "\u0665", "1.5", "", "99999999999"),
    "Length": (
        "-1", "+0", "0x0", "1e1", "\u0660", "9" * 4000, "1", "",
        "18446744073709551616",
    ),
    "Digest": ("sha256:", "md5:" + "0" * 32, "0" * 63, "sha256:" + "g" * 64),
}

_LINES = {
    "a line without a colon": "no colon here",
    "a continued line": " continued",
    "an unknown field": "Command: touch RAN",
    "an environment": "Env: LD_PRELOAD=/tmp/x.so",
    "a field of ours": "File: /etc/passwd",
    "an id": "Id: ../../etc/cron.d/x",
    "a field with a blank": "Arg : x",
    "a tab before the field": "\tArg: x",
    "a field without a name": ": x",
    "Handler twice": "Handler: gate",
    "handler twice, in small": "handler: gate",
    "Priority twice": "Priority: 1\nPriority: 2",
    "X twice": "X-A: 1\nx-a: 2",
    "X with a dot": "X-A.B: 1",
    "X with a path": "X-../A: 1",
    "X with an equals sign": "X-A=B: 1",
    "X that is long": f"X-{'a' * 63}: 1",
    "Digest behind the first line": f"Digest: sha256:{'0' * 64}",
    "JSON's fields": "Kwargs: {}",
    "JSON's body": "Body: x",
}

_BYTES = {
    "an empty line first": b"\n" + _OK,
    "an empty CRLF line first": b"\r\n" + _OK,
    "no handler": b"Arg: NEVER\n\n",
    "65 KiB of header": b"Handler: note\nArg: " + b"x" * 66_000,
    "no end of header": b"Arg: NEVER\n" * 10_000,
    "2000 lines": b"Handler: note\n" + b"Arg: NEVER\n" * 2000 + b"\n",
    "60 KiB of an unknown field": b"ab cd" * 12_000 + b": 1\n" + _OK,
    "not UTF-8": b"Handler: note\nArg: \xff\n\n",
    "overlong UTF-8": b"Handler: note\nArg: \xc0\xaf\n\n",
    "a surrogate": b"Handler: note\nArg: \xed\xa0\x80\n\n",
    "a NUL": b"Handler: note\nArg: a\0b\n\n",
    "a NUL behind the handler": b"Handler: note\0\n\n",
    "nothing but NULs": bytes(4096),
    "a mark of byte order": b"\xef\xbb\xbf" + _OK,
    "UTF-16": _OK.decode().encode("utf-16"),
    "UTF-32": _OK.decode().encode("utf-32"),
    "EBCDIC": _OK.decode().encode("cp037"),
    "lines that end in CR": _OK.replace(b"\n", b"\r"),
    "random bytes": random.Random(1).randbytes(5000),
    "a program": b"\x7fELF\x02\x01\x01" + bytes(57),
    "a script": _SHELL,
    "gzip": gzip.compress(_OK, mtime=0),
    "pickle": pickle.dumps(_Bomb()),
    "pickle as text": b"cposix\nsystem\n(S'touch RAN'\ntR.",
    "YAML": b"!!python/object/apply:os.system ['touch RAN']\n",
    "TOML": b'handler = "note"\n',
    "XML": b'<!DOCTYPE a [<!ENTITY b SYSTEM "/etc/passwd">]><a>&b;</a>',
    "another's mail": b"From a@b Mon Jan  1 00:00:00 2026\nHandler: note\n\n",
    "a digest of something else": b"Digest: sha256:" + b"0" * 64
    + b"\n" + _OK,
    "a body cut short": _signed(_OK + b"body")[:-1],
    "a body with a byte more": _signed(_OK) + b"x",
    "an altered handler": _signed(_OK).replace(b"note", b"gate"),
    "an altered argument": _signed(_OK).replace(b"NEVER", b"ALTER"),
    "two digests": _signed(_signed(_OK)),
    "a length of something else": document(_MARK, "Length: 5") + b"four",
}

_JSON = {
    "no end": b'{"Handler": "note"',
    "two objects": _json() + _json(),
    "something behind": _json() + b" x",
    "a comment": b'{"Handler": "note" /* NEVER */}',
    "a comma too many": b'{"Handler": "note",}',
    "single quotes": b"{'Handler': 'note'}",
    "no handler": b'{"Arg": "NEVER"}',
    "empty": b"{}",
    "a brace": b"{",
    "a member twice": _raw_json(b'"Handler": "gate"'),
    "a member twice, in small": _raw_json(b'"handler": "gate"'),
    "a member twice, inside": _raw_json(b'"Kwargs": {"a": 1, "a": 2}'),
    "NaN": _raw_json(b'"Priority": NaN'),
    "NaN inside": _raw_json(b'"Kwargs": {"a": NaN}'),
    "infinity": _raw_json(b'"Kwargs": {"a": -Infinity}'),
    "a number too large": _raw_json(b'"Kwargs": {"a": 1e400}'),
    "100,000 digits": _raw_json(b'"Kwargs": {"a": ' + b"9" * 100_000 + b"}"),
    "100,000 brackets": _raw_json(b'"Kwargs": {"a": ' + b"[" * 100_000),
    "100,000 braces": b'{"a":' * 100_000,
    "65 levels": _raw_json(
        b'"Kwargs": {"a": ' + b"[" * 63 + b"]" * 63 + b"}"
    ),
    "300 levels, closed": _raw_json(
        b'"Kwargs": {"a": ' + b"[" * 300 + b"]" * 300 + b"}"
    ),
    "a control character": _raw_json(b'"Key": "a\nb"'),
    "not UTF-8": _raw_json(b'"Key": "\xff"'),
    "Latin-1": _raw_json('"Key": "\u00e9"'.encode("latin-1")),
    "a NUL behind": _json() + b"\0",
    "more than 1 MiB": _json(Key="x" * (1 << 20)),
    "a million members": b'{"Handler": "note", ' + b",".join(
        b'"%x":0' % number for number in range(90_000)
    ) + b"}",
    "a member of 1 MB": b'{"Handler": "note", "' + b"ab cd" * 190_000
    + b'": 0}',
}

_MEMBERS: dict[str, dict[str, Any]] = {
    "a handler of a list": {"Handler": ["note"]},
    "a handler of an object": {"Handler": {"a": 1}},
    "a handler of a fraction": {"Handler": 1.5},
    "no handler at all": {"Handler": None},
    "a true handler": {"Handler": True},
    "a handler with a NUL": {"Handler": "note\0"},
    "a handler with a newline": {"Handler": "note\nMay  1 host sshd: x"},
    "a lone surrogate": {"Arg": "\ud800"},
    "a NUL": {"Arg": ["a\0b"]},
    "a tag of a number": {"Tag": 1},
    "tags of lists": {"Tag": [["a"]]},
    "a tag with a NUL": {"Tag": "a\0"},
    "Kwargs of a list": {"Kwargs": [1]},
    "Kwargs of a text": {"Kwargs": "{}"},
    "Body of a list": {"Body": [1]},
    "two bodies": {"Body": "a", "Body-Base64": "YQ=="},
    "Base64 of nothing": {"Body-Base64": "%%%%"},
    "Base64 cut short": {"Body-Base64": "YQ="},
    "Base64 not ASCII": {"Body-Base64": "\u00e9"},
    "Length of another body": {"Body": "abc", "Length": 4},
    "a length of a fraction": {"Body": "abc", "Length": 3.0},
    "a digest": {"Digest": "sha256:" + "0" * 64},
    "a key of two lines": {"Key": "a\nb"},
    "X of a list": {"X-A": [1]},
    "X of two lines": {"X-A": "a\nLD_PRELOAD=x"},
    "a moment of a number": {"Not-Before": 5},
    "a priority of a fraction": {"Priority": 1e9},
    "a true priority": {"Priority": True},
    "a timeout of an object": {"Timeout": {}},
    "a negative timeout": {"Timeout": -1},
    "an environment": {"Env": {"LD_PRELOAD": "/tmp/x.so"}},
    "a command": {"Command": ["touch", "RAN"]},
    "a prototype": {"__proto__": {"Handler": "gate"}},
    "a class": {"__class__": "Document"},
    "an object hook": {"py/object": "os.system", "py/reduce": []},
}

#: Legal documents, however they look.
_LEGAL: dict[str, bytes] = {
    "CRLF": document("{mark}").replace(b"\n", b"\r\n"),
    "a body of controls": document("{mark}") + bytes(range(256)),
    "arguments of a shell": document(
        "{mark}", "Arg: $(touch RAN)", "Arg: ; touch RAN", "Arg: -rf",
        "Arg: ../../etc/passwd", "Arg: \x1b[2J\x1b]0;x\x07", "Arg: {file}",
        "Arg:", "Arg: __import__('os').system('touch RAN')",
    ),
    "tags of a terminal": document(
        "{mark}", "Tag: \x1b[31m", "Tag: \u202e", "Key: \x9b2J\r",
    ),
    "fields of one's own": document(
        "{mark}", "X-LD-PRELOAD: /tmp/x.so", "X-PATH: .", "X-: x",
        "X-SPOOL-JOB-ID: 0", "Traceparent: \x1b[2J$(touch RAN)",
    ),
    "small letters": b"hANDLER: note\nARG: {mark}\n\n",
    "no empty line": b"Handler: note\nArg: {mark}\n",
    "999 arguments": b"Handler: note\nArg: {mark}\n" + b"Arg:\n" * 998,
    "JSON of 60 levels": _json(
        Arg="{mark}", Kwargs={"deep": json.loads("[" * 60 + "]" * 60)}
    ),
    "names of Python": _json(
        Arg="{mark}", Kwargs={
            "__class__": 1, "__dict__": {}, "self": 0, "a b": 1, "": 2,
            "\x1b[2J": "\x1b[2J", "\ud800": "\ud800",
        },
    ),
    "a body in Base64": _json(**{
        "Arg": "{mark}",
        "Body-Base64": base64.b64encode(bytes(range(256))).decode(),
    }),
    "large numbers": _json(
        Arg=["{mark}", 10 ** 4000, -0.0, 1e308, 5e-324], Timeout=1e9,
    ),
    "signed": b"",
}


def documents() -> Iterator[Kind]:
    """All of them, each in a file of its own."""
    count = itertools.count()

    def bad(label: str, data: bytes, fate: str = BAD) -> Kind:
        name = f"doc{next(count)}.job".encode()
        return Kind(f"document: {label}", name, filed(data), fate)

    for field, values in _VALUES.items():
        for value in values:
            lines = [f"{field}: {value}"]
            if field != "Handler":
                lines.append("Handler: note")
            text = "\n".join([*lines, f"Arg: {_MARK}", "", ""])
            yield bad(f"{field} {value[:40]!r}", text.encode())
    for name in ("nosuch", "sh", "python3", "NOTE", "spoold", "1"):
        data = f"Handler: {name}\nArg: {_MARK}\n\n".encode()
        yield bad(f"handler {name}", data, UNKNOWN)
    for label, line in _LINES.items():
        yield bad(label, document(_MARK, line))
    for label, data in _BYTES.items():
        yield bad(label, data)
    for label, data in _JSON.items():
        yield bad(f"JSON, {label}", data)
    for label, members in _MEMBERS.items():
        yield bad(f"JSON, {label}", _json(**members))
    for number, (label, data) in enumerate(_LEGAL.items()):
        mark = f"legal: {label}"
        data = data.replace(b"{mark}", mark.encode())
        if label == "signed":
            data = _signed(document(mark, "Length: 4") + b"body")
        yield Kind(
            f"document: {label}", f"legal{number}.job".encode(),
            filed(data), RAN, mark,
        )
