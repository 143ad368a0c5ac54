# SPDX-License-Identifier: MIT
"""
Tell whether a value is JSON, and if not, where it is not.  Pure.

Stricter than the standard library: what would come back as something else,
such as a number that became a text because it was a key, is refused.  A
tuple passes, and comes back as a list.
"""

DEPTH_MAX = 60  #: a document's own levels leave that of JSON_DEPTH_MAX
_DIGITS_MAX = 4000
_INFINITY = float("inf")


def why_not_json(value: object, where: str, depth: int = 0) -> str | None:
    """
    Say what of *value* is not JSON; None if all of it is.

    Args:
        where: what the value is called in the answer.
    """
    if isinstance(value, str):
        return _why_no_text(value, where)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        if value.bit_length() > _DIGITS_MAX * 3:
            return f"{where} is a number of too many digits"
        return None
    if isinstance(value, float):
        if value != value or value in (_INFINITY, -_INFINITY):
            return f"{where} is {value}, which JSON does not have"
        return None
    if depth >= DEPTH_MAX:
        return f"{where} is nested too deep"
    if isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            why = why_not_json(item, f"{where}[{number}]", depth + 1)
            if why is not None:
                return why
        return None
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                return f"{where} has the key {key!r:.60}, which is no text"
            why = why_not_json(item, f"{where}[{key!r:.60}]", depth + 1)
            if why is not None:
                return why
        return None
    kind = type(value).__name__
    return f"{where} is of type {kind}, which JSON does not have"


def _why_no_text(value: str, where: str) -> str | None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return f"{where} is not valid Unicode: pass bytes in another form"
    return None
