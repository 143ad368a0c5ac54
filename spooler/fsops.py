# SPDX-License-Identifier: MIT
"""
The system calls of the protocol: the only module that renames, links,
unlinks or syncs.

Everything works on directory descriptors: no path is resolved twice, so a
producer cannot swap a directory under us, and links are never followed.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from spooler.text import inert

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing it for real would cost every submit 3 ms
    from collections.abc import Callable

NOFOLLOW_READ = (
    os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
)
_ENCODING = sys.getfilesystemencoding()
_ERRORS = sys.getfilesystemencodeerrors()
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_RENAME_NOREPLACE = 1

#: What may pass by itself: the disk fills and empties, a limit is hit and
#: left.  The spool is in trouble, the job is not at fault.
_TEMPORARY = frozenset((
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE,
    errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.ENOLCK,
    errno.ESTALE, errno.EBUSY, errno.ETIMEDOUT, errno.ENOBUFS,
))


def is_temporary(error: OSError) -> bool:
    """Tell trouble that can pass by itself from trouble a person must mend."""
    return error.errno in _TEMPORARY


def is_misplaced(error: OSError) -> bool:
    """Tell trouble with directories themselves from that of one entry."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EXDEV)


def why(error: OSError) -> str:
    """One line for a person: the kernel's words, and the file if known."""
    text = error.strerror or str(error)
    if isinstance(error.filename, (str, bytes)):
        text = f"{os.fsdecode(error.filename)}: {text}"
    return inert(text)


def open_dir(path: str, dir_fd: int | None = None) -> int:
    """Open a directory itself, not through a link.  OSError as open(2)."""
    return os.open(path, _DIRECTORY, dir_fd=dir_fd)


def rename(src_fd: int, src: str, dst_fd: int, dst: str) -> bool:
    """
    Move *src* to a name nobody else can have made; False if *src* is gone.

    For targets with a random part: rename(2) replaces silently.

    Raises:
        OSError: anything but a missing source.
    """
    try:
        os.rename(src, dst, src_dir_fd=src_fd, dst_dir_fd=dst_fd)
    except FileNotFoundError:
        # ENOENT speaks of src, or of a removed target directory, whose
        # descriptor then counts no links.
        if os.fstat(dst_fd).st_nlink == 0 or os.fstat(src_fd).st_nlink == 0:
            raise
        return False
    return True


def rename_noreplace(src_fd: int, src: str, dst_fd: int, dst: str) -> bool:
    """
    Move *src* to *dst* unless *dst* exists; False if *src* is gone.

    Raises:
        FileExistsError: *dst* exists; nothing was changed.
        OSError: anything else but a missing source.
    """
    # As os.fsencode does, in half the time.
    number = _renameat2(
        src_fd, src.encode(_ENCODING, _ERRORS),
        dst_fd, dst.encode(_ENCODING, _ERRORS),
    )
    if number == 0:
        return True
    if number in (errno.ENOSYS, errno.EINVAL):  # old kernel, or file system
        return _link_unlink(src_fd, src, dst_fd, dst)
    if number == errno.ENOENT:
        if os.fstat(dst_fd).st_nlink and os.fstat(src_fd).st_nlink:
            return False
    raise OSError(number, os.strerror(number), src, None, dst)


def _link_unlink(src_fd: int, src: str, dst_fd: int, dst: str) -> bool:
    try:
        os.link(
            src, dst, src_dir_fd=src_fd, dst_dir_fd=dst_fd,
            follow_symlinks=False,
        )
    except FileNotFoundError:
        if os.fstat(dst_fd).st_nlink == 0 or os.fstat(src_fd).st_nlink == 0:
            raise
        return False
    # RACE: killed here, the job has both names; recover.merge mends it.
    try:
        if unlink(src_fd, src):
            return True
    except OSError:
        unlink(dst_fd, dst)  # it still lies where it was
        raise
    # RACE: another process moved it between our two calls: it was first.
    unlink(dst_fd, dst)
    return False


def _renameat2(src_fd: int, src: bytes, dst_fd: int, dst: bytes) -> int:
    """renameat2(2) with RENAME_NOREPLACE; returns errno, 0 for success."""
    if not _libc:
        # Here because a plain submit never comes here, and importing ctypes
        # costs it as much as everything else it does.
        import ctypes

        try:
            call = ctypes.CDLL(None, use_errno=True).renameat2
        except AttributeError:
            return errno.ENOSYS
        # Without argtypes: int and bytes pass as they are, in half the time.
        _libc.extend((call, ctypes.get_errno))
    if _libc[0](src_fd, src, dst_fd, dst, _RENAME_NOREPLACE) == 0:
        return 0
    return int(_libc[1]())


#: renameat2 and get_errno once loaded; empty before.
_libc: list[Callable[..., int]] = []


def status(dir_fd: int, name: str) -> os.stat_result:
    """Stat the entry itself, not what a link points to."""
    return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)


def exists(dir_fd: int, name: str) -> bool:
    """Whether there is an entry of that name."""
    try:
        status(dir_fd, name)
    except FileNotFoundError:
        return False
    return True


def unlink(dir_fd: int, name: str) -> bool:
    """Remove a name; False if it is already gone."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return False
    return True


def remove_dir(dir_fd: int, name: str) -> None:
    """Remove an empty directory."""
    os.rmdir(name, dir_fd=dir_fd)


def remove_tree(dir_fd: int, name: str) -> None:
    """
    Remove a directory and all in it, never following a link.

    However deep it is: every directory in it is moved to its top first.

    Raises:
        OSError: something in it cannot be removed.
    """
    top = open_dir(name, dir_fd)
    try:
        todo = _remove_files(top)
        while todo:
            inner = todo.pop()
            fd = open_dir(inner, top)
            try:
                for entry in _remove_files(fd):
                    todo.append(os.urandom(8).hex())
                    os.rename(
                        entry, todo[-1], src_dir_fd=fd, dst_dir_fd=top
                    )
            finally:
                os.close(fd)
            os.rmdir(inner, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=dir_fd)


def _remove_files(fd: int) -> list[str]:
    """Remove all but the directories in one; returns those."""
    with os.scandir(fd) as entries:
        found = [(e.name, e.is_dir(follow_symlinks=False)) for e in entries]
    for entry, is_dir in found:
        if is_dir:
            _open_up(entry, fd)
        else:
            os.unlink(entry, dir_fd=fd)
    return [entry for entry, is_dir in found if is_dir]


def _open_up(name: str, dir_fd: int) -> None:
    """Give a directory of ours a mode that lets us empty and move it."""
    if status(dir_fd, name).st_mode & 0o700 == 0o700:
        return
    fd = os.open(name, _DIRECTORY | os.O_PATH, dir_fd=dir_fd)
    try:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)
    finally:
        os.close(fd)


def sync(fd: int) -> None:
    """
    Flush a file or directory to the disk.

    Never try again after an error: the kernel reports it once, then forgets.
    """
    os.fsync(fd)


def sync_file_system(fd: int) -> None:
    """
    Flush the whole file system that *fd* lies on: one call for many files.

    Raises:
        OSError: what went wrong on any file since *fd* was opened.
    """
    import ctypes  # see _renameat2

    if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def symlink(dir_fd: int, text: str, name: str) -> bool:
    """Make a link that says *text*; False if the name is taken."""
    try:
        os.symlink(text, name, dir_fd=dir_fd)
    except FileExistsError:
        return False
    return True


def read_link(dir_fd: int, name: str) -> str | None:
    """What a link says; None if there is none, or something else."""
    try:
        return os.readlink(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):
            return None
        raise


def lock_dir(dir_fd: int) -> int:
    """
    Wait for the lock of a directory, which only who may list it can take.

    Returns:
        A descriptor; to close it lets the lock go.
    """
    fd = open_dir(".", dir_fd)
    import fcntl  # costs every submit something at the top

    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno != errno.EBADF:  # NFS locks no directory
            os.close(fd)
            raise
    return fd


def create(dir_fd: int, name: str, mode: int = 0o640) -> int:
    """Create a new file for writing; FileExistsError if the name is taken."""
    return os.open(name, _NEW, mode, dir_fd=dir_fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*; write(2) may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def write_new(
    dir_fd: int, name: str, data: bytes, durable: bool, mode: int = 0o640
) -> bool:
    """Write a new private file; False if the name is taken."""
    try:
        fd = create(dir_fd, name, mode)
    except FileExistsError:
        return False
    try:
        if mode & 0o007:
            os.fchmod(fd, mode)  # whatever the umask
        write_all(fd, data)
        if durable:
            os.fsync(fd)
    except BaseException:
        unlink(dir_fd, name)
        raise
    finally:
        os.close(fd)
    return True


def replace_file(
    dir_fd: int, name: str, data: bytes, durable: bool, mode: int = 0o640
) -> None:
    """
    Write a private file *name* anew: whole under this name or not at all.

    For directories no producer can write.
    """
    part = name + ".new"
    while not write_new(dir_fd, part, data, durable, mode):
        unlink(dir_fd, part)  # of somebody who was killed here
    try:
        os.rename(part, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        unlink(dir_fd, part)
        raise


def read_file(dir_fd: int, name: str, limit: int) -> bytes | None:
    """
    Read a regular file of at most *limit* bytes; None if there is none.

    A larger one is cut at the limit.
    """
    try:
        fd = os.open(name, NOFOLLOW_READ, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        size = min(limit, status.st_size)
        data = os.read(fd, size + 1)  # a buffer of the limit is a mapping
        if len(data) != size:
            data += read_upto(fd, limit)
        return data[:limit]
    finally:
        os.close(fd)


def read_upto(fd: int, limit: int) -> bytes:
    """Read up to *limit* bytes; less only at the end of the file."""
    data = os.read(fd, limit)
    if len(data) == limit or len(data) == os.fstat(fd).st_size:
        return data
    parts, size = [data], len(data)
    while size < limit and (data := os.read(fd, limit - size)):
        parts.append(data)
        size += len(data)
    return b"".join(parts)


def listed(dir_fd: int) -> list[str]:
    """The names in a small directory."""
    fd = open_dir(".", dir_fd)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)
