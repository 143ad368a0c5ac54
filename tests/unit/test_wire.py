# SPDX-License-Identifier: MIT
"""Messages between daemon and workers."""

import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooler.wire import MESSAGE_MAX_BYTES, Unpacker, pack

scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(
    allow_nan=False
)
messages = st.dictionaries(st.text(), scalars | st.lists(scalars))


def framed(data: bytes) -> bytes:
    """Put any bytes behind their length."""
    return struct.pack(">I", len(data)) + data


@given(st.lists(messages, max_size=5), st.integers(0, 2**32))
def test_messages_survive_any_cutting(
    sent: list[dict[str, Any]], seed: int
) -> None:
    """However the stream is cut, the messages come out whole, in order."""
    stream = b"".join(map(pack, sent))
    unpacker, got, at = Unpacker(), [], 0
    dice = random.Random(seed)
    while at < len(stream):
        step = dice.choice((1, 2, 3, 4, 5, 100))
        got += unpacker.feed(stream[at:at + step])
        at += step
    assert got == sent


def test_byte_by_byte() -> None:
    """A message comes out with its last byte and not before."""
    stream, unpacker = pack({"a": [1, "ü"]}), Unpacker()
    for byte in stream[:-1]:
        assert unpacker.feed(bytes([byte])) == []
    assert unpacker.feed(stream[-1:]) == [{"a": [1, "ü"]}]
    assert unpacker.feed(b"") == []


def test_names_of_any_bytes_pass() -> None:
    """A file name that is not UTF-8 arrives as it was sent."""
    message = {"jobs": ["\udcff\udc80", "a\nb"]}
    assert Unpacker().feed(pack(message)) == [message]


def test_the_largest_message_passes() -> None:
    """A message of just the limit is taken."""
    message = {"a": "x" * (MESSAGE_MAX_BYTES - len('{"a":""}'))}
    stream = pack(message)
    assert len(stream) == 4 + MESSAGE_MAX_BYTES
    assert Unpacker().feed(stream) == [message]


def test_a_larger_message_is_refused_by_its_length() -> None:
    """A length over the limit is refused before its bytes are waited for."""
    head = struct.pack(">I", MESSAGE_MAX_BYTES + 1)
    with pytest.raises(ValueError, match=str(MESSAGE_MAX_BYTES + 1)):
        Unpacker().feed(head)


@pytest.mark.parametrize(
    "data",
    [b"", b"nonsense", b"[]", b"1", b"null", b'"a"', b"{", b"\xff\xff",
     b"{}{}", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
    ids=lambda data: repr(data[:8]),
)
def test_what_pack_never_writes_is_a_value_error(data: bytes) -> None:
    """A broken sender is told by ValueError, and by nothing else."""
    with pytest.raises(ValueError):
        Unpacker().feed(framed(data))


@pytest.mark.parametrize("value", [{1}, b"x", len], ids=str)
def test_only_json_is_packed(value: object) -> None:
    """What is not JSON is the caller's bug; nothing is ever pickled."""
    with pytest.raises(TypeError):
        pack({"value": value})
