# SPDX-License-Identifier: MIT
"""
A producer that tells what it tries and what was confirmed to it.

    python -m soak.producer SPOOL LEDGER SEED durable|relaxed|batch|mv

Each job carries a token of its own.  The ledger says ``try TOKEN`` before,
and ``got TOKEN ID`` after, with ``-`` for what is not known.
"""

import os
import random
import subprocess
import sys
import time

from soak.kinds import KINDS

from spooler.client import Client

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
SPOOLCTL = os.path.join(ROOT, "bin", "spoolctl")
_PAUSE_S = 0.12  #: on average, between two submissions
_WAITING_MAX = 150  #: files in incoming/ that hold a producer up
_BATCH = 6


class Producer:
    """Submits in one way, in all its variants."""

    def __init__(self, spool: str, ledger: str, seed: str, way: str) -> None:
        self.spool = spool
        self.seed = seed
        self.way = way
        self.number = 0
        self.dice = random.Random(seed)
        self._ledger = os.open(
            ledger, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600
        )
        self._names = [name for name, kind in KINDS.items() if kind.share]
        self._shares = [KINDS[name].share for name in self._names]

    def tell(self, *words: str) -> None:
        """Write one line of the ledger."""
        os.write(self._ledger, f"{' '.join(words)}\n".encode())

    def token(self) -> str:
        """A new token, told."""
        self.number += 1
        token = f"{self.seed}-{self.number}"
        self.tell("try", token)
        return token

    def handler(self) -> str:
        """Choose one."""
        return self.dice.choices(self._names, self._shares)[0]

    def run(self) -> None:
        """Submit until killed."""
        once = {
            "batch": self.batch, "mv": self.move,
            "durable": self.submit, "relaxed": self.submit,
        }[self.way]
        incoming = os.path.join(self.spool, "incoming")
        with Client(self.spool, durable=self.way == "durable") as client:
            while True:
                once(client)
                pauses = _BATCH if self.way == "batch" else 1
                time.sleep(self.dice.random() * 2 * _PAUSE_S * pauses)
                while len(os.listdir(incoming)) > _WAITING_MAX:
                    time.sleep(0.1)

    def submit(self, client: Client) -> None:
        """Use the client, in one of its ways."""
        way = self.dice.random()
        if way < 0.1:
            tokens = [self.token() for _ in range(3)]
            ids = client.submit_many(
                (self.handler(), (token,), token.encode())
                for token in tokens
            )
            for token, job_id in zip(tokens, ids):
                self.tell("got", token, job_id)
            return
        token = self.token()
        if way < 0.2:
            path = f"{self.spool}.{token}{self._suffix()}"
            with open(path, "w", encoding="ascii") as stream:
                stream.write(token)
            job_id = client.submit_file(path)
            os.unlink(path)
        elif way < 0.3:
            # As after an answer that got lost: the same id once more.
            job_id = client.mint()
            handler = self.handler()
            for _ in range(2):
                client.submit(
                    handler, token, body=token.encode(), job_id=job_id
                )
        else:
            due_ns = None
            if way > 0.9:
                wait_s = self.dice.random() * 2
                due_ns = time.time_ns() + int(wait_s * 1e9)
            job_id = client.submit(
                self.handler(), token, body=token.encode(), due_ns=due_ns,
                priority=self.dice.randrange(10),
            )
        self.tell("got", token, job_id)

    def _suffix(self) -> str:
        return self.dice.choice((".dat", ".txt"))

    def batch(self, client: Client) -> None:
        """Let spoolctl submit several."""
        tokens = [self.token() for _ in range(_BATCH)]
        lines = [f"{self.handler()} {token}\n" for token in tokens]
        done = subprocess.run(
            [sys.executable, SPOOLCTL, "-C", self.spool, "submit", "--batch"],
            input="".join(lines), stdout=subprocess.PIPE, text=True,
        )
        if done.returncode == 0:
            for token, job_id in zip(tokens, done.stdout.split()):
                self.tell("got", token, job_id)

    def move(self, client: Client) -> None:
        """Let a shell drop a file."""
        token = self.token()
        if self.dice.random() < 0.5:
            name, data = f"{token}{self._suffix()}", token
        else:
            name = f"{token}.job"
            data = f"Handler: {self.handler()}\nArg: {token}\n\n{token}"
        subprocess.run(
            ["sh", "-c", 'printf %s "$2" >"tmp/$1" && mv "tmp/$1" incoming/',
             "sh", name, data],
            cwd=self.spool, check=True,
        )
        self.tell("got", token, "-")


if __name__ == "__main__":
    Producer(*sys.argv[1:]).run()
