# SPDX-License-Identifier: MIT
"""Untrusted text made inert."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooler.text import inert, inert_bytes

anything = st.text() | st.binary().map(
    lambda data: data.decode("utf-8", "surrogateescape")
)


@pytest.mark.parametrize("text", ["", "photo.jpg", "a b", "Grüße, 日本", "'\""])
def test_plain_text_is_left_alone(text: str) -> None:
    """What is plainly printable reads as it was written."""
    assert inert(text) == text


@pytest.mark.parametrize(
    "text, shown",
    [
        ("a\nb", "a\\nb"), ("a\tb", "a\\tb"), ("\r", "\\r"),
        ("\x1b[2J", "\\x1b[2J"), ("\x00", "\\x00"), ("\x7f", "\\x7f"),
        ("\x9b", "\\x9b"), ("\\n", "\\\\n"), ("\u202egpj", "\\u202egpj"),
        ("\u00a0", "\\xa0"), ("\u2028", "\\u2028"), ("\u200b", "\\u200b"),
        ("\udcff", "\\xff"), ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_the_rest_is_escaped(text: str, shown: str) -> None:
    """What could move a cursor or deceive an eye is spelled out."""
    assert inert(text) == shown


@given(anything)
def test_inert_text_is_one_printable_line(text: str) -> None:
    """No text comes out that a terminal or a log would act upon."""
    shown = inert(text)
    assert shown.isprintable()
    shown.encode("utf-8")


@given(anything, st.integers(3, 40))
def test_the_limit_holds(text: str, limit: int) -> None:
    """A limited text is no longer than its limit, and says it was cut."""
    shown, whole = inert(text, limit), inert(text)
    assert len(shown) <= limit
    if len(whole) > limit:
        assert shown == whole[: limit - 3] + "..."
    else:
        assert shown == whole


@given(st.binary())
def test_bytes_of_any_encoding(data: bytes) -> None:
    """Bytes of no known encoding come out printable too."""
    shown = inert_bytes(data, 20)
    assert shown.isprintable() and len(shown) <= 20


def test_undecodable_bytes_are_told() -> None:
    """A byte that is not UTF-8 is shown as its hex."""
    assert inert_bytes(b"caf\xe9") == "caf\\xe9"
