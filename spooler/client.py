# SPDX-License-Identifier: MIT
"""
Submit jobs: all that a producer imports.  No daemon is needed.

A job is whole before it is there, and confirmed before submit returns; how
is in ``publish``.
"""

from __future__ import annotations

import os
import time

from spooler import jobwrite, names
from spooler.errors import SpoolClosed, SubmitUnknown
from spooler.names import Name
from spooler.publish import Publisher

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing them for real would cost every submit 3 ms
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from spooler.holding import Unique

    Answer = TypeVar("Answer")

#: The clock that ids are made from.
now_ns = time.time_ns

_ROOM_WAIT_S = 0.05
_ROOM_WAIT_MAX_S = 5.0
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
        self._publisher = Publisher(path, durable)
        self._last_ns = 0

    def close(self) -> None:
        """Close the directories."""
        self._publisher.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mint(self) -> str:
        """A new id; this client's ids sort in the order of the calls."""
        self._last_ns = max(now_ns(), self._last_ns + 1)
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
        data = jobwrite.encode(handler, args, body, fields)
        return self.put(
            handler, data, priority, due_ns, job_id or self.mint(),
            fresh=job_id is None,
        )

    def put(
        self, handler: str, data: bytes, priority: int, due_ns: int | None,
        job_id: str, fresh: bool = True,
    ) -> str:
        """
        Submit a document that is written already; as submit.

        Args:
            data: what jobwrite made, for the same *handler*.
            job_id: from mint, or of an earlier try.
            fresh: it is from mint, and was not used yet.
        """
        name = self._name(handler, priority, due_ns, job_id)
        name.resubmitted = not fresh
        if fresh:  # else the earlier try may be in already
            self._publisher.insist_on_room()
        fd = self._publisher.create(name)
        try:
            self._publisher.write(fd, name, data)
            self._publisher.publish(fd, name, fresh)
        finally:
            os.close(fd)
        return name.id

    def submit_unique(
        self,
        handler: str,
        *args: str,
        key: str,
        unique: Unique,
        body: bytes = b"",
        priority: int = names.DEFAULT_PRIORITY,
        due_ns: int | None = None,
        fields: tuple[tuple[str, str], ...] = (),
        job_id: str | None = None,
    ) -> tuple[str, bool]:
        """
        Submit one job document, unless a job stands for all of its key.

        Args:
            key: any text; each handler has keys of its own.
            unique: until when a job stands for its key, see holding.py.
            others: as for submit.

        Returns:
            The id of the job that stands for it, and whether that is an
            earlier one: nothing was submitted then.

        Raises:
            As submit; SpoolError also if this user may not replace a job.
        """
        data = jobwrite.encode(
            handler, args, body, (("Key", key), *fields)
        )
        return self.put_unique(
            handler, data, priority, due_ns, job_id or self.mint(), key,
            unique, fresh=job_id is None,
        )

    def put_unique(
        self, handler: str, data: bytes, priority: int, due_ns: int | None,
        job_id: str, key: str, unique: Unique, fresh: bool = True,
    ) -> tuple[str, bool]:
        """The same for a document that is written already, as for put."""
        from spooler import holding, keys  # few producers need them

        why = holding.why_not(unique)
        if why is not None:
            raise ValueError(why)
        name = self._name(handler, priority, due_ns, job_id)
        name.key = keys.key_of(handler, key)
        name.resubmitted = not fresh
        if fresh:
            self._publisher.insist_on_room()
        return holding.submit(self._publisher, name, data, unique)

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
        return self.put_many(
            (
                handler, jobwrite.encode(handler, args, body),
                names.DEFAULT_PRIORITY, None, self.mint(),
            )
            for handler, args, body in jobs
        )

    def put_many(
        self, jobs: Iterable[tuple[str, bytes, int, int | None, str]]
    ) -> list[str]:
        """
        The same for documents that are written already.

        Args:
            jobs: handler, document, priority, due time and id of each, as
                for put; the ids are from mint.
        """
        written: list[Name] = []
        last = -1
        publisher = self._publisher
        publisher.insist_on_room()
        try:
            for handler, data, priority, due_ns, job_id in jobs:
                name = self._name(handler, priority, due_ns, job_id)
                fd = publisher.create(name)
                written.append(name)
                if last >= 0:
                    os.close(last)
                last = fd
                publisher.write(fd, name, data)
            if written:
                publisher.publish_all(written, last)
        except SubmitUnknown:
            raise
        except BaseException:
            for name in written:
                publisher.discard(name)
            raise
        finally:
            if last >= 0:
                os.close(last)
        return [name.id for name in written]

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
            if not name.resubmitted:
                self._publisher.insist_on_room()
            fd = self._publisher.create(name)
            try:
                self._publisher.copy(source.fileno(), fd, name)
                self._publisher.publish(fd, name, fresh=job_id is None)
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


def when_room(attempt: Callable[[], Answer]) -> Answer:
    """
    Submit, and try again for as long as the spool has no room.

    The waits grow, and are drawn at random, so that many producers that
    wait do not come back at once.

    Args:
        attempt: submits; whatever it raises but SpoolClosed is raised.

    Returns:
        What *attempt* returned.
    """
    longest_s = _ROOM_WAIT_S
    while True:
        try:
            return attempt()
        except SpoolClosed:
            share = int.from_bytes(os.urandom(2), "big") / 65536
            time.sleep(share * longest_s)  # nothing tells of a freed disk
            longest_s = min(longest_s * 2, _ROOM_WAIT_MAX_S)


def judge(handler: str, args: tuple[str, ...], body: bytes) -> None:
    """Raise ValueError if no such job can be submitted."""
    if not names.is_handler(handler):
        raise ValueError(_NO_HANDLER.format(handler))
    jobwrite.encode(handler, args, body)


def submit(spool: str, handler: str, *args: str, body: bytes = b"") -> str:
    """Submit one durable job to the spool at path *spool*; returns its id."""
    with Client(spool) as client:
        return client.submit(handler, *args, body=body)
