# SPDX-License-Identifier: MIT
"""Durations, sizes and moments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooler import units

GIB = 1 << 30


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("0", 0), ("90", 90), ("90s", 90), ("1.5", 1.5), ("1h30m", 5400),
        ("2d", 172800), ("1w", 604800), ("500ms", 0.5), ("1s500ms", 1.5),
        (" 5m ", 300), ("0.5h", 1800), (".5s", 0.5), ("1w2d3h4m5s", 788645),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """Every documented form of a duration is read as seconds."""
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "h1", "-5", "5x", "1h30", "1 h", "1.2.3", ".", "5S",
     "1e3", "inf", "nan", "٣s", "5,5s", "1h-5m", "5i", "ms"],
)
def test_not_durations(text: str) -> None:
    """Anything else is refused with an example of what is."""
    with pytest.raises(ValueError, match="write it like 90s") as caught:
        units.parse_duration(text)
    assert repr(text) in str(caught.value)


def test_a_duration_is_finite() -> None:
    """Digits beyond any number are refused, not read as for ever."""
    with pytest.raises(ValueError, match="is not a duration"):
        units.parse_duration("9" * 400)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0ms"), (0.004, "4ms"), (0.5, "500ms"), (1, "1s"), (1.5, "1.5s"),
        (9.99, "10s"), (59.9, "59s"), (60, "1m"), (372, "6m12s"),
        (3600, "1h"), (3605, "1h"), (183600, "2d3h"), (604800, "1w"),
        (-90, "-1m30s"), (1e9, "1653w3d"),
    ],
)
def test_durations_are_written(seconds: float, text: str) -> None:
    """A duration is written with two units at most."""
    assert units.format_duration(seconds) == text


@given(st.floats(0, 1e9))
def test_written_durations_are_durations(seconds: float) -> None:
    """What is written is read back, to the precision of what is shown."""
    read = units.parse_duration(units.format_duration(seconds))
    assert abs(read - seconds) <= 0.15 * seconds + 0.001


@pytest.mark.parametrize(
    "text, size",
    [
        ("0", 0), ("4096", 4096), ("64K", 65536), ("64k", 65536),
        ("64KB", 65536), ("16MiB", 16 << 20), ("2GB", 2 * GIB),
        ("2 G", 2 * GIB), (" 1T ", 1 << 40), ("7B", 7),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    """Every documented form of a size is read as bytes."""
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "K", "-1", "1.5M", "1e6", "5KK", "1 2", "1P", "x", "0x10"]
)
def test_not_sizes(text: str) -> None:
    """Anything else is refused with an example of what is."""
    with pytest.raises(ValueError, match="write it like 64K") as caught:
        units.parse_size(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "size, text",
    [
        (0, "0 B"), (999, "999 B"), (1023, "1023 B"), (1024, "1.0 KiB"),
        (1536, "1.5 KiB"), (200 << 20, "200.0 MiB"), (GIB, "1.0 GiB"),
        (5 << 40, "5.0 TiB"), (5 << 50, "5120.0 TiB"),
    ],
)
def test_sizes_are_written(size: int, text: str) -> None:
    """A size is written in the largest unit it fills."""
    assert units.format_size(size) == text


@pytest.mark.parametrize(
    "text, ns",
    [
        ("@0", 0),
        ("@1795316400", 1_795_316_400 * units.NS),
        ("@1.5", 1_500_000_000),
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-22T03:00:00Z", 1_795_316_400 * units.NS),
        ("2026-11-22T04:00:00+01:00", 1_795_316_400 * units.NS),
        ("2026-11-22 03:00:00+00:00", 1_795_316_400 * units.NS),
    ],
)
def test_moments_are_read(text: str, ns: int) -> None:
    """RFC 3339 and seconds since the epoch are read as ns."""
    assert units.parse_moment(text) == ns


@pytest.mark.parametrize(
    "text",
    ["", "@", "@x", "@nan", "@inf", "@-1", "@1e300", "soon", "10:00",
     "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "2026-13-01T00:00:00Z",
     "0001-01-01T00:00:00Z", "\udcff"],
)
def test_not_moments(text: str) -> None:
    """Anything else, or outside 1970..2200, is refused with an example."""
    with pytest.raises(ValueError, match="write it like 2026") as caught:
        units.parse_moment(text)
    assert repr(text) in str(caught.value)


@given(st.integers(0, 7_258_118_399 * units.NS))
def test_a_moment_shown_is_a_moment_read(ns: int) -> None:
    """A moment as it is shown is read back to the microsecond."""
    assert abs(units.parse_moment(units.format_moment(ns)) - ns) <= 1000


@pytest.mark.parametrize(
    "ns, text",
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_795_316_400_123_456_789, "2026-11-22T03:00:00.123456Z"),
        (2**65 - 1, "3139-02-09T23:09:07.419103Z"),
        (2**80, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_moments_are_written(ns: int, text: str) -> None:
    """A moment is written as RFC 3339 UTC, however far it is."""
    assert units.format_moment(ns) == text
