# SPDX-License-Identifier: MIT
"""
What arrives in ``incoming/``: legal or left alone, admitted, delayed.

A job our submit minted is taken as it is.  Any other file gets a name of the
grammar at once, so that the next file of the same name replaces nothing, and
so that its handler, priority and due time can be told without opening it.
"""

import errno
import secrets
import time

from spooler import fsops, jobload, names, settle
from spooler.errors import BadJob
from spooler.names import Name
from spooler.spool import Spool
from spooler.states import State

STRAYS_MAX = 1000


class Minter:
    """Makes ids that sort by the time they were asked for."""

    def __init__(self) -> None:
        self._last_ns = 0

    def mint(self) -> str:
        """A new id; never the same twice."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        return names.mint_id(
            self._last_ns, secrets.randbits(names.DICE_BITS)
        )


class Intake:
    """
    Turns directory entries into waiting jobs.

    Attributes:
        strays: entries left alone, and why; at most STRAYS_MAX.
        stray_count: how many there are.
        delayed: jobs moved to ``deferred/`` since this was last emptied.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._minter = Minter()
        self.strays: dict[str, str] = {}
        self.delayed: list[tuple[str, int]] = []

    def begin_scan(self) -> None:
        """Every entry is going to be seen: forget what was left alone."""
        self.strays.clear()

    def take_in(self, entry: str, is_dir: bool) -> tuple[str, Name] | None:
        """
        Take in one entry of ``incoming/``.

        Args:
            is_dir: as the directory tells.

        Returns:
            The waiting job, or None: it was delayed, is left alone, or went
            elsewhere meanwhile.

        Raises:
            OSError: the spool is in trouble; the entry is where it was.
        """
        try:
            return self._take_in(entry, is_dir)
        except OSError as error:
            if fsops.is_temporary(error) or self._is_broken(error):
                raise
            # This one entry cannot be moved (immutable, or a directory of
            # somebody else's); it must not stop the others.
            self._leave(entry, error.strerror or "cannot be moved")
            return None

    def _is_broken(self, error: OSError) -> bool:
        """Whether the directories themselves are at fault."""
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EXDEV)

    def _take_in(
        self, entry: str, is_dir: bool
    ) -> tuple[str, Name] | None:
        if is_dir:
            self._leave(entry, "a directory")
            return None
        name = names.parse(entry)
        if name is None:
            why = names.why_illegal(entry)
            if why is not None:
                self._leave(entry, why)
                return None
            return self._admit(entry)
        if not name.is_waiting_form():
            return self._requeued_by_hand(entry, name)
        if name.due_ns is not None:
            return self._due(entry, name)
        if str(name) != entry:  # fields in another order
            return self._renamed(entry, name)
        return entry, name

    def _leave(self, entry: str, why: str) -> None:
        if len(self.strays) < STRAYS_MAX:
            self.strays[entry] = why

    def _admit(self, entry: str) -> tuple[str, Name] | None:
        name = Name(names.DEFAULT_PRIORITY, self._minter.mint(), entry)
        if name.is_document:
            name.handler = ""
            try:
                document = jobload.peek(
                    self._spool.fds[State.INCOMING], entry
                )
            except BadJob:
                document = None  # judged, with its reason, after the claim
            except FileNotFoundError:
                return None
            if document is not None:
                name.handler = document.handler
                if document.priority is not None:
                    name.priority = document.priority
                name.due_ns = document.not_before_ns
        if name.due_ns is not None:
            return self._due(entry, name)
        return self._renamed(entry, name)

    def _renamed(self, entry: str, name: Name) -> tuple[str, Name] | None:
        text = self._spool.admit(entry, name)
        if text is None:
            return None
        return text, names.parse(text) or name

    def _due(self, entry: str, name: Name) -> tuple[str, Name] | None:
        assert name.due_ns is not None
        if name.due_ns <= time.time_ns():
            return self._renamed(entry, name.waiting(name.runs))
        text = self._spool.delay(entry, name)
        if text is not None:
            self.delayed.append((text, name.due_ns))
        return None

    def _requeued_by_hand(
        self, entry: str, name: Name
    ) -> tuple[str, Name] | None:
        """A person moved it back with mv: as good as requeue."""
        moved = self._renamed(entry, name.waiting(0))
        if moved is not None:
            for state in (State.DONE, State.FAILED, State.DEFERRED):
                settle.drop_sidecars(self._spool, state, name.stem)
        return moved
