# SPDX-License-Identifier: MIT
"""
Keys: who holds one is the job that stands for all that would be alike.

``keys/KEY`` is a symbolic link that nobody follows; its text tells which job
holds the key, and for how long.  symlink(2) makes and fills it in one call,
and lets one of any number of racing producers succeed.  That instant submits
the job, which is whole in ``tmp/`` before.

Only the spool's owner removes a link, and under a lock: between reading whom
it names and removing it, it must not become another's.
"""

from __future__ import annotations

import contextlib
import os

from spooler import fsops, names
from spooler.names import Name

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing it for real would cost every submit 3 ms
    from collections.abc import Iterator

DIRECTORY = "keys"

#: Until when a job holds its key: its first run begins; it is done or
#: failed; or a moment, whatever becomes of it.
WAITING, DONE, UNTIL = "waiting", "done", "until"


def key_of(handler: str, text: str) -> str:
    """The key of a *text*: each handler has keys of its own."""
    from spooler.digest import sha256_hex  # no listing needs it

    data = f"{handler}\0{text}".encode("utf-8", "surrogatepass")
    return names.b32(
        int(sha256_hex(data), 16) & ((1 << 5 * names.KEY_CHARS) - 1),
        names.KEY_CHARS,
    )


class Holder:
    """
    The job that holds a key.

    Attributes:
        name: as it was submitted.
        kind: WAITING, DONE or UNTIL.
        until_ns: of UNTIL, the wall clock; else 0.
    """

    __slots__ = ("name", "kind", "until_ns")

    def __init__(self, name: Name, kind: str, until_ns: int = 0) -> None:
        self.name = name
        self.kind = kind
        self.until_ns = until_ns

    def __str__(self) -> str:
        kind = self.kind
        if kind == UNTIL:
            kind += names.b32(self.until_ns, names.TIME_CHARS)
        return f"{kind}:{self.name}"

    def is_over(self, now_ns: int) -> bool:
        """
        Whether its time is over.

        Also if the clock was set back by more than that time: else the key
        could be held for years.
        """
        if self.kind != UNTIL:
            return False
        since_ns = names.submitted_ns(self.name.id)
        return abs(now_ns - since_ns) >= self.until_ns - since_ns


def parse(key: str, text: str) -> Holder | None:
    """Read the text of the link *key*; None if it is not one of ours."""
    kind, _, entry = text.partition(":")
    name = names.parse(entry)
    # Anybody may have written it: it names a file, and nothing else.
    if name is None or name.key != key or str(name) != entry:
        return None
    handler = name.tail.removesuffix(names.DOCUMENT_SUFFIX)
    if handler == name.tail or not names.is_handler(handler):
        return None
    if kind in (WAITING, DONE):
        return Holder(name, kind)
    digits = kind.removeprefix(UNTIL)
    if digits == kind or len(digits) != names.TIME_CHARS:
        return None
    if digits.strip(names.DIGITS):
        return None
    return Holder(name, UNTIL, names.unb32(digits))


class Keys:
    """The directory of keys of one spool, by its descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def holder(self, key: str) -> Holder | None:
        """Who holds *key*; None: nobody, or what lies there is no link."""
        text = fsops.read_link(self.fd, key)
        return None if text is None else parse(key, text)

    def hold(self, holder: Holder) -> bool:
        """
        Let a job hold the key of its name: the instant of submission.

        Returns:
            False if another holds it.
        """
        key, text = holder.name.key, str(holder)
        if fsops.symlink(self.fd, text, key):
            return True
        # RACE: over NFS the answer can be to a resend of our own call.
        return fsops.read_link(self.fd, key) == text

    def replace(self, old: Holder, new: Holder) -> bool:
        """Let *new* hold what *old* holds; False if it does no more."""
        key = new.name.key
        part = f"{key}.new"
        with self._locked():
            if fsops.read_link(self.fd, key) != str(old):
                return False
            fsops.unlink(self.fd, part)  # of one who was killed here
            fsops.symlink(self.fd, str(new), part)
            return fsops.rename(self.fd, part, self.fd, key)

    def release(self, key: str, job_id: str) -> bool:
        """
        Let nobody hold *key*; False if the job did not hold it.

        Raises:
            PermissionError: only the spool's owner may.
        """
        if not self._is_held_by(key, job_id):
            return False
        with self._locked():
            return self._is_held_by(key, job_id) and fsops.unlink(
                self.fd, key
            )

    def begin(self, name: Name) -> None:
        """
        A run of *name* begins: it loses the key that it holds no longer.

        Before the claim: a producer that finds the key held may rely on a
        run that begins later.
        """
        if not name.key:
            return
        holder = self.holder(name.key)
        if holder is not None and holder.name.id == name.id:
            if holder.kind == DONE:
                return
            if holder.kind == WAITING:
                self.release(name.key, name.id)
        name.key = ""

    def end(self, name: Name) -> None:
        """
        The last run of *name* has ended.

        Before the verdict: a producer that finds the key held may rely on
        one that is given later.
        """
        if name.key:
            self.release(name.key, name.id)
            name.key = ""

    def forget(self, entry: str) -> None:
        """A waiting job was removed."""
        name = names.parse(entry)
        # One that was submitted again shares its id with the first try.
        if name is not None and name.key and not name.resubmitted:
            self.release(name.key, name.id)

    def _is_held_by(self, key: str, job_id: str) -> bool:
        holder = self.holder(key)
        return holder is not None and holder.name.id == job_id

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among those who remove keys."""
        fd = fsops.lock_dir(self.fd)
        try:
            yield
        finally:
            os.close(fd)
