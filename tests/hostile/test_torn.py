# SPDX-License-Identifier: MIT
"""A document with a digest is whole and as written, or it never runs."""

import contextlib
import os
import random
import tempfile
from collections.abc import Iterator


from support import LONG

from spooler import fsops, jobload, jobwrite
from spooler.errors import BadJob

#: A document that is not held in memory at once, and one that has a copy.
_LARGE = (70_000, jobload.MEMORY_MAX_BYTES + 100)


class Shelf:
    """A file that is a job, and what it says."""

    def __init__(self, directory: int, data: bytes) -> None:
        """Put *data* there."""
        self._directory = directory
        self.fd = os.open(
            "job", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600,
            dir_fd=directory,
        )
        os.write(self.fd, data)
        self.whole = self.read()
        assert self.whole is not None

    def read(self) -> tuple[object, ...] | None:
        """All that would run; None if it would not."""
        try:
            job = jobload.load(self._directory, "job", True, 1 << 30)
        except BadJob:
            return None
        with contextlib.closing(job):
            told = job.document
            assert told is not None
            return job.read(), *(
                getattr(told, slot) for slot in told.__slots__
            )

    def close(self) -> None:
        """Forget it."""
        os.close(self.fd)


@contextlib.contextmanager
def _shelf(data: bytes) -> Iterator[Shelf]:
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as path:
        directory = fsops.open_dir(path)
        shelf = Shelf(directory, data)
        try:
            yield shelf
        finally:
            shelf.close()
            os.close(directory)


def _documents(count: int) -> Iterator[bytes]:
    """Documents as spoolctl submit writes them, of all shapes."""
    rand = random.Random(3)
    for number in range(count):
        args = tuple(
            "".join(map(chr, rand.choices(range(32, 400), k=number % 40)))
            for _ in range(rand.randrange(4))
        )
        fields = (("Priority", str(number % 10)), ("Tag", "a"),
                  ("X-Note", "b"), ("Attempts", "3"))
        yield jobwrite.encode(
            f"handler{number}", args, rand.randbytes(number * 7),
            fields[:rand.randrange(5)],
        )


def _flip(shelf: Shelf, data: bytes, bit: int) -> None:
    at = bit // 8
    os.pwrite(shelf.fd, bytes([data[at] ^ 1 << bit % 8]), at)


def _unflip(shelf: Shelf, data: bytes, bit: int) -> None:
    os.pwrite(shelf.fd, data[bit // 8:bit // 8 + 1], bit // 8)


def test_no_cut_document_runs() -> None:
    """Documents cut at every byte are all refused."""
    cuts = documents = 0
    for data in _documents(50):
        documents += 1
        with _shelf(data) as shelf:
            for size in reversed(range(len(data))):
                os.truncate(shelf.fd, size)
                assert shelf.read() is None, data[:size]
                cuts += 1
    print(f"hostile torn: {documents} documents cut at {cuts} bytes, 0 ran")


def test_no_large_document_runs_cut() -> None:
    """Bodies that are not held in memory are held to their digest too."""
    cuts = 0
    for size in _LARGE:
        data = jobwrite.encode("large", ("x",), random.Random(4).randbytes(
            size
        ))
        step = 97 if LONG else 9_973
        with _shelf(data) as shelf:
            for end in reversed(range(0, len(data), step)):
                os.truncate(shelf.fd, end)
                assert shelf.read() is None, end
                cuts += 1
    print(f"hostile torn: 2 large documents cut at {cuts} bytes, 0 ran")


def test_no_altered_document_runs() -> None:
    """
    A flipped bit is refused; but for the case of the digest's own letters,
    which changes nothing.
    """
    flips = same = 0
    rand = random.Random(5)
    for data in _documents(50 if LONG else 12):
        header = data.index(b"\n\n") + 2
        body = range(header * 8, len(data) * 8)
        bits = [*range(header * 8),
                *(rand.choice(body) for _ in range(1000 if body else 0))]
        with _shelf(data) as shelf:
            for bit in bits:
                _flip(shelf, data, bit)
                found = shelf.read()
                if found is not None:
                    assert found == shelf.whole, (bit, data)
                    assert bit // 8 < data.index(b"\n")
                    same += 1
                _unflip(shelf, data, bit)
                flips += 1
            assert shelf.read() == shelf.whole
    print(
        f"hostile torn: {flips} flipped bits, 0 altered jobs ran; {same}"
        " flips of case in the digest's line changed nothing"
    )


def test_bytes_behind_the_end_are_refused() -> None:
    """A document that grew is not the one that was written."""
    for data in _documents(20):
        with _shelf(data) as shelf:
            for more in (b"\0", b"\n", b" ", data):
                os.pwrite(shelf.fd, more, len(data))
                assert shelf.read() is None
                os.truncate(shelf.fd, len(data))
