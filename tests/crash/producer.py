# SPDX-License-Identifier: MIT
"""
A producer that says what was confirmed to it.

    python producer.py SPOOL ACKS durable|relaxed SEED COUNT

It submits COUNT times, or for ever if that is 0, in all the ways a client
can.  When a submit returned, and not before, it writes the id to ACKS, a
line each.
"""

import hashlib
import os
import random
import sys
import tempfile

from spooler.client import Client
from spooler.errors import SpoolError

HANDLERS = ("plain", "value", "copy", "flaky")
ARGS = {"flaky": ("2",), "value": ("x", "y")}
#: Empty, within one block, over one, and more than the daemon keeps in
#: memory.
SIZES = (0, 0, 10, 3000, 9000, 70000)
SUM_CHARS = 64


def payload(data: bytes) -> bytes:
    """A payload that tells whether it is whole: its sum, then the data."""
    return hashlib.sha256(data).hexdigest().encode() + data


def is_whole_payload(data: bytes) -> bool:
    """Whether *data* is what payload made."""
    return payload(data[SUM_CHARS:]) == data


def main(spool: str, acks: str, how: str, seed: str, count: str) -> None:
    """Submit until told to stop, killed, or the spool is gone."""
    dice = random.Random(seed)
    fd = os.open(acks, os.O_WRONLY | os.O_APPEND)

    def confirmed(ids: list[str]) -> None:
        os.write(fd, "".join(f"{job_id}\n" for job_id in ids).encode())

    client = Client(spool, durable=how == "durable")
    number = 0
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "payload.bin")
        while not int(count) or number < int(count):
            number += 1
            handler = dice.choice(HANDLERS)
            args = ARGS.get(handler, ())
            body = dice.randbytes(dice.choice(SIZES))
            way = dice.random()
            try:
                if way < 0.1:
                    confirmed(client.submit_many(
                        (handler, args, body[:100]) for _ in range(4)
                    ))
                elif way < 0.2:
                    with open(path, "wb") as stream:
                        stream.write(payload(body))
                    confirmed([client.submit_file(path)])
                else:
                    confirmed([client.submit(handler, *args, body=body)])
            except (SpoolError, OSError) as error:
                # Refused or unknown: nothing was promised.
                print(f"producer: {error}", file=sys.stderr)
                sys.exit(3)


if __name__ == "__main__":
    main(*sys.argv[1:])
