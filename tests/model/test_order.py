# SPDX-License-Identifier: MIT
"""The order of starts, over generated histories, against a model."""

import logging
import pathlib
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from model.shop import Shop
from support import sized
from spooler import layout
from spooler.config import Handler
from spooler.pause import EVERY

EXAMPLES = sized(300, 100_000)  # a history is 40 ms

#: What happens, in order.  One kind may stand several times: it is likelier.
KINDS = (
    "submit", "submit", "burst", "lost", "drop", "drop lost", "later",
    "again", "turn", "turn", "turn", "take", "take", "work", "work", "work",
    "finish", "back", "remove", "release", "pause", "resume", "resume",
    "rescan", "clock", "share",
)


@st.composite
def handlers(draw: st.DrawFn) -> list[Handler]:
    """One to four handlers of either kind, limited or not."""
    out = []
    for number in range(draw(st.integers(1, 4))):
        python = draw(st.booleans())
        out.append(Handler(
            f"h{number}", python="m:f" if python else None,
            command=() if python else ("true",), match=(f"*.h{number}",),
            concurrency=draw(st.sampled_from((None, None, 1, 2, 5))),
            breaker=draw(st.sampled_from((0, 0, 3))),
        ))
    return out


def step(shop: Shop, kind: str, number: int) -> None:
    """Let one thing happen."""
    dice = shop.dice = random.Random(number)
    handler = dice.choice(list(shop.handlers))
    hand = dice.choice(shop.hands)
    if kind in ("submit", "lost", "later", "burst"):
        for _ in range(dice.randint(2, 20) if kind == "burst" else 1):
            shop.mint(
                dice.choice(list(shop.handlers)), dice.choice((0, 5, 5, 9)),
                due_s=dice.choice((0.2, 2)) if kind == "later" else None,
                told=kind != "lost",
            )
    elif kind == "again":
        for _ in range(dice.randint(1, 5)):
            shop.mint(handler, dice.choice((0, 5, 5, 9)), runs=1)
    elif kind.startswith("drop"):
        shop.drop(handler, number, kind == "drop")
    elif kind == "turn":
        shop.turn()
    elif kind == "work":
        for hand in shop.hands:
            shop.take(hand)
            if dice.random() < 0.8:
                shop.finish(hand, dice.getrandbits(16))
    elif kind == "take":
        shop.take(hand)
    elif kind == "finish":
        shop.finish(hand, number)
    elif kind == "back":
        shop.give_back(hand)
    elif kind == "remove":
        shop.remove(number)
    elif kind == "release":
        shop.release()
    elif kind == "pause":
        shop.paused.add(dice.choice((handler, handler, EVERY)))
    elif kind == "resume":
        shop.paused.clear()
    elif kind == "rescan":
        shop.arrivals.request_scan()
    elif kind == "clock":
        shop.clock.pass_by(dice.choice((0.01, 0.3, 6.0)))
    else:
        shop.share()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A spool for one history after the other."""
    path = tmp_path_factory.mktemp("order") / "spool"
    layout.create(str(path))
    logging.disable(logging.CRITICAL)
    yield path
    logging.disable(logging.NOTSET)


def test_starts_are_in_order(root: pathlib.Path) -> None:
    """Whatever arrives, runs, is put off or pauses: of those that may start
    the first by priority and submission does, retries and fresh jobs take
    turns, nobody is blocked, and all that waits starts in the end."""
    tally = dict.fromkeys(
        ("histories", "hints", "starts", "topped", "turns", "beyond"), 0
    )

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        phases=(Phase.generate,),  # to shrink one takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(
        handlers(), st.integers(1, 16), st.sampled_from((2, 5, 40)),
        st.integers(0, 60), st.integers(0, 2**32),
        st.lists(
            st.tuples(st.sampled_from(KINDS), st.integers(0, 2**16)),
            min_size=10, max_size=60,
        ),
    )
    def lives(
        known: list[Handler], workers: int, window: int, backlog: int,
        dice: int, todo: list[tuple[str, int]],
    ) -> None:
        shop = Shop(str(root), known, workers, window)
        with shop.open():
            shop.dice = random.Random(dice)
            for _ in range(backlog):
                shop.mint(
                    shop.dice.choice(list(shop.handlers)),
                    shop.dice.choice((0, 5, 5, 9)), told=False,
                    runs=shop.dice.choice((0, 0, 1)),
                )
            while not shop.arrivals.complete:
                shop.arrivals.work()
            shop.turn()
            for kind, number in todo:
                step(shop, kind, number)
            shop.drain()
        tally["histories"] += 1
        tally["hints"] += shop.order.judged
        tally["starts"] += shop.started
        tally["topped"] += shop.order.topped
        tally["turns"] += shop.order.turns
        tally["beyond"] += any(
            any(queue.beyond.values())
            for queue in shop.order.queues.values()
        )

    lives()
    print(
        f"order: {tally['histories']} histories, {tally['hints']} hints,"
        f" {tally['starts']} starts, {tally['topped']} to workers at work,"
        f" {tally['turns']} in turn, {tally['beyond']} beyond memory, 0 wrong"
    )
    assert min(tally.values()) > 0, tally


def test_short_jobs_let_an_urgent_one_in(root: pathlib.Path) -> None:
    """A worker is kept at work with one handler's jobs only as long as no
    earlier job of another one waits for a slot."""
    known = [Handler(name, python="m:f") for name in ("long", "urgent")]
    shop = Shop(str(root), known, workers=1, window=500)
    with shop.open():
        for _ in range(400):
            shop.mint("long", 5, told=False)
        while not shop.arrivals.complete:
            shop.arrivals.work()
        hand = shop.hands[0]
        shop.dispatcher.learn("long", 50)
        shop.turn()
        shop.mint("urgent", 9)
        for _ in range(200):
            shop.take(hand)
            shop.finish(hand, 0)
            shop.turn()
            if "urgent" in hand.outstanding.values():
                break
        assert "urgent" in hand.outstanding.values()
        shop.drain()
