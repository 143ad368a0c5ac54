# SPDX-License-Identifier: MIT
"""
The publish protocol: how a file becomes a job, and when that is certain.

Write under ``tmp/``, flush, rename into ``incoming/``, flush again, and open
it once more, because a file system that died may have said 0 to every flush.
Source: what survived block-level crash states of ext4, xfs and btrfs.
"""

from __future__ import annotations

import errno
import os

from spooler import fsops, gate
from spooler.errors import (
    EX_CANTCREAT,
    EX_NOSUCH,
    ConfigError,
    SpoolClosed,
    SpoolError,
    SubmitUnknown,
)
from spooler.names import Name

TYPE_CHECKING = False
if TYPE_CHECKING:  # for real when a job has a key
    from spooler.keys import Keys

#: Of a descriptor of incoming/ to flush: not asked for yet, not to be had.
_UNTRIED, _CLOSED = -1, -2
_PATH_FD = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 20
_BTRFS_MAGIC = 0x9123683E
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Publisher:
    """The two directories of a spool that a producer may write into."""

    def __init__(self, path: str, durable: bool) -> None:
        """
        Open the spool at *path*.

        Raises:
            SpoolError: there is none.
            PermissionError: this user may not submit.
        """
        self.path = path
        self.durable = durable
        self._root = self._tmp = self._incoming = self._incoming_sync = -1
        self._keys: Keys | None = None
        #: Whether nothing less than a commit is safe: the log of btrfs, in
        #: which fsync writes, may forget a file that others rename meanwhile.
        self._commits: bool | None = None
        self._gate: gate.Gate | None = None
        self._gate_stamp: tuple[int, int] | None = None
        try:
            self._root = os.open(path, os.O_PATH | os.O_CLOEXEC)
            self._tmp = os.open("tmp", _PATH_FD, dir_fd=self._root)
            self._incoming = os.open("incoming", _PATH_FD, dir_fd=self._root)
        except (FileNotFoundError, NotADirectoryError):
            self._explain(path)
        except BaseException:
            self.close()
            raise

    def _explain(self, path: str) -> None:
        """Tell a broken spool from none."""
        self.close()
        missing = [
            name for name in ("tmp", "incoming")
            if not os.path.isdir(os.path.join(path, name))
        ]
        if len(missing) == 1:
            raise _missing(path, missing[0])
        raise SpoolError(
            f"{path}: no spool here; 'spoolctl init {path}' makes one",
            EX_NOSUCH,
        )

    def close(self) -> None:
        """Close the directories."""
        for fd in (
            self._root, self._tmp, self._incoming, self._incoming_sync
        ):
            if fd >= 0:
                os.close(fd)
        self._root = self._tmp = self._incoming = self._incoming_sync = -1
        if self._keys is not None:
            os.close(self._keys.fd)
            self._keys = None

    def insist_on_room(self) -> None:
        """Raise SpoolClosed if the spool takes no jobs now."""
        told = self._read_gate()
        if told is None:
            return
        why = told.shut_by(os.fstatvfs(self._root))
        if not why and (told.closed or told.max_pending):
            why = gate.shut_by_count(self._root, told)
        if why:
            raise SpoolClosed(
                f"{self.path}: closed: {why}; nothing was submitted, try"
                " again later"
            )

    def _read_gate(self) -> gate.Gate | None:
        try:
            status = fsops.status(self._root, gate.GATE)
        except OSError:
            return None  # never published: no limits
        stamp = status.st_ino, status.st_mtime_ns
        if stamp != self._gate_stamp:
            try:
                self._gate = gate.read(self._root)
            except OSError:
                return None
            self._gate_stamp = stamp
        return self._gate

    def create(self, name: Name) -> int:
        """Make the file under ``tmp/``; its descriptor, for writing."""
        try:
            # Readable by the group, whatever the umask: spoold may be
            # another user, and reads what it runs.
            fd = fsops.create(self._tmp, str(name))
            os.fchmod(fd, 0o640)
            return fd
        except OSError as error:
            raise refused(error) from None

    def write(self, fd: int, name: Name, data: bytes) -> None:
        """Write all of it, or remove the file and raise."""
        try:
            fsops.write_all(fd, data)
        except OSError as error:
            fsops.unlink(self._tmp, str(name))
            raise refused(error) from None

    def copy(self, source: int, fd: int, name: Name) -> None:
        """Write what *source* holds, or remove the file and raise."""
        try:
            while chunk := os.read(source, _COPY_BYTES):
                fsops.write_all(fd, chunk)
        except OSError as error:
            fsops.unlink(self._tmp, str(name))
            raise refused(error) from None

    def publish(self, fd: int, name: Name, fresh: bool) -> None:
        """
        Submit the written file.

        Args:
            fresh: its id was never used before.

        Raises:
            SpoolError: nothing was submitted.
            SubmitUnknown: it was, and is not confirmed to be on disk.
        """
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
            raise refused(error) from None
        if self.durable:
            self._confirm(fd, name)

    def open_keys(self) -> Keys:
        """
        Who holds which key.

        Raises:
            ConfigError: the directory is missing.
        """
        if self._keys is None:
            from spooler import keys  # few producers need it

            try:
                fd = os.open(keys.DIRECTORY, _PATH_FD, dir_fd=self._root)
            except (FileNotFoundError, NotADirectoryError):
                raise _missing(self.path, keys.DIRECTORY) from None
            self._keys = keys.Keys(fd)
        return self._keys

    def flush(self, fd: int) -> None:
        """Flush a file that is not submitted yet, if that is asked for."""
        if self.durable:
            try:
                fsops.sync(fd)
            except OSError as error:
                raise refused(error) from None

    def is_at_hand(self, entry: str) -> bool:
        """
        Whether a job that holds its key waits where a producer can look.

        Its own producer may have died before it moved it; spoold does so
        then, and so does who comes next and may.
        """
        try:
            if fsops.rename(self._tmp, entry, self._incoming, entry):
                return True
        except OSError:
            return True  # another user's; or trouble, which we meet soon
        return fsops.exists(self._incoming, entry)

    def publish_held(self, fd: int, name: Name) -> None:
        """
        Move a file into ``incoming/`` that holds its key: it is submitted.

        Raises:
            SubmitUnknown: it is not confirmed to be on disk.
        """
        text = str(name)
        try:
            # False if somebody else has moved it.
            fsops.rename(self._tmp, text, self._incoming, text)
        except OSError as error:
            raise _unconfirmed(name, error) from None
        if self.durable:
            self._confirm(fd, name)

    def _confirm(self, fd: int, name: Name) -> None:
        """Make the new name durable; the job itself is submitted already."""
        try:
            if name.key:
                self._sync_keys()
            if self._commits is None:
                self._commits = _is_btrfs(fd)
            if self._commits:
                fsops.sync_file_system(fd)
            else:
                self._sync_name(fd)
            self._look(name)
        except OSError as error:
            raise _unconfirmed(name, error) from None

    def _sync_keys(self) -> None:
        try:
            fd = fsops.open_dir(".", self.open_keys().fd)
        except PermissionError:
            return  # as with incoming/
        try:
            fsops.sync(fd)
        finally:
            os.close(fd)

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

    def _sync_name(self, fd: int) -> None:
        """Flush the rename of the file *fd*."""
        if self._incoming_sync == _UNTRIED:
            try:
                self._incoming_sync = fsops.open_dir(".", self._incoming)
            except PermissionError:
                self._incoming_sync = _CLOSED
        if self._incoming_sync != _CLOSED:
            fsops.sync(self._incoming_sync)
        else:
            # A producer may not read incoming/.  The flush of the file under
            # its new name commits the rename too, as ext4 and xfs do.
            fsops.sync(fd)

    def discard(self, name: Name) -> None:
        """Remove a file that was created and not published."""
        fsops.unlink(self._tmp, str(name))

    def publish_all(self, written: list[Name], fd: int) -> None:
        """Flush, rename each, flush again; *fd* lies on the file system."""
        if self.durable:
            try:
                fsops.sync_file_system(fd)
            except OSError as error:
                raise refused(error) from None
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


def _is_btrfs(fd: int) -> bool:
    """Whether *fd* lies on a btrfs, as fstatfs(2) tells."""
    if os.major(os.fstat(fd).st_dev) or os.fstatvfs(fd).f_files:
        return False  # it has no device of its own, and no limit of inodes
    import ctypes  # few submits need it

    told = (ctypes.c_long * 32)()
    if ctypes.CDLL(None).fstatfs(fd, told) != 0:
        return False
    return told[0] == _BTRFS_MAGIC


def _missing(path: str, name: str) -> ConfigError:
    return ConfigError(
        f"{path}/{name}: missing directory; 'spoolctl init {path}' makes it"
        " again and keeps the rest"
    )


def _unconfirmed(name: Name, error: OSError) -> SubmitUnknown:
    return SubmitUnknown(
        name.id,
        f"{name.id}: submitted, but not confirmed to be on disk:"
        f" {error.strerror}; submit again with --id {name.id}",
    )


def _vanished(name: Name) -> SpoolError:
    return SpoolError(
        f"{name.id}: its file vanished from tmp/; nothing was submitted",
        EX_CANTCREAT,
    )


def refused(error: OSError) -> OSError | SpoolError:
    """What a producer is told of an error before the submission."""
    if error.errno in _FULL:
        return SpoolClosed(
            f"the spool's disk is full ({error.strerror}); nothing was"
            " submitted, try again later"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return error
    return SpoolError(
        f"cannot write: {error.strerror}; nothing was submitted",
        EX_CANTCREAT,
    )
