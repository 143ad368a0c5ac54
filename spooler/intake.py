# SPDX-License-Identifier: MIT
"""
What arrives in ``incoming/``: legal or left alone, admitted, delayed.

A job our submit minted is taken as it is.  Any other file gets a name of the
grammar at once, so that the next file of the same name replaces nothing, and
so that its handler, priority and due time can be told without opening it.
"""

import logging
import secrets
import time

from spooler import fsops, jobload, names, sidecar
from spooler.errors import BadJob
from spooler.labels import about
from spooler.names import Name
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert

log = logging.getLogger(__name__)

STRAYS_MAX = 1000
AGAIN_MAX = 10_000
_SHARE = 20  #: of the time that looking for first tries may take
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
        self.again: dict[str, Name] = {}
        self._refused: set[str] = set()
        self._resolve_at = 0.0
        self.delayed: list[tuple[str, int]] = []

    def begin_scan(self) -> None:
        """Every entry is going to be seen: forget what was left alone."""
        self._refused.intersection_update(self.strays)
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
            if fsops.is_temporary(error) or fsops.is_misplaced(error):
                raise
            # This one entry cannot be moved (immutable, or a directory of
            # somebody else's); it must not stop the others.
            self.leave(entry, error.strerror or "cannot be moved")
            return None

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
            if len(self.again) < AGAIN_MAX:  # or a later scan finds it
                self.again[entry] = name
            return None
        if name.due_ns is not None:
            return self._due(entry, name)
        if str(name) != entry:  # fields in another order
            return self._renamed(entry, name)
        return entry, name

    def leave(self, entry: str, why: str) -> None:
        """Leave an entry alone until the next scan, and say why."""
        if len(self.strays) < STRAYS_MAX:
            self.strays[entry] = why

    def refuse(self, entry: str, why: str) -> None:
        """Leave alone a job that cannot be claimed; the log tells it once."""
        if entry not in self._refused and len(self._refused) < STRAYS_MAX:
            self._refused.add(entry)
            name = names.parse(entry)
            shown = inert(entry) if name is None else name.id
            log.error(
                "%s: left alone: %s", shown, inert(why),
                extra=about(entry, State.INCOMING),
            )
        self.leave(entry, why)

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
        new = name.sent_back()
        for state in (State.DONE, State.FAILED, State.DEFERRED):
            # Before the move: killed in between, it is done again.  A
            # producer may have made up the name of another's job.
            if sidecar.is_beside(
                self._spool, state, new.stem
            ) and not self._is_taken(state, new.stem):
                sidecar.drop(self._spool, state, new.stem)
        return self._renamed(entry, new)

    def _is_taken(self, state: State, stem: str) -> bool:
        """Whether what lies beside *stem* in *state* may be another job's."""
        states = [state]
        if state is State.DEFERRED:  # of earlier runs of a job that runs now
            states += State.ACTIVE, State.HELD
        return any(
            sidecar.has_job(self._spool, where, stem) for where in states
        )

    def resolve_s(self) -> float | None:
        """Seconds until resolve is of use; None: nothing is to be told."""
        if not self.again:
            return None
        return max(0.0, self._resolve_at - time.monotonic())

    def resolve(self) -> list[tuple[str, Name]]:
        """
        Tell which of the jobs submitted again did arrive the first time.

        All at once, for each would need a look at every job.

        Returns:
            Those that did not, as waiting jobs.
        """
        started = time.monotonic()
        if not self.again or started < self._resolve_at:
            return []
        again, self.again = self.again, {}
        wanted = {name.id for name in again.values()}
        places: dict[str, set[tuple[State, str]]] = {}
        # In flow order, or one that moves on is missed; and twice, or one
        # that is put off or put aside meanwhile is.
        for state in FLOW * 2:
            for other in self._spool.scan(state):
                job_id = other.name[2:names.STEM_CHARS]
                if job_id in wanted and "," in other.name:
                    places.setdefault(job_id, set()).add((state, other.name))
        out = []
        for entry, name in again.items():
            here = State.INCOMING, entry
            found = places.get(name.id, set())
            if found - {here}:
                log.info(
                    "%s: submitted twice, kept once", name.id,
                    extra=about(entry, State.INCOMING),
                )
                self._spool.remove(State.INCOMING, entry)
                found.discard(here)
                continue
            moved = self._first(entry, name)
            if moved is not None:
                out.append(moved)
        took = time.monotonic() - started
        self._resolve_at = time.monotonic() + _SHARE * took
        return out

    def _first(self, entry: str, name: Name) -> tuple[str, Name] | None:
        first = name.waiting(name.runs)
        if name.due_ns is not None:
            first.due_ns = name.due_ns
            return self._due(entry, first)
        return self._renamed(entry, first)
