# SPDX-License-Identifier: MIT
"""
What arrives in ``incoming/``: legal or left alone, admitted, delayed.

A job our submit minted is taken as it is.  Any other file gets a name of the
grammar at once, so that the next file of the same name replaces nothing, and
so that its handler, priority and due time can be told without opening it.
"""

import errno
import logging
import secrets
import time

from spooler import fsops, jobload, names, settle
from spooler.errors import BadJob
from spooler.names import Name
from spooler.spool import Spool
from spooler.states import FLOW, State

log = logging.getLogger(__name__)

STRAYS_MAX = 1000
_LONG_CHARS = 60  #: a shorter name of the grammar is never too long


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
            self.leave(entry, error.strerror or "cannot be moved")
            return None

    def _is_broken(self, error: OSError) -> bool:
        """Whether the directories themselves are at fault."""
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EXDEV)

    def _take_in(
        self, entry: str, is_dir: bool
    ) -> tuple[str, Name] | None:
        if is_dir:
            self.leave(entry, "a directory")
            return None
        name = names.parse(entry)
        if name is None or len(entry) > _LONG_CHARS:
            why = names.why_illegal(entry)
            if why is not None:
                self.leave(entry, why)
                return None
        if name is None:
            return self._admit(entry)
        if entry[names.STEM_CHARS] == ",":
            return entry, name  # no fields: as most are
        if not name.is_waiting_form():
            return self._requeued_by_hand(entry, name)
        if name.resubmitted:
            return self._resubmitted(entry, name)
        if name.due_ns is not None:
            return self._due(entry, name)
        if str(name) != entry:  # fields in another order
            return self._renamed(entry, name)
        return entry, name

    def leave(self, entry: str, why: str) -> None:
        """Leave an entry alone until the next scan, and say why."""
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
        moved = self._renamed(entry, name.sent_back())
        if moved is not None:
            stem = moved[1].stem
            for state in (State.DONE, State.FAILED, State.DEFERRED):
                # A producer may have made up the name of another's job.
                if not settle.has_job(self._spool, state, stem):
                    settle.drop_sidecars(self._spool, state, stem)
        return moved

    def _resubmitted(
        self, entry: str, name: Name
    ) -> tuple[str, Name] | None:
        """Submitted again: one job if the first try did arrive after all."""
        for state in FLOW:  # in flow order, or one that moves is missed
            for other in self._spool.scan(state):
                if other.name == entry and state is State.INCOMING:
                    continue
                if other.name[2:names.STEM_CHARS] == name.id:
                    if "," in other.name:
                        log.info("%s: submitted twice, kept once", name.id)
                        self._spool.remove(State.INCOMING, entry)
                        return None
        first = name.waiting(name.runs)
        if name.due_ns is not None:
            first.due_ns = name.due_ns
            return self._due(entry, first)
        return self._renamed(entry, first)
