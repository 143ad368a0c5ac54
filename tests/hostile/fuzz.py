# SPDX-License-Identifier: MIT
"""Inputs that are almost right: mutations of right ones, from a seed."""

import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from support import sized


_BYTES = b"\0\n\r\t \x1b\x7f\x80\xff,.:;-_~/\\\"'{}[]()<>=#$%09azAZ"
_TEXTS = (
    "\u0661", "\u00e9", "e\u0301", "\u202e", "\u2028", "\ufeff",
    "\U0001f600", "\U000e0001",
)


class Mutator:
    """Makes inputs from a corpus; the same ones for the same seed."""

    def __init__(
        self, seed: int, corpus: Sequence[bytes],
        words: Sequence[bytes] = (), repeat: int = 2000,
    ) -> None:
        """
        Mutate *corpus*.

        Args:
            words: what the language consists of.
            repeat: how often a piece is repeated at most.
        """
        self._random = random.Random(seed)
        self._corpus = list(corpus)
        self._words = [*words, *(text.encode() for text in _TEXTS)]
        self._repeat = repeat
        self._ways = (
            *3 * (self._flip, self._put, self._insert, self._cut),
            *2 * (self._splice, self._double, self._swap),
            self._truncate, self._again,
        )

    def next(self) -> bytes:
        """One more input."""
        rand = self._random
        data = bytearray(rand.choice(self._corpus))
        for _ in range(rand.choice((1, 1, 1, 2, 2, 3, 5, 9))):
            rand.choice(self._ways)(data)
        return bytes(data)

    def _at(self, data: bytearray) -> int:
        return self._random.randint(0, len(data))

    def _piece(self, data: bytearray) -> slice:
        start = self._at(data)
        return slice(start, start + self._random.choice((1, 2, 4, 9, 40)))

    def _flip(self, data: bytearray) -> None:
        if data:
            at = self._random.randrange(len(data))
            data[at] ^= 1 << self._random.randrange(8)

    def _put(self, data: bytearray) -> None:
        if data:
            at = self._random.randrange(len(data))
            data[at] = self._random.choice(_BYTES)

    def _insert(self, data: bytearray) -> None:
        at = self._at(data)
        data[at:at] = self._random.choice(self._words)

    def _cut(self, data: bytearray) -> None:
        del data[self._piece(data)]

    def _truncate(self, data: bytearray) -> None:
        del data[self._at(data):]

    def _splice(self, data: bytearray) -> None:
        other = bytearray(self._random.choice(self._corpus))
        data[self._at(data):] = other[self._at(other):]

    def _double(self, data: bytearray) -> None:
        at, piece = self._at(data), data[self._piece(data)]
        data[at:at] = piece

    def _again(self, data: bytearray) -> None:
        piece = data[self._piece(data)]
        times = self._random.choice((3, 30, 300, self._repeat))
        at = self._at(data)
        data[at:at] = piece * min(times, self._repeat)

    def _swap(self, data: bytearray) -> None:
        one, two = self._piece(data), self._piece(data)
        data[one], data[two] = data[two], data[one]


@dataclasses.dataclass
class Count:
    """What came of a number of inputs."""

    what: str
    inputs: int = 0
    accepted: int = 0
    slowest_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"hostile fuzz, {self.what}: {self.inputs} inputs,"
            f" {self.accepted} accepted, 0 surprises, the slowest took"
            f" {self.slowest_s * 1000:.1f} ms"
        )


def fuzz(
    what: str, mutator: Mutator, check: Callable[[bytes], bool],
    inputs: int, long_inputs: int,
) -> Count:
    """
    Give *check* many inputs; it raises what is not to be.

    Args:
        check: whether the input was accepted.
        inputs: how many in the short form.
        long_inputs: how many in the long form.
    """
    count = Count(what)
    for _ in range(sized(inputs, long_inputs)):
        data = mutator.next()
        started = time.perf_counter()
        try:
            count.accepted += check(data)
        except BaseException as error:
            raise AssertionError(
                f"{what}: {type(error).__name__}: {error}: {data[:2000]!r}"
            ) from error
        took = time.perf_counter() - started
        count.slowest_s = max(count.slowest_s, took)
        count.inputs += 1
    assert count.accepted < count.inputs
    print(count)
    return count
