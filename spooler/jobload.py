# SPDX-License-Identifier: MIT
"""
Open a claimed job and judge it: the one read that decides what runs.

Producers are untrusted and may still hold a descriptor of the file, so a
document is read once, after the claim, and what was read is what runs.
"""

import errno
import io
import os
import stat

from spooler import fsops, jobread
from spooler.document import Document
from spooler.errors import BadJob
from spooler.jobwrite import HEADER_MAX_BYTES, JSON_MAX_BYTES
from spooler.units import format_size

#: A verified body up to this size is kept in memory, a larger one in an
#: unlinked private file.
MEMORY_MAX_BYTES = 1 << 20
_COPY_BYTES = 1 << 20
_PROTECTED_HARDLINKS = "/proc/sys/fs/protected_hardlinks"

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Job:
    """
    A claimed job, judged and ready to run.

    Attributes:
        document: what it asks for; None for a payload.
        size: bytes of the body or payload.
    """

    def __init__(
        self,
        document: Document | None,
        size: int,
        data: bytes | None,
        fd: int | None,
        offset: int = 0,
    ) -> None:
        self.document = document
        self.size = size
        self._data = data
        self._fd = fd
        self._offset = offset

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing to read."""
        return self._fd is None and not self._data

    def stdin_fd(self) -> int:
        """
        A descriptor that reads the body or payload from its start.

        The caller closes it.  The large ones are never held in memory.
        """
        if self._fd is not None:
            fd = os.dup(self._fd)
            os.lseek(fd, self._offset, os.SEEK_SET)
            return fd
        if not self._data:
            return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        fd = os.memfd_create("spool-body", os.MFD_CLOEXEC)
        fsops.write_all(fd, self._data)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def open(self) -> io.BufferedReader | io.BytesIO:
        """The body or payload as a binary file."""
        if self._data is not None:
            return io.BytesIO(self._data)
        return os.fdopen(self.stdin_fd(), "rb")

    def read(self) -> bytes:
        """The whole body or payload."""
        if self._data is not None:
            return self._data
        with self.open() as file:
            return file.read()

    def close(self) -> None:
        """Close what it holds open; may be called twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def wants_one_link(incoming_fd: int) -> bool:
    """
    Whether a job file with a second hard link is to be refused.

    Where the kernel lets a producer link a file it cannot read, a link in
    ``incoming/`` would have us read it in the producer's stead.
    """
    if not os.fstat(incoming_fd).st_mode & 0o022:
        return False  # nobody else submits
    try:
        fd = os.open(_PROTECTED_HARDLINKS, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return os.read(fd, 16).strip() == b"0"
    finally:
        os.close(fd)


def load(
    dir_fd: int, name: str, is_document: bool, max_size: int,
    one_link: bool = False,
) -> Job:
    """
    Open the job file *name* in the directory *dir_fd* and judge it.

    Args:
        is_document: as the name tells; content is never sniffed.
        max_size: bytes; a larger file is refused before a byte is read.
        one_link: whether to refuse a file with several hard links.

    Returns:
        The job; the caller closes it.

    Raises:
        BadJob: not a regular file, not readable, too large, or a document
            that cannot be understood or was altered.
        FileNotFoundError: somebody moved it away.
        OSError: the spool is in trouble; the job is not at fault.
    """
    fd = _open(dir_fd, name)
    keep = False
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise BadJob(f"is {_kind(status.st_mode)}, not a regular file")
        if one_link and status.st_nlink > 1:
            raise BadJob(
                f"has {status.st_nlink} hard links, and fs.protected_hardlinks"
                " is 0: it may be a file its producer cannot read; copy it"
                " instead"
            )
        if status.st_size > max_size:
            raise BadJob(
                f"{format_size(status.st_size)} is over max_size ="
                f" {format_size(max_size)} of spool.toml"
            )
        if not is_document:
            keep = True
            return Job(None, status.st_size, None, fd)
        job = _load_document(fd, dir_fd, status.st_size)
        keep = job._fd == fd
        return job
    finally:
        if not keep:
            os.close(fd)


def read_small(dir_fd: int, name: str, one_link: bool) -> bytes | None:
    """
    Read a whole small job document in the fewest steps.

    Returns:
        None if it is not a small one, or there is any trouble: load tells
        which.
    """
    try:
        fd = os.open(name, fsops.NOFOLLOW_READ, dir_fd=dir_fd)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or (
                one_link and status.st_nlink > 1
            ):
                return None
            data = os.read(fd, HEADER_MAX_BYTES)
        finally:
            os.close(fd)
    except OSError:
        return None
    whole = len(data) == status.st_size and len(data) < HEADER_MAX_BYTES
    return data if whole else None


def of_bytes(data: bytes) -> Job:
    """
    Judge a whole document of less than HEADER_MAX_BYTES.

    Raises:
        BadJob: it cannot be understood or was altered.
    """
    plain = jobread.read_plain(data)
    if plain is not None:
        document = Document()
        document.handler, document.args, end = plain
        document.length = len(data) - end
        document.digest = jobread.told_digest(data)
        return Job(document, document.length, data[end:], None)
    if jobread.is_json(data):
        return _of_json(data)
    end = jobread.header_end(data)
    document, body = jobread.parse_header(data[:end]), data[end:]
    digest = jobread.new_digest(data).hexdigest()
    jobread.verify(document, len(body), digest)
    return Job(document, len(body), body, None)


def peek(dir_fd: int, name: str) -> Document:
    """
    Read what the document *name* asks for, to schedule it.

    A hint only: the document is read again, whole, after its claim.  Raises
    as load does.
    """
    fd = _open(dir_fd, name)
    try:
        return peek_fd(fd)
    finally:
        os.close(fd)


def peek_fd(fd: int) -> Document:
    """The same for an open file, read from where it stands."""
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        raise BadJob(f"is {_kind(mode)}, not a regular file")
    start = fsops.read_upto(fd, HEADER_MAX_BYTES)
    if jobread.is_json(start):
        start += fsops.read_upto(fd, JSON_MAX_BYTES)
        return jobread.parse_json(start)
    return jobread.parse_header(start[:jobread.header_end(start)])


def _open(dir_fd: int, name: str) -> int:
    try:
        return os.open(name, fsops.NOFOLLOW_READ, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadJob("is a symbolic link, not a regular file") from None
        if error.errno == errno.EAGAIN:
            # Its producer, or a file server, keeps all others waiting.
            raise BadJob(
                "a lease is held on it (fcntl F_SETLEASE), so spoold cannot"
                " open it; give up the lease and requeue"
            ) from None
        if error.errno not in (errno.EACCES, errno.EPERM, errno.ENXIO):
            raise
        status = fsops.status(dir_fd, name)
        if not stat.S_ISREG(status.st_mode):
            raise BadJob(
                f"is {_kind(status.st_mode)}, not a regular file"
            ) from None
        raise BadJob(
            f"not readable by spoold (mode {status.st_mode & 0o7777:04o},"
            f" owner uid {status.st_uid}); chmod g+r before dropping it, or"
            " chmod and requeue"
        ) from None


def _kind(mode: int) -> str:
    for test, words in _KINDS:
        if test(mode):
            return words
    return "something else"


def _of_json(data: bytes) -> Job:
    document = jobread.parse_json(data)
    body = document.body or b""
    jobread.verify(document, len(body), None)
    return Job(document, len(body), body, None)


def _load_document(fd: int, dir_fd: int, size: int) -> Job:
    start = os.read(fd, min(size + 1, HEADER_MAX_BYTES))
    if len(start) != size and len(start) < HEADER_MAX_BYTES:
        start += fsops.read_upto(fd, HEADER_MAX_BYTES - len(start))
    if size <= len(start) < HEADER_MAX_BYTES:
        return of_bytes(start)
    if jobread.is_json(start):
        if size > JSON_MAX_BYTES:
            raise BadJob(
                f"a JSON document has at most {JSON_MAX_BYTES} bytes;"
                " put the data in a body"
            )
        return _of_json(start + fsops.read_upto(fd, JSON_MAX_BYTES))
    end = jobread.header_end(start)
    document = jobread.parse_header(start[:end])
    if document.digest is None and document.length is None:
        # Nothing was told of the body, so nothing about it is judged.
        return Job(document, size - end, None, fd, end)
    return _verified(fd, dir_fd, start, end, document, size)


def _unnamed(dir_fd: int) -> int:
    """A private file without a name."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(".", os.O_TMPFILE | flags, 0o600, dir_fd=dir_fd)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
    # NFS and old file systems have no O_TMPFILE.
    name = ".body-" + os.urandom(8).hex()
    fd = os.open(
        name, os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=dir_fd
    )
    fsops.unlink(dir_fd, name)
    return fd


def _verified(
    fd: int, dir_fd: int, start: bytes, end: int, document: Document,
    size: int,
) -> Job:
    """Read the body to its end, hold it to its digest, keep what was read."""
    digest = None
    if document.digest is not None:
        digest = jobread.new_digest(start[:end])
        digest.update(start[end:])
    body, copy, length = bytearray(start[end:]), None, len(start) - end
    try:
        while chunk := os.read(fd, _COPY_BYTES):
            length += len(chunk)
            if length > size - end:
                # Or a producer that never stops would keep us reading.
                raise BadJob("grew while it was read: not whole when dropped")
            if digest is not None:
                digest.update(chunk)
            if copy is None and length > MEMORY_MAX_BYTES:
                copy = _unnamed(dir_fd)
                fsops.write_all(copy, bytes(body))
                body.clear()
            if copy is None:
                body += chunk
            else:
                fsops.write_all(copy, chunk)
        jobread.verify(
            document, length, digest.hexdigest() if digest else None
        )
    except BaseException:
        if copy is not None:
            os.close(copy)
        raise
    if copy is not None:
        return Job(document, length, None, copy)
    return Job(document, length, bytes(body), None)
