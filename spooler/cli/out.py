# SPDX-License-Identifier: MIT
"""
Print lines, with colour where it is wanted: for verbs that must start fast.

What it prints is what click prints; importing click costs more than all else
a listing does.
"""

import os
import sys

_COLORS = {
    "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35,
}
_RESET = "\x1b[0m"
_BOLD = "\x1b[1m"


def wants_color(choice: str, environ: dict[str, str], tty: bool) -> bool:
    """Decide about colour as no-color.org and force-color.org say."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return tty and environ.get("TERM", "dumb") != "dumb"


class _Settings:
    """What the command line said, for all that prints."""

    color = False


def use_color(choice: str = "auto") -> bool:
    """Print with colour or without from now on; returns which."""
    _Settings.color = wants_color(
        choice, dict(os.environ), sys.stdout.isatty()
    )
    return _Settings.color


def style(text: str, fg: str | None = None, bold: bool = False) -> str:
    """*text* in a colour."""
    start = f"\x1b[{_COLORS[fg]}m" if fg else ""
    return f"{start}{_BOLD if bold else ''}{text}{_RESET}"


def plain(text: str) -> str:
    """*text* without what style added; nothing else can hold an escape."""
    head, *parts = text.split("\x1b[")
    return head + "".join(part.partition("m")[2] for part in parts)


def echo(text: str, err: bool = False) -> None:
    """Print one line."""
    stream = sys.stderr if err else sys.stdout
    stream.write((text if _Settings.color else plain(text)) + "\n")
    stream.flush()


def say(text: str) -> None:
    """Talk to a person, on standard error."""
    echo(f"spoolctl: {text}", err=True)
