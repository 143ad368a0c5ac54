# SPDX-License-Identifier: MIT
"""Of many producers that submit the same, one does."""

import collections
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import Spoold, SpoolDir, environment, wait_until

PRODUCERS = 8
KEYS = 1000

#: Submits a job for each key, in an order of its own; prints what it got.
PRODUCER = """
import json, random, sys
from spooler.client import Client
path, unique, count, seed = sys.argv[1:]
unique = float(unique) if unique[0].isdigit() else unique
keys = list(range(int(count)))
random.Random(int(seed)).shuffle(keys)
client = Client(path, durable=False)
print("ready", flush=True)
sys.stdin.readline()  # for all at once
for key in keys:
    got = client.submit_unique("note", str(key), key=str(key), unique=unique)
    print(json.dumps([key, *got]), flush=True)
"""

NOTE = '[handler.note]\npython = "sample_handlers:echo"\n'


def race(
    spool: SpoolDir, unique: str, keys: int = KEYS
) -> list["subprocess.Popen[str]"]:
    """Start producers that all begin at the same moment."""
    producers = [
        subprocess.Popen(
            [sys.executable, "-c", PRODUCER, str(spool.path), unique,
             str(keys), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(None),
        )
        for seed in range(PRODUCERS)
    ]
    for producer in producers:
        assert producer.stdout is not None
        assert producer.stdout.readline() == "ready\n"
    for producer in producers:
        assert producer.stdin is not None
        producer.stdin.close()
    return producers


def answers(producer: "subprocess.Popen[str]") -> list[Any]:
    """What a producer printed: key, id, and whether it was there before."""
    assert producer.stdout is not None
    lines = producer.stdout.read().splitlines()
    producer.stdout.close()
    return [json.loads(line) for line in lines if line.endswith("]")]


def drained(spool: SpoolDir, spoold: Callable[..., Spoold]) -> dict[str, int]:
    """Run everything; how many jobs there were for each key."""
    assert spoold("--drain", wait=False).wait(60) == 0
    assert not list(spool.jobs("incoming", "active", "deferred", "failed"))
    return collections.Counter(
        job.record["value"]["args"][0]
        for job in spool.jobs("done")
    )


# While spoold runs, a job of the other modes leaves its key at once.
@pytest.mark.parametrize(("unique", "serving"), [
    ("waiting", False), ("done", False), ("3600", False), ("3600", True),
])
def test_one_producer_wins_each_key(
    spool: SpoolDir, spoold: Callable[..., Spoold], unique: str,
    serving: bool,
) -> None:
    """Eight producers race for each of many keys: each key runs once."""
    spool.configure(NOTE)
    daemon = spoold() if serving else None
    got: dict[int, collections.Counter[str]] = {}
    fresh = 0
    producers = race(spool, unique)
    for producer in producers:
        found = answers(producer)
        assert producer.wait(60) == 0 and len(found) == KEYS
        shares = 0
        for key, job_id, existing in found:
            got.setdefault(key, collections.Counter())[job_id] += 1
            shares += not existing
        fresh += shares
    assert fresh == KEYS
    # All were told of the same job.
    assert {len(ids) for ids in got.values()} == {1}
    assert {sum(ids.values()) for ids in got.values()} == {PRODUCERS}
    assert spool.listed("tmp") == []
    if daemon is not None:
        wait_until(lambda: len(list(spool.jobs("done"))) >= KEYS)
        daemon.stop()
    ran = drained(spool, spoold)
    assert ran == {str(key): 1 for key in range(KEYS)}
    held = len(spool.listed("keys"))
    assert held == (KEYS if unique == "3600" else 0)
    print(f"keys: {PRODUCERS} producers x {KEYS} keys: {fresh} won")


def test_killed_producers_lose_and_block_nothing(
    spool: SpoolDir, spoold: Callable[..., Spoold]
) -> None:
    """Producers killed at any moment: what they were told runs, once."""
    spool.configure(NOTE)
    told: dict[int, str] = {}
    for number in range(4):
        producers = race(spool, "waiting")
        for delay, producer in enumerate(producers):
            time.sleep(0.002 * delay)  # struck in the middle of the work
            producer.send_signal(signal.SIGKILL)
        for producer in producers:
            for key, job_id, _ in answers(producer):
                assert told.setdefault(key, job_id) == job_id
            producer.wait(60)
    for producer in race(spool, "waiting"):
        for key, job_id, _ in answers(producer):
            assert told.setdefault(key, job_id) == job_id
        assert producer.wait(60) == 0
    assert drained(spool, spoold) == {str(key): 1 for key in range(KEYS)}
    assert {job.name.id for job in spool.jobs("done")} == set(told.values())
    assert spool.listed("keys") == []
