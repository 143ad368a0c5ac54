# SPDX-License-Identifier: MIT
"""A producer that changes what it submitted while spoold takes it."""

import ctypes
import dataclasses
import errno
import functools
import hashlib
import itertools
import os
import pathlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from hostile.kinds import note

from spooler import names

#: Must never be seen where a handler logs what it was given.
EVIL = "EVIL"
_AT_FDCWD, _EXCHANGE = -100, 2
_SWAPS_MAX = 12  #: of one name


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def exchange(one: str, two: str) -> None:
    """Let two names change places at one instant; OSError as rename."""
    if _libc().renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(two), _EXCHANGE
    ) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, two)


def swap(one: str, two: str) -> None:
    """The same, in three steps where the file system cannot do it."""
    try:
        exchange(one, two)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        os.rename(one, f"{two}.aside")
        os.rename(two, one)
        os.rename(f"{two}.aside", two)


def signed(mark: str) -> bytes:
    """A legal document that cannot be altered."""
    body = b"body of " + mark.encode()
    rest = note(mark, f"Length: {len(body)}") + body
    digest = hashlib.sha256(rest).hexdigest()
    return f"Digest: sha256:{digest}\n".encode() + rest


def altered(mark: str) -> bytes:
    """The same with the digest of another; as long as that."""
    data = signed(mark)
    line, _, rest = data.partition(b"\n")
    evil = rest.replace(mark.encode(), EVIL.encode().ljust(len(mark), b"!"))
    assert len(evil) == len(rest)
    return line + b"\n" + evil


def _document(path: str, mark: str) -> None:
    with open(path, "wb") as stream:
        stream.write(altered(mark))


def _pipe(path: str, mark: str) -> None:
    os.mkfifo(path, 0o644)


def _directory(path: str, mark: str) -> None:
    os.mkdir(path)


#: What a legal document changes places with.
ALTERNATIVES: dict[str, Callable[[str, str], None]] = {
    "document": _document, "pipe": _pipe, "directory": _directory,
}


@dataclasses.dataclass
class Tally:
    """What a racer did."""

    jobs: int = 0
    swaps: int = 0
    rewrites: int = 0
    taken: int = 0  #: while it was being swapped
    marks: list[str] = dataclasses.field(default_factory=list)
    kept: list[str] = dataclasses.field(default_factory=list)  #: must run
    spoiled: list[str] = dataclasses.field(default_factory=list)  #: must not


class Racer:
    """
    Drops documents and changes them, as whoever calls.

    Each name is a new one; half of them are dropped, half of the grammar.
    """

    def __init__(
        self, spool: pathlib.Path, seed: int, secret: pathlib.Path
    ) -> None:
        """*secret* is what links point to."""
        self._tmp = str(spool / "tmp")
        self._incoming = str(spool / "incoming")
        self._random = random.Random(seed)
        self._seed = seed
        self._secret = secret
        self._numbers = itertools.count()
        self.tally = Tally()

    def _names(self, number: int) -> Iterator[str]:
        job_id = names.mint_id(time.time_ns(), number)
        dropped = f"swap-{self._seed}-{number}.job"
        yield dropped
        yield f"0.{job_id}.hnote,{dropped}"
        yield f"4.{job_id}.d00000000000.hnote,{dropped}"
        yield f"4.{job_id}.hnote.a1.vexit1,{dropped}"

    def _make(self, alternative: str, path: str, mark: str) -> None:
        if alternative == "link":
            os.symlink(self._secret, path)
        else:
            ALTERNATIVES[alternative](path, mark)

    def _begin(self) -> tuple[str, str, str, int]:
        number = next(self._numbers)
        mark = f"swap {self._seed} {number}"
        name = self._random.choice(list(self._names(number)))
        path = os.path.join(self._tmp, f"one-{self._seed}-{number}")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        os.write(fd, signed(mark))
        self.tally.jobs += 1
        self.tally.marks.append(mark)
        return path, name, mark, fd

    def _dither(self) -> None:
        """Pass 20 us to 2 ms: how long a claim takes is the machine's."""
        until = time.perf_counter() + 2e-5 * 100 ** self._random.random()
        while time.perf_counter() < until:
            pass

    def keep_once(self) -> None:
        """Drop a document and leave it alone: it runs."""
        path, _, mark, fd = self._begin()
        os.close(fd)
        os.rename(path, os.path.join(self._incoming, f"{mark}.job"))
        self.tally.kept.append(mark)

    def spoil_once(self) -> None:
        """Drop what was altered before it was there: it never runs."""
        path, _, mark, fd = self._begin()
        os.pwrite(fd, altered(mark), 0)
        os.close(fd)
        os.rename(path, os.path.join(self._incoming, f"{mark}.job"))
        self.tally.spoiled.append(mark)

    def swap_once(self, alternative: str) -> None:
        """Drop a document, and swap its name until spoold has it."""
        path, name, mark, fd = self._begin()
        os.close(fd)
        other = f"{path}-other"
        self._make(alternative, other, mark)
        target = os.path.join(self._incoming, name)
        if self._random.random() < 0.5:
            path, other = other, path  # begin with the wrong one
        os.rename(path, target)
        try:
            for _ in range(_SWAPS_MAX):
                self._dither()
                swap(target, other)
                self.tally.swaps += 1
        except OSError:
            self.tally.taken += 1
        for left in (other, target, f"{other}.aside"):
            _remove(left)

    def swap_in_tmp(self, alternative: str) -> None:
        """Swap a name while it is published."""
        path, name, mark, fd = self._begin()
        os.close(fd)
        other = f"{path}-other"
        self._make(alternative, other, mark)
        for _ in range(self._random.randrange(4)):
            swap(path, other)
            self.tally.swaps += 1
        os.rename(path, os.path.join(self._incoming, name))
        _remove(other)

    def rewrite_once(self) -> None:
        """Drop a document, and rewrite it by a descriptor kept open."""
        path, name, mark, fd = self._begin()
        target = os.path.join(self._incoming, name)
        good, evil = signed(mark), altered(mark)
        os.rename(path, target)
        while self._random.random() < 0.7 and os.path.exists(target):
            self._dither()
        for _ in range(self._random.randrange(1, 8)):
            os.pwrite(fd, evil, 0)
            self._dither()
            os.pwrite(fd, good, 0)
            self._dither()
            self.tally.rewrites += 1
        os.pwrite(fd, evil, 0)
        os.close(fd)


def _remove(path: str) -> None:
    for remove in (os.unlink, os.rmdir):
        try:
            remove(path)
            return
        except OSError:
            pass


def race(
    racer: Racer, moves: list[Callable[[Racer], Any]], until: int
) -> dict[str, Any]:
    """Make the moves in turn until enough was changed; what was done."""
    certain: list[Callable[[Racer], Any]] = [
        Racer.keep_once, Racer.spoil_once
    ]
    for move in itertools.cycle(certain + moves * 4):
        move(racer)
        if racer.tally.swaps + racer.tally.rewrites >= until:
            return dataclasses.asdict(racer.tally)
    raise AssertionError("no moves")
