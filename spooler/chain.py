# SPDX-License-Identifier: MIT
"""
What a command runner was given: chains of jobs, each run one after another.

A chain takes one slot, however long it is: short commands follow each other
without a word from the daemon in between.
"""

import dataclasses


@dataclasses.dataclass(eq=False)
class Chain:
    """
    Jobs of one handler that take turns in one slot.

    Attributes:
        left: jobs that were given and not answered.
        stuck: the one that runs takes long: nothing more is to wait for it.
    """

    number: int
    handler: str
    left: int = 0
    stuck: bool = False


class Chains:
    """
    The chains of one runner by the daemon's books.

    Attributes:
        slots: how many there are, by handler.
    """

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self._all: dict[int, Chain] = {}
        self._of: dict[str, Chain] = {}
        self._made = 0

    def __len__(self) -> int:
        return len(self._all)

    def begin(self, handler: str) -> Chain:
        """A new one; it counts once it is given a job."""
        self._made += 1
        return Chain(self._made, handler)

    def give(self, chain: Chain, hints: list[str]) -> None:
        """Jobs were put at the end of a chain."""
        if not chain.left:
            self._all[chain.number] = chain
            self.slots[chain.handler] = self.slots.get(chain.handler, 0) + 1
        chain.left += len(hints)
        for hint in hints:
            self._of[hint] = chain

    def answered(self, hint: str) -> None:
        """A job of a chain ended, or was not begun."""
        chain = self._of.pop(hint, None)
        if chain is None:
            return
        chain.left -= 1
        if not chain.left:
            del self._all[chain.number]
            self.slots[chain.handler] -= 1

    def is_stuck(self, hint: str) -> None:
        """The jobs behind one that runs were sent back, *hint* of them."""
        if hint in self._of:
            self._of[hint].stuck = True

    def short(self, handler: str, left: int) -> Chain | None:
        """One of *handler* that has at most so many left and is not stuck."""
        if not self.slots.get(handler):
            return None
        return next((
            chain for chain in self._all.values()
            if chain.handler == handler and chain.left <= left
            and not chain.stuck
        ), None)

    @property
    def busy(self) -> bool:
        """Whether a runner has something to go on with by itself."""
        return any(chain.left > 1 for chain in self._all.values())
