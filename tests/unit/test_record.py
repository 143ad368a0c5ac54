# SPDX-License-Identifier: MIT
"""The record of a job's runs."""

import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooler import record
from spooler.record import Record, Run

RUNS = (
    Run(1, 1_795_316_400_000_000_000, 0.25, "exit", 3, "exit 3: no such host"),
    Run(2, 1_795_316_500_000_000_000, 1.5, "defer", None, "later", False,
        {"utime": 0.1, "stime": 0.2, "maxrss": 4096.0}),
)
FULL = Record(
    id="1hqn0000000000000001", handler="mail", max_attempts=3, runs=RUNS,
    value={"sent": [1, 2.5, None, True, "ü\n"]}, traceback="Traceback ...",
    out_bytes=17, err_bytes=0, tags=("a", "b"),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def resealed(fields: dict[str, Any]) -> bytes:
    """Make a record of any fields with a true checksum."""
    covered = json.dumps(fields, separators=(",", ":")).encode()[:-1]
    return (
        covered + b',"check":"' + record._checksum(covered) + b'"}\n'
    )


def test_round_trip() -> None:
    """A whole record is read back as it was written."""
    assert record.decode(record.encode(FULL)) == FULL
    bare = Record("1hqn0000000000000001")
    assert record.decode(record.encode(bare)) == bare


@given(json_values)
def test_any_json_value_is_kept(value: Any) -> None:
    """Whatever JSON a handler returned is read back equal."""
    read = record.decode(record.encode(Record("x", value=value)))
    assert read is not None and read.value == value


@given(st.text(), st.text(st.characters(), max_size=5))
def test_any_text_is_kept(text: str, tag: str) -> None:
    """Reasons and tags of any characters are read back."""
    run = Run(1, 0, 0.0, "error", text=text)
    full = Record("x", runs=(run,), traceback=text, tags=(tag,))
    assert record.decode(record.encode(full)) == full


def test_jq_reads_it() -> None:
    """A record is one line of plain JSON."""
    data = record.encode(FULL)
    assert data.isascii() and data.count(b"\n") == 1 and data.endswith(b"\n")
    fields = json.loads(data)
    assert fields["v"] == record.VERSION
    assert fields["runs"][0]["text"] == "exit 3: no such host"


def test_torn_at_every_byte() -> None:
    """A record cut short anywhere is no record."""
    data = record.encode(FULL)
    for size in range(len(data)):
        assert record.decode(data[:size]) is None, size


def test_altered_in_every_bit() -> None:
    """A record with one flipped bit is no record."""
    data = record.encode(FULL)
    for at in range(len(data)):
        for bit in range(8):
            altered = bytearray(data)
            altered[at] ^= 1 << bit
            assert record.decode(bytes(altered)) is None, (at, bit)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 500, b"x", b"{}", b"{}\n", b"null\n",
     record.encode(FULL) * 2, record.encode(FULL) + b"\n",
     b" " + record.encode(FULL)],
    ids=lambda data: repr(data[:6]),
)
def test_other_bytes(data: bytes) -> None:
    """Zeros, other JSON or two records in a row are no record."""
    assert record.decode(data) is None


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"v": None}, {"v": "1"}, {"runs": None}, {"runs": [1]},
     {"runs": [{"run": 1}]}, {"surprise": 1}, {"tags": 5}],
    ids=str,
)
def test_other_versions(change: dict[str, Any]) -> None:
    """A whole record of a form we do not know is not guessed at."""
    fields = {"v": record.VERSION, **dataclasses.asdict(FULL)}
    assert record.decode(resealed(fields)) == FULL
    assert record.decode(resealed({**fields, **change})) is None


def test_a_record_that_is_no_object() -> None:
    """A true checksum over something that is no object is no record."""
    covered = b"[1"
    data = covered + b',"check":"' + record._checksum(covered) + b'"}\n'
    assert record.decode(data) is None


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1}, b"x", object(), [{1: {2}}]],
    ids=["NaN", "inf", "set", "bytes", "object", "inner set"],
)
def test_what_is_not_json_is_refused(value: Any) -> None:
    """A value that JSON has no word for is refused, not garbled."""
    with pytest.raises((ValueError, TypeError)):
        record.encode(Record("x", value=value))


@pytest.mark.parametrize("depth", [100, 600, 900, 100_000])
def test_a_deep_value_is_kept_or_refused(depth: int) -> None:
    """A nested value is read back, or refused by ValueError."""
    # In a process of its own: how deep one may go depends on the caller.
    script = (
        "from spooler import record\n"
        "value = []\n"
        f"for _ in range({depth}): value = [value]\n"
        "try:\n"
        "    data = record.encode(record.Record('x', value=value))\n"
        "except ValueError as error:\n"
        "    assert 'deep' in str(error), error\n"
        "else:\n"
        "    assert record.decode(data).value is not None\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-500:]


def test_a_run_is_frozen() -> None:
    """What was recorded is not changed in place."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        RUNS[0].kind = "ok"  # type: ignore[misc]
