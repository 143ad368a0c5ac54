# SPDX-License-Identifier: MIT
"""What a kind of hostile entry is, and what must become of it."""

import dataclasses
import os
from collections.abc import Callable

#: Stays in ``incoming/`` under its name, as it was made.
LEFT = "left"
#: Is a legal job, odd as it looks, and runs as what it is.
RAN = "done"
#: Fails with that word, and never runs.
BAD, UNKNOWN = "bad", "unknown"
#: Waits in ``deferred/``.
WAITS = "deferred"
#: Another job stands for it.
GONE = "gone"

Make = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Kind:
    """
    One hostile entry.

    Attributes:
        label: for messages.
        name: in ``incoming/``.
        make: makes it at a path.
        fate: see above.
        mark: the argument its run logs; None: it is no document.
        tail: of a name of the grammar; None: it is a dropped name.
        by_root: the hostile user cannot make it; the test does.
        in_place: is made in ``incoming/`` itself, and only there.
    """

    label: str
    name: bytes
    make: Make
    fate: str
    mark: str | None = None
    tail: str | None = None
    by_root: bool = False
    in_place: bool = False

    def at_end(self) -> str:
        """What its name ends with once it is admitted."""
        return os.fsdecode(self.name) if self.tail is None else self.tail


def write(path: str, data: bytes, mode: int = 0o640) -> None:
    """Make a regular file."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        os.write(fd, data)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def filed(data: bytes, mode: int = 0o640) -> Make:
    """Of a regular file that holds *data*."""
    return lambda path: write(path, data, mode)


def note(mark: str, *lines: str) -> bytes:
    """A legal document whose run logs *mark*."""
    text = "\n".join(["Handler: note", f"Arg: {mark}", *lines, "", ""])
    return text.encode()
