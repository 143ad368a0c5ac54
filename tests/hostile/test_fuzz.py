# SPDX-License-Identifier: MIT
"""Whatever the bytes: the exceptions that are documented, and no others."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import selectors
import socket
import tempfile
from collections.abc import Callable, Iterator

import pytest
from hostile.fuzz import Mutator, fuzz

from spooler import (
    config,
    control,
    fsops,
    jobload,
    jobread,
    jobwrite,
    names,
    record,
    template,
    wire,
)
from spooler.errors import BadJob, ConfigError
from spooler.text import inert

ID = "1hqij41n1bqt42uq3gn5"
CLAIM = "abcde00" + "0" * names.TOKEN_CHARS
NAMES = [
    f"4.{ID},upload.job",
    f"0.{ID}.hshow.a1.c{CLAIM},l.job",
    f"4.{ID}.a1.d1j0r7i08rfn.vexit1,a.py",
    f"9.{ID}.h.a999.d{'v' * 11}.c{CLAIM}.vsig9.r0.z000.s,\u00e9,x",
    f"4.{ID}.result", f"4.{ID}.zabc.out", "photo.jpg", ".hidden", "x.job~",
    "x" * 200, "x" * 156 + ".job",
]
FIELDS = [b".a1", b".h", b".hshow", b".d" + b"0" * 11, b".vok", b".r1",
          b".zabc", b".s", b",", b".job", b".result", b".c", b"0", b"4."]
DOCUMENTS = [
    jobwrite.encode("mail", ("ann@example.org", "")),
    jobwrite.encode("mail", ("x",), b"body\n\nmore", (
        ("Priority", "7"), ("Tag", "a"), ("Tag", "b"), ("X-Foo-Bar", "1"),
        ("Timeout", "1h30m"), ("Attempts", "99"), ("Key", "k"),
        ("Not-Before", "2026-11-22T03:00:00Z"), ("Traceparent", "00-0-0-00"),
    )),
    b"Handler: mail\r\nArg: a\r\nNot-Before: @1795316400\r\n\r\nbody",
    b"handler:x\nlength: 3\n\nabc",
]
WORDS = [b"\n", b"\n\n", b"\r\n", b": ", b"Handler: a\n", b"Digest: ",
         b"Length: ", b"Arg:", b"Tag:", b"X-A: b\n", b"Priority: 1\n",
         b"@1e308", b"nan", b"-1", b"9" * 20, b"\0", b"sha256:"]
JSON = [
    b'{"Handler": "mail", "Arg": ["a", 1, null, {"b": [1.5e3, "\\u00e9"]}],'
    b' "Kwargs": {"k": []}, "Body-Base64": "AAAA", "Length": 3}',
    b'{"Handler": "mail", "Tag": ["a"], "Body": "\\ud83d\\ude00",'
    b' "Priority": 1, "Timeout": "1d", "X-A": "1", "Not-Before": "@1"}',
    jobwrite.encode("mail", ("a\nb",), b"\0", (("Tag", "t"),)),
]
JSON_WORDS = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\u", b"\\ud800",
              b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 5000, b"null",
              b"true", b'"Handler": "a",', b'"Arg": ', b"\\u0000"]
CONFIG = [template.TEMPLATE.encode(),
          template.TEMPLATE.replace("#", "").encode(),
          b'format = 1\nworkers = 2\ndefault = "a"\nrescan = 0.5\n'
          b'[handler.a]\npython = "m:f"\nmatch = ["*"]\nattempts = 9\n'
          b'[handler.b]\ncommand = ["x", "{id}"]\nenv = { A = "b" }\n'
          b'timeout = "1h"\noutput_limit = "1GiB"\n']
CONFIG_WORDS = [b"[handler.a]\n", b"=", b'"""', b"'''", b"[[", b"]]", b"{",
                b"1979-05-27T07:32:00Z", b"inf", b"nan", b"0x", b"1_0",
                b"1e999", b"true", b"\\u0000", b"\\UFFFFFFFF", b".", b"#"]


def _name(data: bytes) -> str:
    """A name as a directory could hold it."""
    return os.fsdecode(data.replace(b"/", b"").replace(b"\0", b"")[:255])


def _same(one: names.Name, two: names.Name) -> bool:
    return all(
        getattr(one, slot) == getattr(two, slot) for slot in one.__slots__
    )


def _check_name(data: bytes) -> bool:
    name = _name(data)
    parsed = names.parse(name)
    why = names.why_illegal(name)
    told = names.plain_handler(name)
    split = names.stem_of(name)
    shown = inert(name)
    assert shown.isprintable()
    shown.encode()
    if split is not None:
        assert ".".join(split) == name and why is not None and parsed is None
    if told is not None:
        assert parsed is not None and parsed.told_handler == told
        assert str(parsed) == name
    if parsed is None:
        return False
    again = names.parse(str(parsed))
    assert again is not None and _same(parsed, again)
    assert names.stem_of(f"{parsed.stem}.result") == (parsed.stem, "result")
    assert _same(parsed.waiting(1), names.parse(str(parsed.waiting(1))))
    names.submitted_ns(parsed.id)
    return True


def test_names() -> None:
    """Any bytes are a name of the grammar, or a dropped one, and shown."""
    seeds = [name.encode() for name in NAMES]
    mutator = Mutator(1, seeds, FIELDS, repeat=300)
    fuzz("names", mutator, _check_name, 20_000, 1_000_000)


def test_names_come_back() -> None:
    """What is written in canonical form is read as it was, and written so."""
    rand = random.Random(2)
    count = 0

    def digits(width: int) -> str:
        return "".join(rand.choices(names.DIGITS, k=width))

    for count in range(5000):
        name = names.Name(
            rand.randrange(10), digits(20),
            _name(rand.randbytes(rand.randrange(1, 40)) + b"x"),
            rand.choice((None, "", "a", "A-_9" * 8)), rand.randrange(1000),
            rand.choice((None, 0, rand.randrange(1 << 55) * 1000)),
            rand.choice(("", digits(20))),
            rand.choice(("", "ok", "exit255", "timeout")),
            rand.choice((None, 0, 9_999_999_999)),
            rand.choice(("", digits(3))), rand.random() < 0.5,
        )
        parsed = names.parse(str(name))
        assert parsed is not None and _same(parsed, name), str(name)
        assert str(parsed) == str(name)
    print(f"hostile fuzz, canonical names: {count + 1} came back as they were")


def _refused(call: Callable[[], object], error: type[Exception]) -> bool:
    """Call; False if it raised *error*, whose text can be shown."""
    try:
        call()
    except error as raised:
        inert(str(raised)).encode()
        return False
    return True


def _check_header(data: bytes) -> bool:
    def read() -> None:
        document = jobread.parse_header(data[:jobread.header_end(data)])
        assert names.is_handler(document.handler)
        assert document.priority is None or 0 <= document.priority <= 9
        assert document.body is None

    return _refused(read, BadJob)


def test_headers() -> None:
    """A header is a document, or a BadJob."""
    mutator = Mutator(3, DOCUMENTS, WORDS)
    fuzz("headers", mutator, _check_header, 8_000, 1_000_000)


def _check_json(data: bytes) -> bool:
    def read() -> None:
        document = jobread.parse_json(data)
        assert names.is_handler(document.handler)
        # What a worker and a record are made of.
        json.dumps([document.args, document.kwargs], allow_nan=False)
        for text in (*document.tags, *document.extra.values()):
            assert "\0" not in text
            text.encode()

    return _refused(read, BadJob)


def test_json() -> None:
    """A JSON document is a document, or a BadJob."""
    mutator = Mutator(4, JSON, JSON_WORDS, repeat=20_000)
    fuzz("JSON documents", mutator, _check_json, 8_000, 1_000_000)


@contextlib.contextmanager
def _directory() -> Iterator[int]:
    """A directory in memory, if there is one."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as path:
        fd = fsops.open_dir(path)
        try:
            yield fd
        finally:
            os.close(fd)


def test_files() -> None:
    """A file is a job whose digest is right, or a BadJob."""
    with _directory() as directory:
        def check(data: bytes) -> bool:
            fd = os.open("job", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600,
                         dir_fd=directory)
            os.write(fd, data)
            os.close(fd)

            def load() -> None:
                job = jobload.load(directory, "job", True, 1 << 20)
                with contextlib.closing(job):
                    told = job.document
                    body = job.read()
                    assert told is not None and job.size == len(body)
                    assert told.length in (None, len(body))
                    rest = data.partition(b"\n")[2]
                    assert told.digest in (
                        None, hashlib.sha256(rest).hexdigest()
                    )

            return _refused(load, BadJob)

        mutator = Mutator(5, [*DOCUMENTS, *JSON], WORDS, repeat=30_000)
        fuzz("files", mutator, check, 4_000, 500_000)


def _sealed(covered: bytes) -> bytes:
    digest = hashlib.sha256(covered).hexdigest()[:record.CHECK_CHARS]
    return covered + b',"check":"' + digest.encode() + b'"}\n'


def test_records() -> None:
    """A record is whole, or none; even one whose checksum was made to fit."""
    run = record.Run(1, 10 ** 18, 0.5, "exit", 1, "why", rusage={"utime": 1})
    whole = record.encode(record.Record(
        ID, "a", 3, (run, dataclasses.replace(run, run=2)),
        {"a": [1, None]}, "Traceback", 5, 6, ("t",),
    ))
    covered = whole[:whole.rindex(b',"check"')]

    def check(data: bytes) -> bool:
        sealed = record.decode(_sealed(data))
        assert (record.decode(data) is not None) == (data == whole)
        return sealed is not None

    mutator = Mutator(6, [covered, whole], JSON_WORDS, repeat=20_000)
    fuzz("records", mutator, check, 4_000, 1_000_000)


def test_wire() -> None:
    """Messages are objects, or the other side is broken; however cut."""
    rand = random.Random(7)
    seeds = [
        wire.pack({"reports": [["done", NAMES[0], 5], ["ready"]]})
        + wire.pack({"kill": NAMES[0]}),
        wire.pack({}), wire.pack({"jobs": [], "handler": "\u00e9"}),
    ]

    def feed(pieces: list[bytes]) -> list[dict[str, object]] | None:
        unpacker = wire.Unpacker()
        out: list[dict[str, object]] = []
        try:
            for piece in pieces:
                out += unpacker.feed(piece)
        except ValueError:
            return None
        return out

    def check(data: bytes) -> bool:
        whole = feed([data])
        at = rand.randint(0, len(data))
        assert (feed([data[:at], data[at:]]) is None) == (whole is None)
        assert all(isinstance(message, dict) for message in whole or ())
        return bool(whole)

    words = [*JSON_WORDS, b"\0\0\0\x02{}", b"\0\0\0\0", b"\xff" * 4]
    mutator = Mutator(7, seeds, words, repeat=20_000)
    fuzz("messages of workers", mutator, check, 4_000, 1_000_000)


def test_configuration() -> None:
    """A configuration is one, or a ConfigError of one line."""
    def check(data: bytes) -> bool:
        text = data.decode(errors="replace")
        return _refused(lambda: config.parse(text), ConfigError)

    mutator = Mutator(8, CONFIG, CONFIG_WORDS, repeat=40)
    fuzz("configurations", mutator, check, 2_500, 100_000)


def test_requests(tmp_path: pathlib.Path) -> None:
    """Whatever is asked of spoold, it answers, and goes on."""
    fd = fsops.open_dir(str(tmp_path))
    selector = selectors.DefaultSelector()
    server = control.Server(
        fd, selector, lambda request: {"v": 1, "verb": request["verb"]}
    )

    def check(data: bytes) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(f"/proc/self/fd/{fd}/control")
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while ready := selector.select(0):
                for key, _ in ready:
                    key.data()
            answer = sock.recv(1 << 20)
        return b'"verb"' in answer

    seeds = [b'{"verb": "status"}\n', b'{"verb": "kill", "id": "1h"}\n',
             b'{"verb": "x", "id": [1, {"a": null}]}\n{"verb": "y"}\n']
    try:
        mutator = Mutator(9, seeds, JSON_WORDS, repeat=300)
        fuzz("requests", mutator, check, 3_000, 300_000)
    finally:
        server.close()
        selector.close()
        os.close(fd)


@pytest.mark.parametrize("seed", range(2))
def test_payload_names_of_any_bytes(seed: int) -> None:
    """Random bytes are no name of the grammar, and can be shown."""
    rand = random.Random(seed)
    for _ in range(2500):
        name = _name(rand.randbytes(rand.randrange(1, 255)) or b"x")
        names.why_illegal(name)
        assert names.parse(name) is None
        assert inert(name, 60).isprintable() and len(inert(name, 60)) <= 60
