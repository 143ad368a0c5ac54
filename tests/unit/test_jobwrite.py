# SPDX-License-Identifier: MIT
"""Writing a job document, and reading it back."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spooler import jobread, jobwrite
from spooler.jobread import Document

#: What can be passed: any Unicode text without NUL.
texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0")
)
lines = texts.map(lambda text: text.replace("\n", "\r"))
#: Fields that take any line of text.
free_fields = st.tuples(
    st.sampled_from(("Key", "Traceparent", "X-Trace", "X-a9")), lines
)
tags = st.tuples(st.just("Tag"), texts)
all_fields = st.tuples(
    st.lists(free_fields, unique_by=lambda field: field[0]),
    st.lists(tags, max_size=3),
).map(lambda pair: (*pair[0], *pair[1]))


def read(data: bytes) -> tuple[Document, bytes]:
    """Read a document as spoold does: header and body, verified."""
    if jobread.is_json(data):
        document = jobread.parse_json(data)
        return document, document.body or b""
    end = jobread.header_end(data)
    document = jobread.parse_header(data[:end])
    digest = jobread.new_digest(data[:end])
    digest.update(data[end:])
    jobread.verify(document, len(data) - end, digest.hexdigest())
    return document, data[end:]


def test_the_form() -> None:
    """A document is what spool(5) shows: digest, fields, length, body."""
    data = jobwrite.encode(
        "mail", ("a b", ""), b"body\n", (("Priority", "7"), ("Tag", "x"))
    )
    first, _, rest = data.partition(b"\n")
    assert rest == (
        b"Handler: mail\nArg: a b\nArg: \nPriority: 7\nTag: x\n"
        b"Length: 5\n\nbody\n"
    )
    digest = hashlib.sha256(rest).hexdigest()
    assert first == b"Digest: sha256:" + digest.encode()


@given(st.lists(texts, max_size=5), st.binary(), all_fields)
@example(["", " x", "x ", "\t"], b"", ())
@example(["a\nb"], b"\x00\xff", (("Tag", "1"), ("Tag", "2")))
@example(["\r", "a\r\n"], b"\n\n", (("X-a9", "\r"),))
@example(["a\rb", "\x0b\x85\u2028"], b"\r\n\r\n", (("Key", "\x1c"),))
@example(["Handler: other", ":", "\n\n"], b"Digest: no\n\n", ())
def test_round_trip(
    args: list[str], body: bytes, fields: tuple[tuple[str, str], ...]
) -> None:
    """Arguments, fields and body are read back exactly as given."""
    data = jobwrite.encode("mail", tuple(args), body, fields)
    document, got = read(data)
    assert document.handler == "mail"
    assert document.args == args
    assert got == body
    given_fields = dict(fields)
    assert document.key == given_fields.get("Key")
    assert document.traceparent == given_fields.get("Traceparent")
    assert document.tags == [text for name, text in fields if name == "Tag"]
    assert document.extra == {
        name: text for name, text in fields if name.startswith("X-")
    }


@pytest.mark.parametrize("arg", ["plain", "two\nlines"])
def test_round_trip_of_every_field(arg: str) -> None:
    """Every field a producer may give is read back, in both forms."""
    fields = (
        ("Priority", "9"), ("Not-Before", "2026-11-22T03:00:00Z"),
        ("Timeout", "1m30s"), ("Expires", "2h"), ("Attempts", "7"),
        ("Key", "k"),
        ("Tag", "t1"), ("Tag", "t2"), ("Traceparent", "00-ab-cd-01"),
        ("X-Shop", "ü"),
    )
    document, body = read(jobwrite.encode("mail", (arg,), b"b", fields))
    assert body == b"b"
    got: dict[str, Any] = {
        slot: getattr(document, slot) for slot in Document.__slots__
        if slot not in ("length", "digest", "body")
    }
    assert got == {
        "handler": "mail", "args": [arg], "kwargs": {}, "priority": 9,
        "not_before_ns": 1_795_316_400 * 10**9, "timeout_s": 90.0,
        "expires_s": 7200.0, "attempts": 7, "key": "k", "tags": ["t1", "t2"],
        "traceparent": "00-ab-cd-01", "extra": {"X-Shop": "ü"},
    }


@pytest.mark.parametrize("value", ["a\nb", "a\r", "\n"])
def test_what_no_line_can_hold_becomes_json(value: str) -> None:
    """A value with a newline is passed in a JSON document."""
    data = jobwrite.encode("mail", (value,))
    assert jobread.is_json(data)
    assert json.loads(data) == {"Handler": "mail", "Arg": [value]}


@pytest.mark.parametrize("value", ["", " ", "a\rb", "{", "\t", "ü", "\x0c"])
def test_what_a_line_can_hold_stays_a_line(value: str) -> None:
    """Any other value is a header line, with a digest over the whole."""
    data = jobwrite.encode("mail", (value,))
    assert data.startswith(b"Digest: sha256:")


@pytest.mark.parametrize("field", ["Handler", "Arg", "Key", "Tag", "X-A"])
def test_a_nul_is_refused(field: str) -> None:
    """A NUL could not be passed on, so it is the caller's bug, named."""
    with pytest.raises(ValueError, match=f"{field} holds a NUL"):
        if field == "Handler":
            jobwrite.encode("a\0")
        elif field == "Arg":
            jobwrite.encode("mail", ("fine", "a\0"))
        else:
            jobwrite.encode("mail", (), b"", ((field, "\0"),))


@pytest.mark.parametrize("arg", ["\udcff", "\ud800", "two\nlines \udcff"])
def test_text_that_is_not_utf8_is_refused(arg: str) -> None:
    """A text UTF-8 cannot write is the caller's bug, in both forms."""
    with pytest.raises(ValueError, match="UTF-8"):
        jobwrite.encode("mail", (arg,))


@pytest.mark.parametrize("field", ["Key", "Traceparent", "X-A"])
def test_what_is_written_can_be_read(field: str) -> None:
    """A field of two lines is passed on or refused, never filed as bad."""
    try:
        data = jobwrite.encode("mail", (), b"", ((field, "two\nlines"),))
    except ValueError as error:
        assert field in str(error)
    else:
        document = read(data)[0]
        assert "two\nlines" in (
            document.key, document.traceparent, document.extra.get(field)
        )


@pytest.mark.parametrize("arg", ["c", "two\nlines"])
def test_a_further_arg_field_adds_an_argument(arg: str) -> None:
    """An Arg among the fields follows the others, in both forms."""
    data = jobwrite.encode("mail", ("a", arg), b"", (("Arg", "z"),))
    assert read(data)[0].args == ["a", arg, "z"]
