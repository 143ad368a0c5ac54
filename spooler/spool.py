# SPDX-License-Identifier: MIT
"""
The spool on disk: its directories, and one short method per legal move.

Each method is one rename(2); the instant it returns, the job is in its new
state for everybody.  Losing a race is a return value, None: another process
moved the job first.  An OSError means the spool is in trouble and the job
still lies where it was.
"""

import errno
import os
from collections.abc import Iterator

from spooler import fsops, keys, names
from spooler.errors import EX_NOSUCH, ConfigError, SpoolError
from spooler.keys import Keys
from spooler.names import Name
from spooler.states import FLOW, State
from spooler.text import inert

PRIVATE = "run"  #: locks, control socket and work directories of spoold

#: Every directory of a spool, as ``init`` makes them.
DIRECTORIES = ("tmp", "incoming", "active", "deferred", "hold", "done",
               "failed", keys.DIRECTORY, PRIVATE)
#: What lies in the private one.
PAUSED = "paused"  #: marks of handlers that a person told to pause
PRIVATE_DIRECTORIES = ("locks", "work", PAUSED)

_FIVE_BITS = bytes(ord(names.DIGITS[byte & 31]) for byte in range(256))
_TOKENS_AT_ONCE = 64
_STEM = names.STEM_CHARS


def mint_tokens() -> list[str]:
    """Each 65 random bits, the proof of a claim."""
    size = names.TOKEN_CHARS
    drawn = os.urandom(size * _TOKENS_AT_ONCE).translate(_FIVE_BITS)
    text = drawn.decode("ascii")
    return [text[at:at + size] for at in range(0, len(text), size)]


def mint_twin() -> str:
    """What tells apart two jobs of one id."""
    return names.b32(int.from_bytes(os.urandom(2)) >> 1, names.TWIN_CHARS)


class Displaced(OSError):
    """A directory of the spool is not where it was."""


class Spool:
    """
    An open spool.

    Attributes:
        path: as given, made absolute.
        fds: a descriptor per state with a directory.
        keys: which of them hold keys.
        private_fd: of the daemon's own directory.
    """

    def __init__(self, path: str) -> None:
        """
        Open the spool at *path*.

        Raises:
            SpoolError: there is no spool, or a directory of it is missing,
                is a link, or lies on another file system.
            PermissionError: this user may not read it.
        """
        self.path = os.path.abspath(path)
        self.fds: dict[State, int] = {}
        self._opened: list[int] = []
        self._tokens: list[str] = []
        self._owner: str | None = None  #: seen to be one
        try:
            self.root_fd = self._open(".", None)
            self._device = os.fstat(self.root_fd).st_dev
            for state in (State.TMP, *FLOW):
                self.fds[state] = self._open(state.value, self.root_fd)
            self.keys = Keys(self._open(keys.DIRECTORY, self.root_fd))
            self.private_fd = self._open(PRIVATE, self.root_fd)
        except BaseException:
            self.close()
            raise

    def _open(self, name: str, dir_fd: int | None) -> int:
        path = self.path
        if dir_fd is not None:
            path = os.path.join(path, name)
        shown = inert(path)
        try:
            fd = fsops.open_dir(path if dir_fd is None else name, dir_fd)
        except FileNotFoundError:
            if dir_fd is None or not self._is_spool():
                raise SpoolError(
                    f"{inert(self.path)}: no spool here; 'spoolctl init"
                    f" {inert(self.path)}' makes one",
                    EX_NOSUCH,
                ) from None
            raise ConfigError(
                f"{shown}: missing directory; 'spoolctl init"
                f" {inert(self.path)}' makes it again and keeps the rest"
            ) from None
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise ConfigError(f"{shown}: not a directory") from None
            raise
        self._opened.append(fd)
        if dir_fd is not None and os.fstat(fd).st_dev != self._device:
            raise ConfigError(
                f"{shown}: lies on another file system than"
                f" {inert(self.path)}; jobs move by rename, which needs one"
            )
        return fd

    def _is_spool(self) -> bool:
        return any(
            os.path.isdir(os.path.join(self.path, name))
            for name in ("tmp", "incoming")
        )

    def close(self) -> None:
        """Close every descriptor; the object cannot be used afterwards."""
        while self._opened:
            os.close(self._opened.pop())

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def in_place(self, state: State) -> os.stat_result:
        """
        Stat the directory of *state*, and see that it still is the spool's.

        Raises:
            Displaced: it was removed, or another lies in its place.
            OSError: it cannot be told.
        """
        return self._in_place(self.fds[state], state.value)

    def all_in_place(self) -> None:
        """See that every directory still is the spool's; raises likewise."""
        self._in_place(self.root_fd, ".")
        self._in_place(self.private_fd, PRIVATE)
        self._in_place(self.keys.fd, keys.DIRECTORY)
        for state, fd in self.fds.items():
            self._in_place(fd, state.value)

    def _in_place(self, fd: int, name: str) -> os.stat_result:
        held = os.fstat(fd)
        path = os.path.normpath(os.path.join(self.path, name))
        try:
            found = os.stat(path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            raise Displaced(errno.ESTALE, "was removed", path) from None
        if not os.path.samestat(held, found):
            raise Displaced(
                errno.ESTALE, "another lies in its place", path
            )
        return held

    def scan(self, state: State) -> Iterator["os.DirEntry[str]"]:
        """
        Yield the entries of a state's directory, in no order.

        Entries that stay while it runs are yielded once.  No entry is
        opened; ``is_dir(follow_symlinks=False)`` of one costs no call on
        file systems that tell the type.
        """
        # A descriptor of its own: scans of one directory may overlap.
        fd = fsops.open_dir(".", self.fds[state])
        try:
            with os.scandir(fd) as entries:
                yield from entries
        finally:
            os.close(fd)

    # The moves.  Names in and out are as they lie in the directories.

    def admit(self, dropped: str, name: Name) -> str | None:
        """Give a job in ``incoming/`` its name of the grammar."""
        return self._move(State.INCOMING, dropped, State.INCOMING, name)

    def delay(self, incoming: str, name: Name) -> str | None:
        """Put a job that is not yet due into ``deferred/``."""
        return self._move(State.INCOMING, incoming, State.DEFERRED, name)

    def claim(self, incoming: str, owner: str) -> str | None:
        """
        Take one waiting job and count the run, before it begins.

        The rename is the lock.  Of any number of racing claimers the kernel
        lets exactly one succeed; a claimer killed at any point leaves the
        job whole in one of the two directories.

        Args:
            incoming: a name of the grammar, as it lies in ``incoming/``.
            owner: OWNER_CHARS digits: daemon instance and worker.

        Returns:
            Its name in ``active/``, now the caller's alone.  None if
            another claimer was first.

        Raises:
            ValueError: *incoming* or *owner* is malformed.
            OSError: the spool is in trouble; the job still waits.

        Source: maildir(5), new/ to cur/.
        """
        if owner != self._owner:
            if len(owner) != names.OWNER_CHARS or owner.strip(names.DIGITS):
                raise ValueError(f"not an owner: {owner!r}")
            self._owner = owner
        if not self._tokens:
            self._tokens = mint_tokens()
        claim = owner + self._tokens.pop()
        if names.plain_handler(incoming) is not None:
            # The common case, a job's first run, without taking it apart.
            head, tail = incoming[:_STEM], incoming[_STEM:]
            active = f"{head}.a1.c{claim}{tail}"
        else:
            name = names.parse(incoming)
            if name is None:
                raise ValueError(f"not a job name: {incoming!r}")
            name = name.waiting(min(name.runs + 1, names.MAX_RUNS))
            self.keys.begin(name)
            name.claim = claim
            active = str(name)
        # No fsync: a claim lost in a power cut runs the job again, which
        # at-least-once allows.  So does a verdict lost in one.
        moved = fsops.rename(
            self.fds[State.INCOMING], incoming, self.fds[State.ACTIVE], active
        )
        return active if moved else None  # RACE: another claimer was first

    def finish(self, active: str, verdict: str, micros: int) -> str | None:
        """File a job whose handler succeeded."""
        return self._settle(active, State.DONE, verdict, micros)

    def finish_plain(self, active: str, final: str) -> bool:
        """
        The same, with the final name made already; False if it is gone or
        *final* is taken, and nothing was moved.
        """
        try:
            return fsops.rename_noreplace(
                self.fds[State.ACTIVE], active, self.fds[State.DONE], final
            )
        except FileExistsError:
            return False

    def delete(self, active: str) -> bool:
        """End a job that succeeded and is not kept; False if it is gone."""
        return fsops.unlink(self.fds[State.ACTIVE], active)

    def fail(self, active: str, verdict: str, micros: int) -> str | None:
        """File a job that will not be tried again."""
        return self._settle(active, State.FAILED, verdict, micros)

    def defer(
        self, active: str, verdict: str, due_ns: int
    ) -> str | None:
        """Put off a job until *due_ns* of the wall clock."""
        name = _parsed(active)
        later = name.waiting(name.runs)
        later.due_ns, later.verdict = due_ns, verdict
        return self._move(State.ACTIVE, active, State.DEFERRED, later)

    def give_back(self, active: str) -> str | None:
        """Send a job back whose run was cut short by us: it costs no run."""
        name = _parsed(active)
        back = name.waiting(max(0, name.runs - 1))
        return self._move(State.ACTIVE, active, State.INCOMING, back)

    def twin(self, active: str) -> str:
        """
        Tell an active job apart from another that has its id.

        Returns:
            Its new name, or the old one if it is gone.
        """
        name = _parsed(active)
        name.twin = mint_twin()
        return self._move(
            State.ACTIVE, active, State.ACTIVE, name
        ) or active

    def recover(self, active: str) -> str | None:
        """Send a dead owner's job back; the run it was in counts."""
        name = _parsed(active)
        return self._move(
            State.ACTIVE, active, State.INCOMING, name.waiting(name.runs)
        )

    def retry(self, deferred: str) -> str | None:
        """Send a job that has become due back to ``incoming/``."""
        name = _parsed(deferred)
        return self._move(
            State.DEFERRED, deferred, State.INCOMING, name.waiting(name.runs)
        )

    def reschedule(self, deferred: str, due_ns: int) -> str | None:
        """Let a deferred job become due at another moment."""
        name = _parsed(deferred)
        name.due_ns = due_ns
        if str(name) == deferred:
            return deferred
        return self._move(State.DEFERRED, deferred, State.DEFERRED, name)

    def hold(self, state: State, job: str) -> str | None:
        """Put a waiting job aside until it is released."""
        return self._move(state, job, State.HELD, job)

    def release(self, held: str) -> str | None:
        """Send a held job back to wait; a due time stays in its name."""
        name = names.parse(held)
        if name is not None and name.due_ns is not None and name.verdict:
            name.verdict = ""  # a retry put aside, not a requeue by hand
        return self._move(
            State.HELD, held, State.INCOMING, held if name is None else name
        )

    def requeue(self, state: State, final: str) -> str | None:
        """Send a done or failed job back as if it were new."""
        name = _parsed(final).sent_back()
        return self._move(state, final, State.INCOMING, name)

    def remove(self, state: State, job: str) -> bool:
        """Delete a job that waits; False if it is gone already."""
        removed = fsops.unlink(self.fds[state], job)
        if removed:
            self.keys.forget(job)
        return removed

    def purge(self, state: State, final: str) -> bool:
        """Delete a done or failed job; False if it is gone already."""
        return fsops.unlink(self.fds[state], final)

    def stand_in(
        self, active: str, state: State, verdict: str, micros: int
    ) -> str:
        """
        Make an empty file that carries the verdict of a job whose file is
        gone.  In its last place at once: an empty job must never run.
        """
        final = _final(active, verdict, micros)
        final.key = ""
        while True:
            try:
                os.close(fsops.create(self.fds[state], str(final)))
                return str(final)
            except FileExistsError:
                final.twin = mint_twin()

    def _settle(
        self, active: str, state: State, verdict: str, micros: int
    ) -> str | None:
        final = _final(active, verdict, micros)
        self.keys.end(final)
        return self._move(State.ACTIVE, active, state, final)

    def _move(
        self, src: State, old: str, dst: State, new: Name | str
    ) -> str | None:
        target = str(new)
        while True:
            try:
                moved = fsops.rename_noreplace(
                    self.fds[src], old, self.fds[dst], target
                )
                return target if moved else None
            except FileExistsError:
                # Two jobs claim one id: a producer copied a name.  Neither
                # may replace the other.
                twin = names.parse(target)
                if twin is None or (src is dst and old == target):
                    raise
                twin.twin = mint_twin()
                target = str(twin)


def _final(active: str, verdict: str, micros: int) -> Name:
    name = _parsed(active)
    final = name.waiting(name.runs)
    final.verdict = verdict
    if micros <= names.MAX_MICROSECONDS:
        final.micros = micros
    return final


def _parsed(name: str) -> Name:
    parsed = names.parse(name)
    if parsed is None:
        raise ValueError(f"not a job name: {name!r}")
    return parsed
