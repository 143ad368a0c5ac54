# SPDX-License-Identifier: MIT
"""How far a job says it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooler import progress


@pytest.mark.parametrize("data, fraction, text, shown", [
    (b"42", 0.42, "", "42%"),
    (b"42%\n", 0.42, "", "42%"),
    (b"42.5 resizing", 0.425, "resizing", "42% resizing"),
    (b"3/8 pages", 0.375, "3/8 pages", "38% 3/8 pages"),
    (b"3/8", 0.375, "3/8", "38% 3/8"),
    (b"1\n2\n30 now\n", 0.3, "now", "30% now"),
    (b"200", 1.0, "", "100%"), (b"-5 x", 0.0, "x", "0% x"),
    (b"loading data", None, "loading data", "loading data"),
    (b"3/0 x", None, "3/0 x", "3/0 x"), (b"nan", None, "nan", "nan"),
    (b"inf/inf", None, "inf/inf", "inf/inf"),
    (b"50 \x1b[2J", 0.5, "\\x1b[2J", "50% \\x1b[2J"),
])
def test_lines(
    data: bytes, fraction: float | None, text: str, shown: str
) -> None:
    """Per cent or parts and a few words; the last line counts; what is no
    number is text; escapes are inert."""
    told = progress.read(data)
    assert told == {"fraction": fraction, "text": text}
    assert progress.shown(told) == shown


@pytest.mark.parametrize("data", [b"", b"\n", b"  \n"])
def test_nothing_is_nothing(data: bytes) -> None:
    """Without a word nothing is shown."""
    assert progress.read(data) is None and progress.shown(None) == ""


@given(st.binary(max_size=2000))
def test_any_bytes(data: bytes) -> None:
    """Whatever a job writes is read without an error, short and inert."""
    told = progress.read(data)
    if told is not None:
        assert len(told["text"]) <= progress.TEXT_MAX_CHARS
        assert told["fraction"] is None or 0 <= told["fraction"] <= 1
        assert progress.shown(told).isprintable()


@given(st.floats(0, 1), st.text(max_size=50))
def test_what_is_written_is_read(fraction: float, text: str) -> None:
    """A line of ours tells the fraction to a thousandth."""
    told = progress.read(progress.line(fraction, text))
    assert told is not None
    assert abs(told["fraction"] - fraction) <= 0.0006


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_no_fraction(fraction: float) -> None:
    """What is none is refused."""
    with pytest.raises(ValueError):
        progress.line(fraction, "")
