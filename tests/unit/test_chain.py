# SPDX-License-Identifier: MIT
"""Chains of jobs: one slot each, however long."""

from spooler.chain import Chains


def test_a_chain_takes_one_slot() -> None:
    """A chain takes the slot of its handler from its first job to the end
    of its last, and is found as long as it is short."""
    chains = Chains()
    one, two = chains.begin("thumb"), chains.begin("thumb")
    assert not chains.slots.get("thumb") and not len(chains)
    chains.give(one, ["a", "b", "c"])
    assert chains.slots == {"thumb": 1} and chains.busy
    chains.give(two, ["d"])
    assert chains.slots == {"thumb": 2} and len(chains) == 2
    assert chains.short("thumb", 1) is two
    assert chains.short("other", 9) is None
    chains.give(two, ["e", "f", "g"])
    assert chains.short("thumb", 2) is None
    for hint in "abc":
        chains.answered(hint)
    assert chains.slots == {"thumb": 1} and len(chains) == 1
    for hint in "gfed":
        chains.answered(hint)
        chains.answered(hint)
    assert chains.slots == {"thumb": 0} and not len(chains)
    assert not chains.busy


def test_behind_a_long_job_nothing_waits() -> None:
    """A chain whose jobs were sent back gets no more of them."""
    chains = Chains()
    chain = chains.begin("thumb")
    chains.give(chain, ["a", "b"])
    chains.is_stuck("b")
    chains.answered("b")
    assert chains.short("thumb", 9) is None
    assert chains.slots == {"thumb": 1} and not chains.busy
