# SPDX-License-Identifier: MIT
"""
What the values of spool.toml mean.

Pure.  Each reader takes what TOML made of a value; it returns what the
configuration holds, or raises ValueError, whose text follows the key.
"""

import shlex
from collections.abc import Callable
from typing import Any

from spooler import units
from spooler.text import inert

_MEMORY_MIN = 1 << 20
_DURATION_MAX_S = 100 * 365 * 86400
DURABILITIES = ("full", "relaxed")


def as_integer(low: int, high: int) -> Callable[[Any], int]:
    """A reader of whole numbers in a range."""
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"is a whole number {low}..{high}")
        return value

    return read


def as_duration(value: Any) -> float:
    """Seconds, of a number or a text like ``90s``."""
    if isinstance(value, str):
        return units.parse_duration(value)
    if type(value) in (int, float) and 0 <= value < _DURATION_MAX_S:
        return float(value)
    raise ValueError('is a duration like "90s"')


def as_interval(value: Any) -> float:
    """The same, 100ms at least."""
    seconds = as_duration(value)
    if seconds < 0.1:
        raise ValueError("is at least 100ms")
    return seconds


def as_timeout(value: Any) -> float | None:
    """The same; 0 is None, no limit."""
    return as_duration(value) or None


def as_size(value: Any) -> int:
    """Bytes, of a number or a text like ``16MiB``."""
    if isinstance(value, str):
        return units.parse_size(value)
    if type(value) is int and value >= 0:
        return value
    raise ValueError('is a size like "16MiB"')


def as_limit(value: Any) -> int | None:
    """The same, 1MiB at least; 0 is None, no limit."""
    size = as_size(value)
    if 0 < size < _MEMORY_MIN:
        raise ValueError("is at least 1MiB, or 0 for no limit")
    return size or None


def as_flag(value: Any) -> bool:
    """Yes or no."""
    if type(value) is not bool:
        raise ValueError("is true or false")
    return value


def as_text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("is a text")
    return value


def as_texts(value: Any) -> tuple[str, ...]:
    """A list of them."""
    if not isinstance(value, list):
        raise ValueError("is a list of texts")
    return tuple(map(as_text, value))


def as_command(value: Any) -> tuple[str, ...]:
    """A list of arguments; no shell."""
    if isinstance(value, str):
        raise ValueError(
            "is a list of arguments, no shell reads it; write"
            f" {_toml_list(shlex.split(value))}"
        )
    command = as_texts(value)
    if not command:
        raise ValueError("is empty")
    return command


def _toml_list(items: list[str]) -> str:
    return "[" + ", ".join(f'"{inert(item)}"' for item in items) + "]"


def as_python(value: Any) -> str:
    """``module:function``."""
    text = as_text(value)
    module, colon, function = text.partition(":")
    parts = module.split(".") + function.split(".")
    if not colon or not all(part.isidentifier() for part in parts):
        raise ValueError('is "module:function"')
    return text


def as_modules(value: Any) -> tuple[str, ...]:
    """A list of modules; ``*`` stands for those of entry points."""
    modules = as_texts(value)
    for module in modules:
        parts = module.split(".")
        if module != "*" and not all(part.isidentifier() for part in parts):
            raise ValueError('is a list of modules like "myapp.jobs"')
    return modules


def as_allow(value: Any) -> tuple[str, ...]:
    """A list of ``module``, ``package.*`` and ``module:function``."""
    patterns = as_texts(value)
    for pattern in patterns:
        module, _, function = pattern.removesuffix(".*").partition(":")
        parts = module.split(".")
        if ":" in pattern:
            parts += function.split(".")
        if not all(part.isidentifier() for part in parts):
            # Above all no "*": it would be all that can be imported.
            raise ValueError(
                'is a list of "module", "package.*" and "module:function"'
            )
        if ":" in pattern and pattern.endswith("*"):
            raise ValueError(f'has "{pattern}"; write "{module}" for all')
    return patterns


def as_durability(value: Any) -> str:
    """``full`` or ``relaxed``."""
    if value not in DURABILITIES:
        raise ValueError(f"is one of {', '.join(DURABILITIES)}")
    return str(value)


def as_env(value: Any) -> tuple[tuple[str, str], ...]:
    """A table of texts."""
    if not isinstance(value, dict) or not all(
        isinstance(item, str) and "\0" not in item for item in value.values()
    ):
        raise ValueError('is a table of texts, { NAME = "value" }')
    for name in value:
        if not name or "=" in name or "\0" in name:
            shown = inert(name, 60)
            raise ValueError(f"'{shown}' cannot be a variable's name")
    return tuple(value.items())
