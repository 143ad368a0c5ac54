# SPDX-License-Identifier: MIT
"""``python upload.py SEED COUNT BOOK``: submit texts; prints the truth."""

import random
import sys

from spooler import submit_many

from cruncher.work import crunch

NOISE = ("mail", "me", "@", "a@b", "@example.org", "x@", "1.5", "dot.", "e-g",
         "x @ y.org", "a@b.", "so@called", "...", "@@", "\n")


def text(dice: random.Random) -> tuple[str, int]:
    """A text, and how many addresses are in it."""
    words = dice.choices(NOISE, k=dice.randrange(300))
    addresses = dice.randrange(20)
    for number in range(addresses):
        host = dice.choice(("example.org", "a.b-c.example", "x.y"))
        words.insert(
            dice.randrange(len(words) + 1), f"j.d+{number}_x@{host}"
        )
    return " ".join(words), addresses


def main() -> None:
    """Submit half of them one by one, and the others in one batch."""
    seed, count, book = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    dice = random.Random(seed)
    truth, calls = 0, []
    for number in range(count):
        words, addresses = text(dice)
        truth += addresses
        way = dice.choice(("fast", "slow"))
        call = crunch.call(words, way, book)
        if number % 2:
            call.submit()
        else:
            calls.append(call)
    submit_many(calls)
    print(truth)


if __name__ == "__main__":
    main()
