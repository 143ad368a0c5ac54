# SPDX-License-Identifier: MIT
"""
The way of plain jobs comes to the same as the general one.

Both handlers are the same function; what may expire never goes the plain
way.
"""

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from spooler import client, names
from support import Found, Spoold, SpoolDir, wait_until

from .sample_plain import WAYS

Start = Callable[..., Spoold]
PLAIN = """
[handler.plain]
python = "sample_plain:act"
attempts = 1
backoff = "1000h"
max_backoff = "1000h"
"""
FULL = PLAIN.replace("plain]", "full]") + 'expires = "1d"\n'
_TIMED = 'timeout = "2s"\nkill_after = "2s"\n'
_ID = names.mint_id(time.time_ns(), 7)


@pytest.fixture
def warm(
    spool: SpoolDir, spoold: Start, request: pytest.FixtureRequest
) -> SpoolDir:
    """Start a spoold whose one worker has loaded both handlers."""
    more = getattr(request, "param", "")
    spool.configure(f"{PLAIN}{more}{FULL}{more}")
    spoold("--workers", "1")
    for handler in "plain", "full":
        run(spool, handler, "nothing")
    return spool


def run(spool: SpoolDir, handler: str, *args: str) -> Found:
    """Submit one job and wait for its verdict."""
    with client.Client(str(spool.path), durable=False) as producer:
        return ended(spool, producer.submit(handler, *args), handler)


def ended(spool: SpoolDir, job_id: str, handler: str) -> Found:
    """Wait for the verdict of a job."""
    def look() -> Found | None:
        for found in spool.jobs("deferred", "done", "failed"):
            if found.name.id == job_id and found.name.verdict:
                if found.name.told_handler == handler:
                    return found
        return None

    found: Found = wait_until(look, what=spool.tree)
    return found


def told(found: Found) -> dict[str, Any]:
    """All that is left of a job, but for what two runs never share."""
    record: dict[str, Any] = {}
    if found.sidecar("result") is not None:
        record = dict(found.record)
        for key in ("id", "handler", "check"):
            del record[key]
        record["runs"] = [
            {key: run[key] for key in run
             if key not in ("started_ns", "seconds")}
            for run in record["runs"]
        ]
        if record.get("traceback"):
            record["traceback"] = record["traceback"].splitlines()[-1]
    text = re.sub(r"\b(plain|full)\b", "H", repr(record))
    text = re.sub(r"column \d+ \(char \d+\)", "after H", text)
    return {
        "state": found.state, "verdict": found.name.verdict,
        "runs": found.name.runs, "record": text,
        "out": found.sidecar("out"), "err": found.sidecar("err"),
    }


def test_the_ways_are_two(warm: SpoolDir) -> None:
    """A plain job of a loaded handler goes the plain way, and what may
    expire does not."""
    value = run(warm, "plain", "caller").record["value"]
    assert value.endswith("/pyrunner.py")
    value = run(warm, "full", "caller").record["value"]
    assert value.endswith("/handlers.py")


@pytest.mark.parametrize("members, is_plain", [
    ('"Arg": ["caller"]', True), ('"Kwargs": {"way": "caller"}', True),
    ('"Arg": "caller", "X-Of": "1"', False),
    ('"Arg": "caller", "Timeout": 9', False),
    ('"arg": "caller"', False),
])
def test_a_call_in_json_is_plain(
    warm: SpoolDir, members: str, is_plain: bool
) -> None:
    """A JSON document that asks for a call and nothing else goes the plain
    way; one that asks for more does not."""
    name = f"4.{_ID},plain.job"
    warm.drop(name, f'{{"Handler": "plain", {members}}}\n'.encode())
    value = ended(warm, _ID, "plain").record["value"]
    assert value.endswith("/pyrunner.py" if is_plain else "/handlers.py")


@pytest.mark.parametrize("warm, way", [
    pytest.param(more, way, id=f"{way}{' timed' if more else ''}")
    for more in ("", _TIMED) for way in (*WAYS, "args")
    if more or way != "sleep"
], indirect=["warm"])
def test_it_ends_the_same(warm: SpoolDir, way: str) -> None:
    """Whatever a function does, its job ends alike; and so does the one
    after it."""
    args = ("a b", "é", "") if way == "args" else ()
    seen = {}
    for handler in "plain", "full":
        first = run(warm, handler, way, *args)
        run(warm, handler, "linger")
        second = run(warm, handler, "look")
        seen[handler] = told(first), told(second)
    assert seen["plain"] == seen["full"]
    timed = _TIMED in (warm.path / "spool.toml").read_text()
    assert f"[23, False, {timed}]" in seen["plain"][1]["record"]


def whole(handler: str, *lines: str, body: bytes = b"") -> bytes:
    """Write a document with its digest."""
    rest = f"Handler: {handler}\n" + "".join(f"{line}\n" for line in lines)
    covered = f"{rest}Length: {len(body)}\n\n".encode() + body
    digest = hashlib.sha256(covered).hexdigest()
    return f"Digest: sha256:{digest}\n".encode() + covered


_GOOD = whole("HANDLER", "Arg: value", body=b"body")
DOCUMENTS = {
    "good": _GOOD,
    "altered": _GOOD.replace(b"value", b"print"),
    "cut": _GOOD[:-1],
    "longer": _GOOD + b"x",
    "of another": whole("other", "Arg: value"),
    "no digest": _GOOD.partition(b"\n")[2],
    "tagged": whole("HANDLER", "Arg: value", "Tag: t"),
    "tries": whole("HANDLER", "Arg: raise", "Attempts: 2"),
    "not UTF-8": whole("HANDLER").replace(b"Length", b"Arg: \xff\nLength"),
    "unknown": whole("HANDLER", "Nonsense: 1"),
    "empty": b"",
    "JSON": b'{"Handler": "HANDLER", "Arg": ["value"], "Kwargs": {}}',
    "JSON kwargs": b'{"Handler": "HANDLER", "Kwargs": {"way": "value"}}',
    "JSON value": b'{"Handler": "HANDLER", "Arg": "value"}',
    "JSON twice": b'{"Handler": "HANDLER", "Arg": "value", "Arg": "look"}',
    "JSON NUL": b'{"Handler": "HANDLER", "Arg": ["value\\u0000"]}',
    "JSON half": b'{"Handler": "HANDLER", "Arg": ["\\ud800"]}',
    "JSON deep": b'{"Handler": "HANDLER", "Arg": ' + b"[" * 99 + b"]" * 99
    + b"}",
    "JSON cut": b'{"Handler": "HANDLER", "Arg": ["value"',
    "JSON of another": b'{"Handler": "other", "Arg": ["value"]}',
    "JSON list": b'["HANDLER"]',
    "JSON kwargs list": b'{"Handler": "HANDLER", "Kwargs": ["way"]}',
    "JSON wrong": b'{"Handler": "HANDLER", "Kwargs": {"no": 1}}',
    "JSON raises": b'{"Handler": "HANDLER", "Arg": ["raise"]}',
    "JSON prints": b'{"Handler": "HANDLER", "Kwargs": {"way": "print"}}',
    "large": whole("HANDLER", "Arg: value", body=b"x" * 70_000),
}


def _digested(data: bytes, was: bytes) -> bytes:
    """Mend the digest of what was whole before its handler was named."""
    first, _, rest = was.partition(b"\n")
    if first != b"Digest: sha256:" + hashlib.sha256(rest).hexdigest().encode():
        return data
    covered = data.partition(b"\n")[2]
    digest = hashlib.sha256(covered).hexdigest().encode()
    return b"Digest: sha256:" + digest + b"\n" + covered


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_it_judges_the_same(warm: SpoolDir, kind: str) -> None:
    """A document that is refused is refused alike, one that runs is run
    with the same arguments."""
    seen = []
    for handler in "plain", "full":
        data = DOCUMENTS[kind].replace(b"HANDLER", handler.encode())
        name = f"4.{_ID},{handler}.job"
        warm.drop(name, _digested(data, DOCUMENTS[kind]))
        found = ended(warm, _ID, handler)
        seen.append(told(found))
        for path in found.path.parent.glob(f"4.{_ID}*"):
            path.unlink()
    text = seen[1]["record"]
    assert seen[0] == seen[1]
    runs = kind in (
        "good", "no digest", "tagged", "JSON", "JSON kwargs", "JSON value",
        "JSON wrong", "JSON raises", "JSON prints", "large", "tries",
    )
    assert ("'kind': 'bad'" not in text) is runs, text
