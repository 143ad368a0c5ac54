# SPDX-License-Identifier: MIT
"""Opening a claimed job and judging it."""

import base64
import errno
import hashlib
import os
import pathlib
import stat
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from spooler import jobload, jobread, jobwrite
from spooler.errors import BadJob
from spooler.jobload import Job

MIB = 1 << 20
NOBODY = 65534
NAME = "4.1hqn0000000000000001.a1.c0000a010123456789abcdef,mail.job"
DOCUMENT = jobwrite.encode(
    "mail", ("to@example.org", "two words"), b"Dear all,\n\nbye\n",
    (("Priority", "7"), ("Key", "k"), ("Tag", "t"), ("X-Shop", "berlin")),
)


class Box:
    """A directory with one job in it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.file = path / NAME
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def load(
        self, data: bytes | None = None, is_document: bool = True,
        max_size: int = 1 << 40,
    ) -> Job:
        """Load the job, written anew if *data* is given."""
        if data is not None:
            self.file.write_bytes(data)
        return jobload.load(self.fd, NAME, is_document, max_size)

    def cut(self, size: int) -> None:
        """Cut the file short in place."""
        os.truncate(self.file, size)

    def flip(self, at: int, bit: int) -> None:
        """Flip one bit of the file in place; twice is not at all."""
        with open(self.file, "r+b", buffering=0) as file:
            (byte,) = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), at)

    def refused(self, *args: Any, **keys: Any) -> str:
        """Load what must not load; the reason."""
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(BadJob) as caught:
            self.load(*args, **keys)
        assert len(os.listdir("/proc/self/fd")) <= before, "leaked"
        text = str(caught.value)
        assert text.isprintable()
        return text


@pytest.fixture
def box(tmp_path: pathlib.Path) -> Iterator[Box]:
    """Make a directory for one job."""
    made = Box(tmp_path)
    yield made
    os.close(made.fd)


@pytest.fixture
def not_root() -> Iterator[None]:
    """Be a user whom permissions bind."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(NOBODY)
    except OSError as error:
        pytest.skip(f"root cannot become another user: {error.strerror}")
    yield
    os.seteuid(0)


def told(job: Job) -> tuple[Any, ...]:
    """Everything a job would run with."""
    document = job.document
    assert document is not None
    fields = [
        getattr(document, slot) for slot in document.__slots__
        if slot not in ("digest", "body")
    ]
    with job.open() as file:
        return (*fields, file.read())


def sealed(body: bytes, length: int | None = None) -> bytes:
    """A document with Length and Digest of a body, and another body size."""
    rest = (
        f"Handler: mail\nLength: {len(body) if length is None else length}"
        "\n\n"
    ).encode()
    digest = hashlib.sha256(rest + body).hexdigest()
    return f"Digest: sha256:{digest}\n".encode() + rest + body


@pytest.mark.parametrize("is_document", [True, False])
@pytest.mark.parametrize(
    "kind, words",
    [
        ("link", "is a symbolic link, not a regular file"),
        ("dangling", "is a symbolic link, not a regular file"),
        ("fifo", "is a named pipe, not a regular file"),
        ("socket", "is a socket, not a regular file"),
        ("directory", "is a directory, not a regular file"),
    ],
)
def test_only_a_regular_file_is_run(
    box: Box, kind: str, words: str, is_document: bool
) -> None:
    """Whatever else has a job's name is told as what it is, unopened."""
    if kind == "link":
        (box.path / "secret").write_bytes(DOCUMENT)
        box.file.symlink_to("secret")
    elif kind == "dangling":
        box.file.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(box.file)
    elif kind == "socket":
        os.mknod(box.file, stat.S_IFSOCK | 0o600)
    else:
        box.file.mkdir()
    assert box.refused(is_document=is_document) == words


def test_a_device_is_no_job() -> None:
    """A device is refused before a byte of it is read."""
    fd = os.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(BadJob, match="is a device, not a regular file"):
            jobload.load(fd, "zero", False, 1 << 40)
    finally:
        os.close(fd)


@pytest.mark.parametrize("is_document", [True, False])
def test_a_file_one_may_not_read(
    box: Box, is_document: bool, request: pytest.FixtureRequest
) -> None:
    """A file spoold may not read says whose it is and what to do."""
    box.file.write_bytes(DOCUMENT)
    box.file.chmod(0o200)
    box.path.chmod(0o711)
    request.getfixturevalue("not_root")
    text = box.refused(is_document=is_document)
    assert "not readable by spoold" in text and "mode 0200" in text
    assert f"owner uid {os.getuid()}" in text and "chmod" in text


def test_a_pipe_one_may_not_read(
    box: Box, request: pytest.FixtureRequest
) -> None:
    """What is no file is told as that, not as unreadable."""
    os.mkfifo(box.file, 0o200)
    box.path.chmod(0o711)
    request.getfixturevalue("not_root")
    assert box.refused() == "is a named pipe, not a regular file"


def test_a_job_that_is_gone(box: Box) -> None:
    """A job somebody moved away is neither bad nor trouble."""
    with pytest.raises(FileNotFoundError):
        box.load()


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE])
def test_trouble_is_not_the_jobs_fault(
    box: Box, broken: Callable[..., Any], number: int
) -> None:
    """An error of the disk is passed on and condemns no job."""
    box.file.write_bytes(DOCUMENT)
    broken(os, "open", number)
    with pytest.raises(OSError) as caught:
        box.load()
    assert caught.value.errno == number


@pytest.mark.parametrize("is_document", [True, False])
def test_trouble_in_reading_leaks_nothing(
    box: Box, broken: Callable[..., Any], is_document: bool
) -> None:
    """A disk that fails while a job is read leaves no descriptor open."""
    box.file.write_bytes(DOCUMENT)
    before = len(os.listdir("/proc/self/fd"))
    broken(os, "read", errno.EIO)
    try:
        box.load(is_document=is_document).close()
        assert not is_document  # a payload is not read at all
    except OSError as error:
        assert error.errno == errno.EIO
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("is_document", [True, False])
def test_too_large(
    box: Box, is_document: bool, broken: Callable[..., Any]
) -> None:
    """A file over the limit is refused before a byte is read."""
    box.file.touch()
    os.truncate(box.file, 5 * MIB + 1)  # sparse: takes no space
    reads = broken(os, "read", errno.EIO)
    text = box.refused(is_document=is_document, max_size=5 * MIB)
    assert text == "5.0 MiB is over max_size = 5.0 MiB of spool.toml"
    assert reads == []


def test_just_as_large_as_allowed(box: Box) -> None:
    """A file of just the limit is taken."""
    box.load(b"x" * 100, is_document=False, max_size=100).close()


def test_a_sparse_payload_is_not_read(
    box: Box, broken: Callable[..., Any]
) -> None:
    """A payload of a terabyte costs an open and no reading."""
    box.file.touch()
    os.truncate(box.file, 1 << 40)
    broken(os, "read", errno.EIO)
    job = box.load(is_document=False)
    assert (job.size, job.document) == (1 << 40, None)
    job.close()


def test_a_sparse_document_is_refused_early(box: Box) -> None:
    """A document of a terabyte of zeros is not read to its end."""
    box.file.touch()
    os.truncate(box.file, 1 << 40)
    assert "no empty line within 65536 bytes" in box.refused()


def test_a_payload_is_read_as_it_is(box: Box) -> None:
    """A payload's content is never looked at, whatever it looks like."""
    for data in (DOCUMENT, b"{", b"", b"\0\xff"):
        job = box.load(data, is_document=False)
        assert job.document is None and job.size == len(data)
        assert job.read() == data
        job.close()


@pytest.mark.parametrize("is_document", [True, False])
@pytest.mark.parametrize(
    "size", [0, 10, 70_000, 3 * MIB], ids=["none", "small", "big", "large"]
)
@pytest.mark.parametrize("form", ["sealed", "plain"])
def test_every_way_to_read(
    box: Box, is_document: bool, size: int, form: str
) -> None:
    """The body is the same however often and by which way it is read."""
    body = os.urandom(1024) * (size // 1024) + b"x" * (size % 1024)
    data = body
    if is_document:
        data = b"Handler: mail\n\n" + body
        if form == "sealed":
            data = sealed(body)
    box.file.write_bytes(data)
    job = box.load(is_document=is_document)
    assert job.size == len(body)
    for _ in range(2):
        assert job.read() == body
    with job.open() as file:
        assert file.read(5) == body[:5]
    with job.open() as file:
        assert file.read() == body
    fd = job.stdin_fd()
    with os.fdopen(fd, "rb") as stdin:
        assert not os.get_inheritable(fd)
        assert stdin.read() == body
    job.close()
    job.close()


def test_what_was_read_is_what_runs(box: Box) -> None:
    """A producer that keeps the file open changes nothing any more."""
    for size in (100, 3 * MIB):
        body = b"good" * (size // 4)
        box.file.write_bytes(sealed(body))
        with open(box.file, "r+b", buffering=0) as producer:
            job = box.load()
            producer.seek(0)
            producer.write(b"EVIL" * (size // 4))
            assert job.read() == body
            job.close()


def test_no_file_is_left_behind(box: Box) -> None:
    """The copy of a large body has no name, and goes with the job."""
    before = len(os.listdir("/proc/self/fd"))
    job = box.load(sealed(b"x" * (3 * MIB)))
    assert os.listdir(box.path) == [NAME]
    job.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_large_body_that_was_altered(box: Box) -> None:
    """A large document that does not match leaves no copy open."""
    data = bytearray(sealed(b"x" * (3 * MIB)))
    data[-1] ^= 1
    assert "does not match its Digest" in box.refused(bytes(data))


def test_a_file_system_without_unnamed_files(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where O_TMPFILE is not known, a large document still loads."""
    real = os.open

    def refuse(path: Any, flags: int, *args: Any, **keys: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return real(path, flags, *args, **keys)

    body = b"x" * (3 * MIB)
    box.file.write_bytes(sealed(body))
    monkeypatch.setattr(os, "open", refuse)
    job = box.load()
    assert job.read() == body
    job.close()
    assert os.listdir(box.path) == [NAME]


def test_a_document_of_200_mb_is_streamed(box: Box) -> None:
    """A verified body of 200 MB is never held in memory."""
    size, block = 200 * MIB, bytes(MIB)
    rest = f"Handler: mail\nLength: {size}\n\n".encode()
    digest = hashlib.sha256(rest)
    for _ in range(size // MIB):
        digest.update(block)
    head = f"Digest: sha256:{digest.hexdigest()}\n".encode() + rest
    box.file.write_bytes(head)
    os.truncate(box.file, len(head) + size)  # the body is a hole of zeros
    tracemalloc.start()
    try:
        job = box.load()
        fd = job.stdin_fd()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (job.size, os.fstat(fd).st_size) == (size, size)
    assert os.read(fd, 10) == bytes(10)
    os.close(fd)
    job.close()
    assert peak < 8 * MIB


def test_a_file_that_grows_while_it_is_read(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer that goes on writing cannot keep the reader reading."""
    box.file.write_bytes(sealed(b"x" * 100_000))
    real, reads = os.read, []

    def read(fd: int, size: int) -> bytes:
        reads.append(size)
        if len(reads) < 60:
            with open(box.file, "ab") as file:
                file.write(bytes(MIB))
        return real(fd, size)

    monkeypatch.setattr(os, "read", read)
    with pytest.raises(BadJob):
        box.load()
    assert len(reads) < 10


def test_a_document_cut_at_every_byte(box: Box) -> None:
    """A submitted document is whole, or it is never run."""
    assert told(box.load(DOCUMENT))[-1] == b"Dear all,\n\nbye\n"
    for size in reversed(range(len(DOCUMENT))):
        box.cut(size)
        with pytest.raises(BadJob):
            box.load().close()
            pytest.fail(f"ran when cut to {size} bytes")


def test_a_json_document_cut_at_every_byte(box: Box) -> None:
    """A JSON document is whole but for its last newline, or never run."""
    data = jobwrite.encode("mail", ("two\nlines",), b"body")
    assert jobread.is_json(data) and data.endswith(b"}\n")
    whole = told(box.load(data))
    assert told(box.load(data[:-1])) == whole
    for size in reversed(range(len(data) - 1)):
        box.cut(size)
        with pytest.raises(BadJob):
            box.load().close()
            pytest.fail(f"ran when cut to {size} bytes")


def test_every_bit_of_the_header(box: Box) -> None:
    """With one bit flipped a document never runs as anything else."""
    whole = told(box.load(DOCUMENT))
    head = jobread.header_end(DOCUMENT)
    line = DOCUMENT.index(b"\n")
    harmless = 0
    for at in range(head):
        for bit in range(8):
            box.flip(at, bit)
            try:
                job = box.load()
            except BadJob:
                continue
            finally:
                box.flip(at, bit)
            # The case of a letter in the Digest line, which says the same.
            assert at < line and bit == 5, (at, bit)
            assert told(job) == whole
            job.close()
            harmless += 1
    assert harmless < line


def test_every_bit_of_the_body(box: Box) -> None:
    """A body with one bit flipped is never run."""
    head = jobread.header_end(DOCUMENT)
    box.file.write_bytes(DOCUMENT)
    for at in range(head, len(DOCUMENT)):
        for bit in range(8):
            box.flip(at, bit)
            with pytest.raises(BadJob, match="does not match its Digest"):
                box.load()
            box.flip(at, bit)


def test_a_longer_body(box: Box) -> None:
    """Bytes after the told end are as bad as missing ones."""
    assert "where Length says 15" in box.refused(DOCUMENT + b"\n")
    plain = b"Handler: mail\nLength: 3\n\n"
    assert box.load(plain + b"abc").read() == b"abc"
    for body in (b"", b"ab", b"abcd", b"x" * 100_000):
        assert f"body of {len(body)} bytes" in box.refused(plain + body)


def test_a_digest_without_a_length(box: Box) -> None:
    """Either of the two is enough to notice that a document was cut."""
    rest = b"Handler: mail\n\n" + b"b" * 100_000
    digest = hashlib.sha256(rest).hexdigest().encode()
    data = b"Digest: sha256:" + digest + b"\n" + rest
    assert box.load(data).size == 100_000
    assert "Digest" in box.refused(data[:-1])
    assert "Digest" in box.refused(data + b"b")


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "no Handler field"),
        (b"\n", "empty line"),
        (b"Handler: mail", None),
        (b"Handler: mail\n", None),
        (b"Handler: mail\n\n", None),
        (b"Handlr: mail\n\nbody", "did you mean Handler?"),
        (b"\xff\xfe\n\n", "not UTF-8"),
        (b"#!/bin/sh\necho hi\n", "line 1"),
        (b'{"Handler": "mail"', "bad JSON"),
        (b'{"Handler": "mail"} x', "bad JSON"),
    ],
)
def test_documents_by_hand(
    box: Box, data: bytes, words: str | None
) -> None:
    """What a person wrote is run, or refused with the reason."""
    if words is None:
        job = box.load(data)
        assert job.document is not None and job.document.handler == "mail"
        assert job.read() == b""
    else:
        assert words in box.refused(data)


@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("told_length", [True, False])
def test_a_header_about_as_long_as_the_limit(
    box: Box, offset: int, told_length: bool
) -> None:
    """A header that ends near the limit is read right or refused."""
    head = b"Handler: mail\n"
    if told_length:
        head += b"Length: 7\n"
    fill = jobwrite.HEADER_MAX_BYTES + offset - len(head) - len(b"Key: \n\n")
    head += b"Key: " + b"k" * fill + b"\n\n"
    assert len(head) == jobwrite.HEADER_MAX_BYTES + offset
    if offset > 0:
        assert "no empty line within" in box.refused(head + b"the end")
    else:
        job = box.load(head + b"the end")
        assert (job.size, job.read()) == (7, b"the end")
        job.close()


def test_json_bodies(box: Box) -> None:
    """The body of a JSON document is its Body, or the bytes behind it."""
    text = '{"Handler": "mail", "Body": "gr\u00fc\u00df\\n"}'
    assert box.load(text.encode()).read() == "gr\u00fc\u00df\n".encode()
    data = base64.b64encode(bytes(range(256))).decode()
    text = f'{{"Handler": "mail", "Body-Base64": "{data}", "Length": 256}}'
    assert box.load(text.encode()).read() == bytes(range(256))
    assert "Length says 256" in box.refused(
        text.replace("Body-Base64", "X-Body").encode()
    )


@pytest.mark.parametrize("size", [100_000, MIB])
def test_json_larger_than_a_header(box: Box, size: int) -> None:
    """A JSON document may be larger than header lines may be."""
    frame = b'{"Handler": "mail", "Body": ""}'
    text = frame[:-2] + b"x" * (size - len(frame)) + frame[-2:]
    assert len(text) == size
    assert box.load(text).size == size - len(frame)


def test_json_has_a_limit(box: Box) -> None:
    """A JSON document over its limit says where large data belongs."""
    box.file.write_bytes(b"{")
    os.truncate(box.file, jobwrite.JSON_MAX_BYTES + 1)
    assert box.refused() == (
        f"a JSON document has at most {jobwrite.JSON_MAX_BYTES} bytes;"
        " put the data in a body"
    )


@pytest.mark.parametrize(
    "data", [DOCUMENT, b"Handler: mail\n", b'{"Handler": "mail"}',
             b'{"Handler": "mail", "Body": "' + b"x" * 100_000 + b'"}'],
    ids=["submitted", "by hand", "JSON", "long JSON"],
)
def test_a_peek_tells_what_is_asked_for(box: Box, data: bytes) -> None:
    """To schedule a document its header is enough."""
    box.file.write_bytes(data)
    assert jobload.peek(box.fd, NAME).handler == "mail"
    with open(box.file, "rb", buffering=0) as file:
        assert jobload.peek_fd(file.fileno()).handler == "mail"


def test_a_peek_takes_no_other_file(box: Box) -> None:
    """A peek neither hangs on a pipe nor follows a link."""
    os.mkfifo(box.file)
    with pytest.raises(BadJob, match="not a regular file"):
        jobload.peek(box.fd, NAME)
    box.file.unlink()
    box.file.symlink_to("/etc/passwd")
    with pytest.raises(BadJob, match="symbolic link"):
        jobload.peek(box.fd, NAME)
    box.file.unlink()
    with pytest.raises(FileNotFoundError):
        jobload.peek(box.fd, NAME)


def test_a_peek_is_bounded(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peek at a huge file reads a little over a header's limit."""
    box.file.write_bytes(b"Handler: mail\n\n")
    os.truncate(box.file, 1 << 40)
    real, got = os.read, [0]

    def read(fd: int, size: int) -> bytes:
        data = real(fd, size)
        got[0] += len(data)
        return data

    monkeypatch.setattr(os, "read", read)
    assert jobload.peek(box.fd, NAME).handler == "mail"
    assert got[0] <= 2 * jobwrite.HEADER_MAX_BYTES
