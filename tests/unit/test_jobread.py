# SPDX-License-Identifier: MIT
"""Reading a job document from an untrusted producer."""

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooler import jobread, jobwrite
from spooler.errors import BadJob
from spooler.jobread import Document, parse_header, parse_json

HEX = "0123456789abcdef" * 4

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    (*jobread.FIELDS, *jobread.JSON_FIELDS, "X-A", "x-b", "handler", "")
) | st.text(max_size=8)


def header(lines: str) -> Document:
    """Parse header lines given as text."""
    return parse_header(lines.encode())


def slots(document: Document) -> dict[str, Any]:
    """What a document holds, comparable."""
    return {slot: getattr(document, slot) for slot in Document.__slots__}


def as_json(**fields: Any) -> bytes:
    """Make a JSON document of a handler and *fields*."""
    return json.dumps({"Handler": "h", **fields}).encode()


@pytest.mark.parametrize(
    "line, slot, value",
    [
        ("Arg: one", "args", ["one"]),
        ("Arg:one", "args", ["one"]),
        ("Arg:  one ", "args", [" one "]),
        ("Arg:", "args", [""]),
        ("Arg: a: b", "args", ["a: b"]),
        ("Arg: 日本", "args", ["日本"]),
        ("Priority: 0", "priority", 0),
        ("Priority: 9", "priority", 9),
        ("Not-Before: @5", "not_before_ns", 5 * 10**9),
        ("Not-Before: 1970-01-01T00:00:01Z", "not_before_ns", 10**9),
        ("Timeout: 90s", "timeout_s", 90.0),
        ("Timeout: 500ms", "timeout_s", 0.5),
        ("Attempts: 1", "attempts", 1),
        ("Attempts: 99", "attempts", 99),
        ("Key: a b", "key", "a b"),
        ("Tag: t", "tags", ["t"]),
        ("Traceparent: 00-a-b-01", "traceparent", "00-a-b-01"),
        ("Length: 0", "length", 0),
        ("Length: 999999999999999", "length", 999999999999999),
        ("X-Anything: v", "extra", {"X-Anything": "v"}),
        ("x-1: v", "extra", {"x-1": "v"}),
        ("aRG: one", "args", ["one"]),
        ("PRIORITY: 3", "priority", 3),
    ],
)
def test_every_header_field(line: str, slot: str, value: Any) -> None:
    """Each field sets what it says and nothing else."""
    want = slots(header("Handler: h\n"))
    assert want["handler"] == "h"
    want[slot] = value
    for text in (f"Handler: h\n{line}", f"{line}\nHandler: h\n\n",
                 f"Handler: h\r\n{line}\r\n\r\n"):
        assert slots(header(text)) == want


def test_the_digest_comes_first() -> None:
    """The digest is read from the first line, upper case or prefix or not."""
    for text in (f"sha256:{HEX}", HEX, HEX.upper()):
        assert header(f"Digest: {text}\nHandler: h\n").digest == HEX


def test_arguments_and_tags_keep_their_order() -> None:
    """Arg and Tag may be repeated and stay in the order given."""
    document = header("Tag: 2\nArg: b\nHandler: h\nArg: a\nTag: 1\nArg: b")
    assert document.args == ["b", "a", "b"]
    assert document.tags == ["2", "1"]


def test_every_field_is_covered() -> None:
    """The list of fields spool(5) is held to names all that are read."""
    for field in jobread.FIELDS:
        value = {
            "Handler": "h", "Priority": "1", "Not-Before": "@1",
            "Timeout": "1s", "Expires": "1h", "Attempts": "1", "Length": "1",
            "Digest": HEX,
        }.get(field, "text")
        rest = "" if field == "Handler" else "Handler: h\n"
        header(f"{field}: {value}\n{rest}")


@pytest.mark.parametrize(
    "lines, words",
    [
        (b"", ["empty", "Handler"]),
        (b"\n", ["line 1"]),
        (b"Arg: x\n", ["no Handler field"]),
        (b"Handler: h\nnonsense\n", ["line 2", "'nonsense'", "'Field: val"]),
        (b"Handler: h\n\x1b[2J\n", ["line 2", "\\x1b[2J"]),
        (b"Handler: h\nArg: \xff\n", ["line 2", "not UTF-8"]),
        (b"Handler: h\nArg: a\0b\n", ["line 2", "NUL"]),
        (b"Handler: h\nHandler: i\n", ["line 2", "Handler given twice"]),
        (b"Handler: h\nKEY: 1\nkey: 2\n", ["line 3", "key given twice"]),
        (b"Handler: h\nX-A: 1\nx-a: 2\n", ["line 3", "x-a given twice"]),
        (b"Handler: h\nArgs: 1\n", ["'Args'", "did you mean Arg?"]),
        (b"Handlr: h\n", ["line 1", "'Handlr'", "did you mean Handler?"]),
        (b"Handler: h\nNot_Before: @1\n", ["did you mean Not-Before?"]),
        (b"Handler: h\nColour: red\n", ["'Colour'", "X-..."]),
        (b"Handler: h\nX-A B: red\n", ["'X-A B'"]),
        (b"Handler: h\nX-" + b"a" * 63 + b": 1\n", ["X-"]),
        (b"Handler: h\nHandler : i\n", ["'Handler '"]),
        (b"Handler: h\n Arg: i\n", ["' Arg'"]),
        (b"Handler: h\n: i\n", ["unknown field ''"]),
        (b"Handler: h\nKwargs: {}\n", ["'Kwargs'"]),
        (b"Handler: h\n\xfc: x\n", ["line 2"]),
        (b"Handler: h\n\xe2\x80\xae: x\n", ["line 2"]),
        (b"Handler:\n", ["line 1", "''", "handler's name"]),
        (b"Handler: a b\n", ["'a b'", "handler's name"]),
        (b"Handler: ../x\n", ["'../x'", "handler's name"]),
        (b"Handler: " + b"h" * 33, ["1..32"]),
        (b"Handler: h\nPriority: 10\n", ["Priority", "0..9", "'10'"]),
        (b"Handler: h\nPriority:\n", ["Priority", "0..9"]),
        (b"Handler: h\nPriority: -1\n", ["'-1'"]),
        (b"Handler: h\nPriority: \xd9\xa3\n", ["Priority"]),
        (b"Handler: h\nNot-Before: soon\n", ["'soon'", "moment"]),
        (b"Handler: h\nNot-Before: 1969-01-01\n", ["moment"]),
        (b"Handler: h\nTimeout: long\n", ["'long'", "duration"]),
        (b"Handler: h\nTimeout: -1\n", ["'-1'", "duration"]),
        (b"Handler: h\nTimeout: " + b"9" * 400, ["duration"]),
        (b"Handler: h\nAttempts: 100\n", ["Attempts", "1..99", "'100'"]),
        (b"Handler: h\nAttempts: 0\n", ["Attempts", "1..99", "'0'"]),
        (b"Handler: h\nAttempts: many\n", ["Attempts", "'many'"]),
        (b"Handler: h\nAttempts: 00000000199\n", ["Attempts", "1..99"]),
        (b"Handler: h\nLength: -1\n", ["Length", "'-1'"]),
        (b"Handler: h\nLength: 1e3\n", ["Length", "'1e3'"]),
        (b"Handler: h\nLength: " + b"1" * 16, ["Length"]),
        (b"Digest: md5:00\nHandler: h\n", ["line 1", "sha256:", "64"]),
        (b"Digest: " + b"g" * 64 + b"\nHandler: h\n", ["64 hex digits"]),
        (b"Handler: h\nDigest: " + HEX.encode(), ["must be the first line"]),
        (b"Digest: " + HEX.encode() + b"\ndigest: " + HEX.encode(),
         ["line 2", "digest"]),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else "",
)
def test_what_is_wrong_is_named(lines: bytes, words: list[str]) -> None:
    """Each error says which line or field it is about and what is right."""
    with pytest.raises(BadJob) as caught:
        parse_header(lines)
    for word in words:
        assert word in str(caught.value)


@given(st.binary())
def test_an_error_can_be_shown(data: bytes) -> None:
    """Any bytes are a document or a BadJob whose text is printable."""
    for parse in (parse_header, parse_json):
        try:
            parse(data)
        except BadJob as error:
            assert str(error) and str(error).isprintable()


@given(st.lists(st.tuples(field_names, st.text(max_size=12)), max_size=5))
def test_any_lines_are_a_document_or_a_bad_job(
    lines: list[tuple[str, str]]
) -> None:
    """No field and no value brings anything but BadJob."""
    text = "".join(f"{field}: {value}\n" for field, value in lines)
    try:
        document = parse_header(text.encode("utf-8", "surrogatepass"))
    except BadJob as error:
        assert str(error).isprintable()
    else:
        assert document.handler


@given(st.dictionaries(field_names, json_values, max_size=5))
def test_any_object_is_a_document_or_a_bad_job(
    fields: dict[str, Any]
) -> None:
    """No JSON object brings anything but BadJob."""
    try:
        document = parse_json(as_json(**fields))
    except BadJob as error:
        assert str(error).isprintable()
    else:
        assert document.handler


def test_the_number_of_lines_is_bounded() -> None:
    """A thousand header lines are read and one more is refused."""
    most = "Handler: h\n" + "Arg: x\n" * (jobwrite.FIELDS_MAX - 1)
    assert len(header(most).args) == jobwrite.FIELDS_MAX - 1
    with pytest.raises(BadJob, match=f"more than {jobwrite.FIELDS_MAX}"):
        header(most + "Arg: x\n")


@pytest.mark.parametrize(
    "start, end",
    [
        (b"Handler: h\n\nbody", 12),
        (b"Handler: h\r\n\r\nbody", 14),
        (b"Handler: h\n\r\nbody\n\n", 13),
        (b"Handler: h\n\n", 12),
        (b"Handler: h\n\n\n\n", 12),
        (b"Handler: h\n", 11),
        (b"Handler: h", 10),
        (b"Handler: h\n\nx\n\r\n", 12),
        (b"", 0),
    ],
)
def test_header_end(start: bytes, end: int) -> None:
    """The body begins after the first empty line, CRLF or LF."""
    assert jobread.header_end(start) == end


@pytest.mark.parametrize("start", [b"\n", b"\r\n", b"\nHandler: h\n\n"])
def test_a_document_begins_with_a_field(start: bytes) -> None:
    """A first line that is empty is told as what it is."""
    with pytest.raises(BadJob, match="starts with an empty line"):
        jobread.header_end(start)


def test_the_header_is_bounded() -> None:
    """Without an empty line in 64 KiB it is no document."""
    limit = jobwrite.HEADER_MAX_BYTES
    assert jobread.header_end(b"x" * (limit - 1)) == limit - 1
    with pytest.raises(BadJob, match=f"no empty line within {limit}"):
        jobread.header_end(b"x" * limit)


def test_json_by_its_first_byte() -> None:
    """A brace, and nothing before it, makes a document JSON."""
    assert jobread.is_json(b'{"Handler": "h"}')
    for start in (b"", b" {", b"\xef\xbb\xbf{", b"[", b"Handler: {"):
        assert not jobread.is_json(start)


@pytest.mark.parametrize(
    "field, item, slot, value",
    [
        ("Arg", "a", "args", ["a"]),
        ("Arg", 7, "args", [7]),
        ("Arg", None, "args", [None]),
        ("Arg", [1, "a", [2], {"b": 3}], "args", [1, "a", [2], {"b": 3}]),
        ("Arg", [], "args", []),
        ("Kwargs", {"a": [1]}, "kwargs", {"a": [1]}),
        ("Body", "ü", "body", "ü".encode()),
        ("Body", "", "body", b""),
        ("Body-Base64", base64.b64encode(b"\0\xff").decode(), "body",
         b"\0\xff"),
        ("Priority", 9, "priority", 9),
        ("Priority", "9", "priority", 9),
        ("Not-Before", "@5", "not_before_ns", 5 * 10**9),
        ("Timeout", 1.5, "timeout_s", 1.5),
        ("Timeout", 90, "timeout_s", 90.0),
        ("Timeout", "90s", "timeout_s", 90.0),
        ("Attempts", 4, "attempts", 4),
        ("Key", "k", "key", "k"),
        ("Key", 12, "key", "12"),
        ("Tag", "t", "tags", ["t"]),
        ("Tag", ["t", "u"], "tags", ["t", "u"]),
        ("Traceparent", "00", "traceparent", "00"),
        ("Length", 3, "length", 3),
        ("X-A", "v", "extra", {"X-A": "v"}),
        ("X-A", 5, "extra", {"X-A": "5"}),
        ("priority", 1, "priority", 1),
    ],
)
def test_every_json_field(
    field: str, item: Any, slot: str, value: Any
) -> None:
    """Each field of a JSON document sets what it says, nothing else."""
    want = slots(parse_json(as_json()))
    want[slot] = value
    assert slots(parse_json(as_json(**{field: item}))) == want


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", ["bad JSON"]),
        (b"{", ["bad JSON"]),
        (b"[]", ["one object"]),
        (b"null", ["one object"]),
        (b'"Handler"', ["one object"]),
        (b"{}", ["no Handler field"]),
        (b'{"Arg": "x"}', ["no Handler field"]),
        (b'{"Handler": "h"}{"Handler": "h"}', ["bad JSON", "Extra data"]),
        (b'{"Handler": "h"}\nbody', ["bad JSON", "Extra data"]),
        (b'{"Handler": "h", }', ["bad JSON"]),
        (b"{'Handler': 'h'}", ["bad JSON"]),
        (b'{"Handler": "\xff"}', ["not UTF-8"]),
        ('{"Handler": "h"}'.encode("utf-16-le"), ["bad JSON"]),
        (b'{"Handler": "h", "Handler": "i"}', ["twice"]),
        (b'{"Handler": "h", "Kwargs": {"a": 1, "a": 2}}', ["twice"]),
        (b'{"Handler": "h", "handler": "i"}', ["handler given twice"]),
        (b'{"Handler": "h", "Kwargs": {}, "kwargs": {"a": 1}}', ["twice"]),
        (b'{"Handler": "h", "Body": "a", "body": "b"}', ["twice"]),
        (b'{"Handler": "h", "Body": "a", "Body-Base64": ""}', ["Body"]),
        (b'{"Handler": "h", "Arg": NaN}', ["NaN"]),
        (b'{"Handler": "h", "Arg": Infinity}', ["Infinity"]),
        (b'{"Handler": "h", "Arg": -Infinity}', ["-Infinity"]),
        (b'{"Handler": "h", "Arg": 1e999}', ["too large"]),
        (b'{"Handler": "h", "Arg": -1e999}', ["too large"]),
        (b'{"Handler": "h", "Arg": ' + b"9" * 5000 + b"}", ["bad JSON"]),
        (as_json(Arg="a\0b"), ["NUL"]),
        (as_json(Arg=["fine", "a\0b"]), ["NUL"]),
        (as_json(Tag="a\0b"), ["NUL"]),
        (as_json(Key="a\0b"), ["NUL"]),
        (as_json(**{"X-A": "a\0b"}), ["NUL"]),
        (as_json(Arg="\ud800"), ["UTF-8"]),
        (as_json(Arg=["\udcff"]), ["UTF-8"]),
        (as_json(Tag="\ud800"), ["UTF-8"]),
        (as_json(Traceparent="\ud800"), ["UTF-8"]),
        (as_json(**{"X-A": "\ud800"}), ["UTF-8"]),
        (as_json(Handlr="h"), ["'Handlr'", "did you mean Handler?"]),
        (as_json(Kwarg={}), ["did you mean Kwargs?"]),
        (as_json(Colour="red"), ["'Colour'", "X-..."]),
        (as_json(**{"X-A B": "red"}), ["'X-A B'"]),
        (as_json(**{"\x1b[2J": 1}), ["\\x1b[2J"]),
        (as_json(Digest="sha256:" + HEX), ["no Digest"]),
        (as_json(Kwargs=[]), ["Kwargs is an object"]),
        (as_json(Body=5), ["Body is a text"]),
        (as_json(**{"Body-Base64": "%"}), ["Body-Base64 is not base64"]),
        (as_json(**{"Body-Base64": "ü"}), ["Body-Base64 is not base64"]),
        (as_json(**{"Body-Base64": 5}), ["Body-Base64"]),
        (as_json(Tag=[1]), ["Tag is a text"]),
        (as_json(Key=None), ["Key is a text or a number"]),
        (as_json(Key=True), ["Key is a text or a number"]),
        (as_json(Priority=True), ["Priority is a text or a number"]),
        (as_json(Priority=[1]), ["Priority is a text or a number"]),
        (as_json(Priority=10), ["Priority", "'10'"]),
        (as_json(Timeout=1e300), ["duration"]),
        (as_json(Attempts=1.5), ["Attempts", "'1.5'"]),
        (as_json(Length=-1), ["Length", "'-1'"]),
        (as_json(**{"Not-Before": 5}), ["moment"]),
        (b'{"Handler": 5.5}', ["'5.5'", "handler's name"]),
        (b'{"Handler": ["h"]}', ["Handler is a text"]),
        (as_json(Key="a\nb"), ["newline"]),
    ],
    ids=lambda value: repr(value)[:50] if isinstance(value, bytes) else "",
)
def test_what_is_wrong_in_json_is_named(
    data: bytes, words: list[str]
) -> None:
    """A JSON document is as strict as header lines, and as plain about it."""
    with pytest.raises(BadJob) as caught:
        parse_json(data)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}")])
def test_json_depth_is_bounded(opening: str, closing: str) -> None:
    """JSON nests up to the limit; one level more or a million is a BadJob."""
    def nested(depth: int) -> bytes:
        inner = opening * depth + "1" + closing * depth
        return f'{{"Handler": "h", "Arg": [{inner}]}}'.encode()

    most = jobread.JSON_DEPTH_MAX - 3  # the object, its list and the number
    assert len(parse_json(nested(most)).args) == 1
    for depth in (most + 1, 100_000):
        with pytest.raises(BadJob, match="nested deeper than 64"):
            parse_json(nested(depth))


def test_big_numbers_are_kept_exactly() -> None:
    """An integer of any size that JSON can read is passed on unrounded."""
    number = 2**4096 + 1
    assert parse_json(as_json(Arg=[number])).args == [number]


@pytest.mark.parametrize(
    "length, digest, words",
    [(6, HEX, "body of 6 bytes where Length says 5"),
     (0, HEX, "body of 0 bytes"), (5, HEX[::-1], "does not match its Digest"),
     (5, None, "does not match its Digest")],
)
def test_verify_refuses(length: int, digest: str | None, words: str) -> None:
    """A body of another length or digest is a BadJob."""
    document = header(f"Digest: {HEX}\nHandler: h\nLength: 5\n")
    with pytest.raises(BadJob, match=words):
        jobread.verify(document, length, digest)


def test_verify_takes() -> None:
    """A body that is as told, or of which nothing was told, is fine."""
    told = header(f"Digest: {HEX}\nHandler: h\nLength: 5\n")
    jobread.verify(told, 5, HEX)
    jobread.verify(header("Handler: h"), 5, None)
    jobread.verify(header("Handler: h\nLength: 5"), 5, None)


def _digested(rest: str, body: bytes, right: bool) -> bytes:
    covered = rest.encode("utf-8", "surrogatepass") + body
    digest = hashlib.sha256(covered + b"x" * (not right)).hexdigest()
    return f"Digest: sha256:{digest}\n".encode() + covered


_PLAIN = st.builds(
    lambda handler, args, length, body, right: _digested(
        f"Handler: {handler}\n"
        + "".join(f"Arg: {arg}\n" for arg in args)
        + f"Length: {len(body) if length is None else length}\n\n",
        body, right,
    ),
    st.sampled_from(["mail", "a", "A-1_b", "x" * 32, "x" * 33, "-a", ""]),
    st.lists(st.text(max_size=8), max_size=5),
    st.none() | st.integers(0, 10**16),
    st.binary(max_size=20),
    st.sampled_from([True, True, True, False]),
)


def _general(data: bytes) -> tuple[str, list[str], int] | None:
    """Read and verify a document in the general way."""
    try:
        end = jobread.header_end(data)
        document = jobread.parse_header(data[:end])
        digest = None
        if document.digest is not None:
            digest = jobread.new_digest(data).hexdigest()
        jobread.verify(document, len(data) - end, digest)
    except BadJob:
        return None
    return document.handler, document.args, end


@given(_PLAIN, st.integers(0, 200), st.sampled_from([None, b"", b"\n", b"\r"]))
def test_the_quick_way_reads_the_same(
    data: bytes, at: int, change: bytes | None
) -> None:
    """What is read in one step is what the general way reads and verifies,
    also with a byte less or another one."""
    if change is not None:
        data = data[:at] + change + data[at + 1:]
    quick = jobread.read_plain(data)
    assert quick is None or quick == _general(data)


@pytest.mark.parametrize("args", [[], ["a"], ["", "a b", "é"], ["x"] * 996])
def test_what_our_submit_writes_is_read_quickly(args: list[str]) -> None:
    """The quick way is taken by what submit writes most."""
    data = jobwrite.encode("mail", tuple(args), b"body")
    quick = jobread.read_plain(data)
    assert quick == _general(data) == ("mail", args, len(data) - 4)


_VALUES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3)
    | st.lists(st.text(max_size=3) | st.floats(), max_size=3)
)


@given(
    st.fixed_dictionaries(
        {"Handler": st.sampled_from(["mail", "mail", "-a", 7])},
        optional={
            "Arg": _VALUES,
            "Kwargs": _VALUES
            | st.dictionaries(st.text(max_size=2), _VALUES, max_size=2),
            "Tag": st.sampled_from(["t", "\0", 7]),
            "arg": _VALUES,
        },
    ),
    st.integers(0, 60), st.sampled_from([None, None, b"", b'"', b"["]),
)
def test_a_json_call_is_read_the_same(
    members: dict[str, Any], at: int, change: bytes | None
) -> None:
    """The quick way reads of a JSON document what the general one does, and
    leaves to it what asks for more than a call."""
    data = json.dumps(members).encode()
    if change is not None:
        data = data[:at] + change + data[at + 1:]
    quick = jobread.read_call(data)
    if quick is None:
        return
    document = jobread.parse_json(data)
    assert quick == (document.handler, document.args, document.kwargs)
    assert not document.tags and "arg" not in json.loads(data)


@pytest.mark.parametrize("args, kwargs", [
    ((5,), {}), (("a", None), {}), (([],), {"size": 64, "é": {"x": []}}),
])
def test_what_our_tasks_write_is_read_quickly(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """The quick way is taken by the calls of tasks, of text or not."""
    data = jobwrite.encode_call("mail", args, kwargs)
    assert jobread.read_call(data) == ("mail", list(args), kwargs)
    plain = jobwrite.encode_call("mail", ("a",), {})
    assert jobread.read_call(plain) == ("mail", ["a"], {})


def test_a_document_of_too_many_lines_is_not_quick() -> None:
    """The quick way reads no document that the general way refuses for its
    number of lines."""
    lines = "Handler: mail\n" + "Arg: x\n" * jobread.FIELDS_MAX
    data = _digested(f"{lines}Length: 0\n\n", b"", True)
    assert jobread.read_plain(data) is None
