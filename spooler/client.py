# SPDX-License-Identifier: MIT
"""
Submit jobs: all that a producer imports.  No daemon is needed.

The publish protocol: write under ``tmp/``, flush, rename into
``incoming/``, flush again, and open it once more, because a file system that
died may have said 0 to every flush.
"""

from __future__ import annotations

import errno
import os
import time

from spooler import fsops, jobwrite, names
from spooler.errors import (
    EX_CANTCREAT,
    EX_NOSUCH,
    ConfigError,
    SpoolError,
    SubmitUnknown,
)
from spooler.names import Name

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing it for real would cost every submit 3 ms
    from collections.abc import Iterable

_PATH_FD = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_HANDLER = (
    "{!r} cannot be a handler's name: 1..32 letters, digits, - and _, a"
    " letter or digit first"
)


class Client:
    """A producer's view of a spool: two directories it may write into."""

    def __init__(self, path: str, durable: bool = True) -> None:
        """
        Open ``tmp/`` and ``incoming/`` of the spool at *path*.

        Args:
            durable: what submit confirmed survives a power cut; otherwise
                a kill -9 only.

        Raises:
            SpoolError: there is no spool at *path*.
            PermissionError: this user may not submit.
        """
        self.path = path
        self.durable = durable
        self._last_ns = 0
        self._tmp = self._incoming = self._incoming_sync = -1
        try:
            self._tmp = os.open(os.path.join(path, "tmp"), _PATH_FD)
            self._incoming = os.open(os.path.join(path, "incoming"), _PATH_FD)
        except (FileNotFoundError, NotADirectoryError):
            self._explain(path)

    def _explain(self, path: str) -> None:
        """Tell a broken spool from none."""
        self.close()
        missing = [
            name for name in ("tmp", "incoming")
            if not os.path.isdir(os.path.join(path, name))
        ]
        if len(missing) == 1:
            raise ConfigError(
                f"{path}/{missing[0]}: missing directory; 'spoolctl init"
                f" {path}' makes it again and keeps the rest"
            )
        raise SpoolError(
            f"{path}: no spool here; 'spoolctl init {path}' makes one",
            EX_NOSUCH,
        )

    def close(self) -> None:
        """Close the directories."""
        for fd in (self._tmp, self._incoming, self._incoming_sync):
            if fd >= 0:
                os.close(fd)
        self._tmp = self._incoming = self._incoming_sync = -1

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mint(self) -> str:
        """A new id; this client's ids sort in the order of the calls."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        dice = int.from_bytes(os.urandom(5), "big") >> 5
        return names.mint_id(self._last_ns, dice)

    def submit(
        self,
        handler: str,
        *args: str,
        body: bytes = b"",
        priority: int = names.DEFAULT_PRIORITY,
        due_ns: int | None = None,
        fields: tuple[tuple[str, str], ...] = (),
        job_id: str | None = None,
    ) -> str:
        """
        Submit one job document.

        Args:
            handler: name of the handler.
            args: its arguments.
            body: bytes for its standard input.
            priority: 0..9, 9 first.
            due_ns: wall clock before which it must not start.
            fields: further header fields of spool(5).
            job_id: of an earlier try whose outcome is unknown.

        Returns:
            The job's id.

        Raises:
            ValueError: an argument is malformed; nothing was touched.
            SpoolError: the spool cannot take it now; nothing was submitted.
            SubmitUnknown: it may or may not have been; try again with the
                same id.
            OSError: likewise nothing was submitted.
        """
        name = self._name(
            handler, priority, due_ns, job_id or self.mint()
        )
        name.resubmitted = job_id is not None
        data = jobwrite.encode(handler, args, body, fields)
        fd = self._create(name)
        try:
            self._write(fd, name, data)
            self._publish(fd, name, fresh=job_id is None)
        finally:
            os.close(fd)
        return name.id

    def submit_many(
        self, jobs: Iterable[tuple[str, tuple[str, ...], bytes]]
    ) -> list[str]:
        """
        Submit documents with one flush for all of them.

        Args:
            jobs: handler, arguments and body of each.

        Returns:
            Their ids, in order; all are durable when this returns.

        Raises:
            As submit.  After SubmitUnknown or OSError some may have been
            submitted and others not.
        """
        written: list[Name] = []
        last = -1
        try:
            for handler, args, body in jobs:
                name = self._name(
                    handler, names.DEFAULT_PRIORITY, None, self.mint()
                )
                data = jobwrite.encode(handler, args, body)
                fd = self._create(name)
                written.append(name)
                if last >= 0:
                    os.close(last)
                last = fd
                self._write(fd, name, data)
            if written:
                self._publish_all(written, last)
        except SubmitUnknown:
            raise
        except BaseException:
            for name in written:
                fsops.unlink(self._tmp, str(name))
            raise
        finally:
            if last >= 0:
                os.close(last)
        return [name.id for name in written]

    def _publish_all(self, written: list[Name], fd: int) -> None:
        """Flush, rename each, flush again; *fd* lies on the file system."""
        if self.durable:
            try:
                fsops.sync_file_system(fd)
            except OSError as error:
                raise _refused(error) from None
        moved = 0
        try:
            for name in written:
                text = str(name)
                if not fsops.rename(self._tmp, text, self._incoming, text):
                    raise _vanished(name)
                moved += 1
            if self.durable:
                fsops.sync_file_system(fd)
                self._look(written[-1])
        except (OSError, SpoolError) as error:
            for name in written[moved:]:
                fsops.unlink(self._tmp, str(name))
            if not moved:
                raise
            raise SubmitUnknown(
                written[0].id,
                f"{moved} of {len(written)} submitted, none confirmed:"
                f" {error}",
            ) from None

    def submit_file(
        self,
        path: str,
        priority: int = names.DEFAULT_PRIORITY,
        due_ns: int | None = None,
        job_id: str | None = None,
    ) -> str:
        """
        Submit a copy of a file as it is, routed by its name.

        A ``*.job`` file is a document, any other a payload.  Returns and
        raises as submit, and BadJob for a document that is none.
        """
        tail = os.path.basename(path)
        why = names.why_illegal(tail)
        if why is not None or not tail:
            raise ValueError(f"{path}: {why or 'no file name'}")
        if job_id is not None and not names.is_id(job_id):
            raise ValueError(f"{job_id!r} is not a job id")
        name = Name(
            priority, job_id or self.mint(), tail, due_ns=due_ns,
            resubmitted=job_id is not None,
        )
        with open(path, "rb", buffering=0) as source:
            if name.is_document:
                name = self._document_name(name, source.fileno())
            fd = self._create(name)
            try:
                self._copy(source.fileno(), fd, name)
                self._publish(fd, name, fresh=job_id is None)
            finally:
                os.close(fd)
        return name.id

    def _document_name(self, name: Name, source: int) -> Name:
        """What a document asks for goes into its name."""
        # Few producers come here, and it takes a parser along.
        from spooler import jobload

        document = jobload.peek_fd(source)
        os.lseek(source, 0, os.SEEK_SET)
        name.handler = document.handler
        if document.priority is not None:
            name.priority = document.priority
        if name.due_ns is None:
            name.due_ns = document.not_before_ns
        return name

    def _name(
        self, handler: str, priority: int, due_ns: int | None, job_id: str
    ) -> Name:
        if not names.is_handler(handler):
            raise ValueError(_NO_HANDLER.format(handler))
        if not 0 <= priority <= 9:
            raise ValueError(f"priority is 0..9, not {priority}")
        if not names.is_id(job_id):
            raise ValueError(f"{job_id!r} is not a job id")
        tail = handler + names.DOCUMENT_SUFFIX
        return Name(priority, job_id, tail, due_ns=due_ns)

    def _create(self, name: Name) -> int:
        try:
            # Readable by the group, whatever the umask: spoold may be
            # another user, and reads what it runs.
            fd = fsops.create(self._tmp, str(name))
            os.fchmod(fd, 0o640)
            return fd
        except OSError as error:
            raise _refused(error) from None

    def _write(self, fd: int, name: Name, data: bytes) -> None:
        try:
            fsops.write_all(fd, data)
        except OSError as error:
            fsops.unlink(self._tmp, str(name))
            raise _refused(error) from None

    def _copy(self, source: int, fd: int, name: Name) -> None:
        try:
            while chunk := os.read(source, _COPY_BYTES):
                fsops.write_all(fd, chunk)
        except OSError as error:
            fsops.unlink(self._tmp, str(name))
            raise _refused(error) from None

    def _publish(self, fd: int, name: Name, fresh: bool) -> None:
        text = str(name)
        try:
            if self.durable:
                fsops.sync(fd)
            if fresh:  # its id is ours alone: it can replace nothing
                rename = fsops.rename
            else:
                rename = fsops.rename_noreplace
            if not rename(self._tmp, text, self._incoming, text):
                raise _vanished(name)
        except FileExistsError:
            fsops.unlink(self._tmp, text)  # the earlier try did arrive
        except OSError as error:
            fsops.unlink(self._tmp, text)
            raise _refused(error) from None
        if self.durable:
            self._confirm(fd, name)

    def _confirm(self, fd: int, name: Name) -> None:
        """Make the new name durable; the job itself is submitted already."""
        try:
            # Once more under its new name: btrfs may else show the job in
            # both directories after a power cut.
            fsops.sync(fd)
            self._sync_incoming()
            self._look(name)
        except OSError as error:
            raise SubmitUnknown(
                name.id,
                f"{name.id}: submitted, but not confirmed to be on disk:"
                f" {error.strerror}; submit again with --id {name.id}",
            ) from None

    def _look(self, name: Name) -> None:
        """
        Open what was published.

        A file system that died answers EIO here, where fsync said 0.
        """
        try:
            os.close(os.open(
                str(name), fsops.NOFOLLOW_READ, dir_fd=self._incoming
            ))
        except FileNotFoundError:
            pass  # RACE: spoold claimed it already

    def _sync_incoming(self) -> None:
        if self._incoming_sync < 0:
            try:
                self._incoming_sync = fsops.open_dir(".", self._incoming)
            except PermissionError:
                # A producer may not read incoming/.  The flush of the file
                # after its rename commits the rename too, on every file
                # system promised in spool(5).
                self._incoming_sync = -2
        if self._incoming_sync >= 0:
            fsops.sync(self._incoming_sync)


def judge(handler: str, args: tuple[str, ...], body: bytes) -> None:
    """Raise ValueError if no such job can be submitted."""
    if not names.is_handler(handler):
        raise ValueError(_NO_HANDLER.format(handler))
    jobwrite.encode(handler, args, body)


def _vanished(name: Name) -> SpoolError:
    return SpoolError(
        f"{name.id}: its file vanished from tmp/; nothing was submitted",
        EX_CANTCREAT,
    )


def _refused(error: OSError) -> OSError | SpoolError:
    if error.errno in _FULL:
        return SpoolError(
            f"the spool's disk is full ({error.strerror}); nothing was"
            " submitted, try again later", 75,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return error
    return SpoolError(f"cannot write: {error.strerror}", EX_CANTCREAT)


def submit(spool: str, handler: str, *args: str, body: bytes = b"") -> str:
    """Submit one durable job to the spool at path *spool*; returns its id."""
    with Client(spool) as client:
        return client.submit(handler, *args, body=body)
