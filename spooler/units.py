# SPDX-License-Identifier: MIT
"""
Durations, sizes and moments: as a person writes and as a program reads.

Pure.  Durations are seconds, sizes bytes, moments ns of the wall clock.
"""

NS = 1_000_000_000
DURATION_MAX_S = 100 * 365 * 86400

_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_duration(text: str) -> float:
    """
    Read ``90``, ``90s``, ``1h30m``, ``2d``, ``500ms`` as seconds.

    Raises:
        ValueError: it is none of these; the message says what is.
    """
    total, number, seen = 0.0, "", False
    rest = text.strip().replace("ms", "\0")
    for char in rest:
        if char.isascii() and (char.isdigit() or char == "."):
            number += char
            continue
        unit = 0.001 if char == "\0" else _SECONDS.get(char)
        if unit is None or not number:
            raise ValueError(_not_a_duration(text))
        total += _number(number, text) * unit
        number, seen = "", True
    if number:
        if seen:
            raise ValueError(_not_a_duration(text))
        total = _number(number, text)
    elif not seen:
        raise ValueError(_not_a_duration(text))
    if total > DURATION_MAX_S:
        raise ValueError(_not_a_duration(text))
    return total


def _number(digits: str, text: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise ValueError(_not_a_duration(text)) from None


def _not_a_duration(text: str) -> str:
    return f"{text[:60]!r} is not a duration; write it like 90s, 1h30m or 2d"


def format_duration(seconds: float) -> str:
    """Write seconds with two units at most: ``4ms``, ``6m12s``, ``2d3h``."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 0.01:
        return f"{seconds * 1000:.1f}ms".replace(".0ms", "ms")
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}s".replace(".0s", "s")
    left = int(seconds)
    out: list[str] = []
    for unit, size in _SECONDS.items():
        count, left = divmod(left, size)
        if count or out:
            if count:
                out.append(f"{count}{unit}")
            else:
                break
        if len(out) == 2:
            break
    return "".join(out)


def parse_size(text: str) -> int:
    """
    Read ``4096``, ``64K``, ``16MiB``, ``2GB`` as bytes, in powers of 1024.

    Raises:
        ValueError: it is none of these.
    """
    bare = text.strip().upper().removesuffix("B").removesuffix("I")
    digits = bare.rstrip("KMGT")
    unit = _BYTES.get(bare[len(digits):].strip())
    if unit is None or not digits.strip().isdecimal():
        raise ValueError(
            f"{text[:60]!r} is not a size; write it like 64K, 16MiB or 2G"
        )
    return int(digits) * unit


def format_size(size: int) -> str:
    """Write bytes as ``999 B``, ``1.5 KiB``, ``200.0 MiB``."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def parse_moment(text: str) -> int:
    """
    Read RFC 3339 (``2026-11-22T03:00:00Z``) or ``@EPOCH_SECONDS`` as ns.

    A moment without an offset is local time.

    Raises:
        ValueError: it is neither, or lies outside 1970..2200.
    """
    import datetime  # few listings need it

    try:
        if text.startswith("@"):
            seconds = float(text[1:])
        else:
            seconds = datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        seconds = -1.0
    if not 0 <= seconds < 7_258_118_400:
        raise ValueError(
            f"{text[:60]!r} is not a moment; write it like"
            " 2026-11-22T03:00:00Z or @1795316400"
        )
    return round(seconds * NS)


def format_moment(ns: int) -> str:
    """Write ns of the wall clock as RFC 3339 UTC with microseconds."""
    import datetime  # see parse_moment

    whole, rest = divmod(ns // 1000, 1_000_000)
    try:
        moment = datetime.datetime.fromtimestamp(whole, datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return "9999-12-31T23:59:59.999999Z"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"
