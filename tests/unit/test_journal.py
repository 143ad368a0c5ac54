# SPDX-License-Identifier: MIT
"""The journal's protocol."""

import io
import logging
import os
import pathlib
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooler import journal, labels, names
from spooler.states import State

NAME = str(names.Name(5, names.mint_id(10**18, 7), "mail.job"))


def decode(data: bytes) -> list[tuple[str, str]]:
    """Read an entry as the journal does."""
    out = []
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8:8 + size], rest[8 + size:]
            assert rest[:1] == b"\n"
            rest = rest[1:]
        out.append((name.decode(), value.decode()))
        data = rest
    return out


@given(st.dictionaries(
    st.sampled_from(["MESSAGE", "SPOOL_HANDLER", "SPOOL_STATE"]),
    st.text(st.characters(exclude_categories=["Cs"])),
))
def test_what_is_written_is_what_is_read(fields: dict[str, str]) -> None:
    """Whatever a value holds, the entry has these fields and no others."""
    assert decode(journal.encode(fields)) == list(fields.items())


def test_a_newline_forges_no_field() -> None:
    """A value that looks like further fields stays one value."""
    forged = "x\nPRIORITY=0\nSPOOL_JOB_ID=other"
    entry = decode(journal.encode({"MESSAGE": forged, "PRIORITY": "6"}))
    assert entry == [("MESSAGE", forged), ("PRIORITY", "6")]


def test_bytes_that_are_no_text_can_be_written() -> None:
    """Surrogates, as of a dropped name, come out escaped."""
    assert journal.encode({"A": "\udcff"}) == b"A=\\udcff\n"


@pytest.fixture
def listener(tmp_path: pathlib.Path) -> Iterator[socket.socket]:
    """Listen where the journal would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.settimeout(10)
        yield sock


def record(level: int, text: str, **extra: str) -> logging.LogRecord:
    """Make a log record as a logger does."""
    return logging.getLogger("x").makeRecord(
        "x", level, "", 0, text, (), None, extra=dict(extra)
    )


@pytest.mark.parametrize(("level", "priority"), [
    (logging.DEBUG, "7"), (logging.INFO, "6"), (logging.WARNING, "4"),
    (logging.ERROR, "3"), (logging.CRITICAL, "3"),
])
def test_a_line_about_a_job_has_its_fields(
    listener: socket.socket, level: int, priority: str
) -> None:
    """Id, handler, state, and the priority of its level."""
    handler = journal.JournalHandler(
        logging.NullHandler(), listener.getsockname()
    )
    handler.handle(record(
        level, "x\ny", **labels.about(NAME, State.FAILED)
    ))
    handler.close()
    assert dict(decode(listener.recv(1 << 16))) == {
        "MESSAGE": "x\\ny", "PRIORITY": priority,
        "SYSLOG_IDENTIFIER": "spoold",
        "SPOOL_JOB_ID": NAME[2:names.STEM_CHARS],
        "SPOOL_HANDLER": "mail", "SPOOL_STATE": "failed",
    }


def test_without_a_journal_lines_go_elsewhere(
    tmp_path: pathlib.Path
) -> None:
    """A socket that is gone costs no line."""
    out = io.StringIO()
    handler = journal.JournalHandler(
        logging.StreamHandler(out), str(tmp_path / "gone")
    )
    handler.handle(record(logging.INFO, "told"))
    handler.close()
    assert out.getvalue() == "told\n"


def test_the_journal_is_known_by_its_stream(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the very file that systemd named is the journal."""
    with open(tmp_path / "a", "w") as a, open(tmp_path / "b", "w") as b:
        status = os.fstat(a.fileno())
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
        assert not journal.is_journal(a.fileno())
        monkeypatch.setenv(
            "JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}"
        )
        assert journal.is_journal(a.fileno())
        assert not journal.is_journal(b.fileno())


def test_the_handler_of_a_payload_is_told() -> None:
    """Where the name does not tell it, whoever knows it does."""
    name = str(names.Name(5, names.mint_id(10**18, 7), "a\n.jpg"))
    assert "spool_handler" not in labels.about(name, State.DONE)
    assert labels.about(name, State.DONE, "thumb")["spool_handler"] == "thumb"
    assert labels.about("no job", State.HELD) == {"spool_state": "held"}
