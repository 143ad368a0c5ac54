# SPDX-License-Identifier: MIT
"""
The system calls of the protocol: on a real directory, on a fake disk that
fills up, and with errors put in.
"""

import ctypes
import errno
import os
import pathlib
import stat
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem
from spooler import fsops

Broken = Callable[..., list[Any]]


class Pair:
    """Two directories, and descriptors of them."""

    def __init__(self, root: pathlib.Path) -> None:
        self.src, self.dst = root / "src", root / "dst"
        self.src.mkdir()
        self.dst.mkdir()
        self.src_fd = fsops.open_dir(str(self.src))
        self.dst_fd = fsops.open_dir(str(self.dst))

    def put(self, name: str, text: str = "job") -> pathlib.Path:
        """Write a file into the first directory."""
        path = self.src / name
        path.write_text(text)
        return path

    def close(self) -> None:
        """Close both."""
        os.close(self.src_fd)
        os.close(self.dst_fd)


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> Iterator[Pair]:
    """Make two real directories."""
    dirs = Pair(tmp_path)
    yield dirs
    dirs.close()


@pytest.fixture
def fakepair(fs: FakeFilesystem) -> Iterator[Pair]:
    """Make two directories on a fake disk."""
    fs.create_dir("/spool")
    dirs = Pair(pathlib.Path("/spool"))
    yield dirs
    dirs.close()


@pytest.fixture(params=["renameat2", "ENOSYS", "EINVAL"])
def noreplace(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> Callable[..., bool]:
    """Give rename_noreplace as a new kernel does it, and as others do."""
    if request.param == "renameat2":
        fd = os.open(tmp_path, os.O_RDONLY)
        number = fsops._renameat2(fd, b"no", fd, b"such")
        os.close(fd)
        if number != errno.ENOENT:
            pytest.skip(f"no renameat2 here: {os.strerror(number)}")
    else:
        number = getattr(errno, request.param)
        monkeypatch.setattr(fsops, "_renameat2", lambda *_: number)
    return fsops.rename_noreplace


def test_noreplace_moves(
    pair: Pair, noreplace: Callable[..., bool]
) -> None:
    """The file is under its new name, the same file, and nowhere else."""
    inode = pair.put("a").stat().st_ino
    assert noreplace(pair.src_fd, "a", pair.dst_fd, "b")
    assert os.listdir(pair.src) == [] and os.listdir(pair.dst) == ["b"]
    status = (pair.dst / "b").stat()
    assert (status.st_ino, status.st_nlink) == (inode, 1)


def test_noreplace_replaces_nothing(
    pair: Pair, noreplace: Callable[..., bool]
) -> None:
    """A taken name is an error that leaves both files as they were."""
    pair.put("a", "mine")
    (pair.dst / "b").write_text("theirs")
    with pytest.raises(FileExistsError):
        noreplace(pair.src_fd, "a", pair.dst_fd, "b")
    assert (pair.src / "a").read_text() == "mine"
    assert (pair.dst / "b").read_text() == "theirs"


def test_noreplace_of_a_missing_file(
    pair: Pair, noreplace: Callable[..., bool]
) -> None:
    """A source that is gone is a lost race: False, and nothing made."""
    assert noreplace(pair.src_fd, "a", pair.dst_fd, "b") is False
    assert os.listdir(pair.dst) == []


def test_noreplace_of_a_missing_file_to_a_taken_name(
    pair: Pair, noreplace: Callable[..., bool]
) -> None:
    """With nothing to move, what lies there already stays as it is."""
    (pair.dst / "b").write_text("theirs")
    try:
        assert noreplace(pair.src_fd, "a", pair.dst_fd, "b") is False
    except FileExistsError:
        pass  # a file system may look at the target first
    assert (pair.dst / "b").read_text() == "theirs"


@pytest.mark.parametrize("removed", ["src", "dst"])
def test_noreplace_with_a_removed_directory(
    pair: Pair, noreplace: Callable[..., bool], removed: str
) -> None:
    """A removed directory is a broken spool, not a lost race."""
    getattr(pair, removed).rmdir()
    if removed == "dst":
        pair.put("a")
    with pytest.raises(FileNotFoundError):
        noreplace(pair.src_fd, "a", pair.dst_fd, "b")
    if removed == "dst":
        assert (pair.src / "a").read_text() == "job"


def test_noreplace_moves_a_link_itself(
    pair: Pair, noreplace: Callable[..., bool]
) -> None:
    """A symbolic link is moved, and what it points to stays untouched."""
    (pair.src / "a").symlink_to("/etc/passwd")
    assert noreplace(pair.src_fd, "a", pair.dst_fd, "b")
    assert os.readlink(pair.dst / "b") == "/etc/passwd"


def test_noreplace_with_names_of_any_bytes(
    pair: Pair, noreplace: Callable[..., bool]
) -> None:
    """A name that is not UTF-8 is moved byte for byte."""
    name = os.fsdecode(b"caf\xe9 \n")
    pair.put(name)
    assert noreplace(pair.src_fd, name, pair.dst_fd, name)
    assert os.listdir(os.fsencode(pair.dst)) == [b"caf\xe9 \n"]


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.ENOSPC, errno.EIO, errno.EXDEV,
               errno.EROFS, errno.EPERM]
)
@pytest.mark.parametrize("way", ["renameat2", "link"])
def test_noreplace_passes_errors_on(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, broken: Broken, way: str,
    number: int,
) -> None:
    """Any other error is the kernel's own, and the file stays put."""
    pair.put("a")
    if way == "renameat2":
        monkeypatch.setattr(fsops, "_renameat2", lambda *_: number)
    else:
        monkeypatch.setattr(fsops, "_renameat2", lambda *_: errno.ENOSYS)
        broken(os, "link", number)
    with pytest.raises(OSError) as caught:
        fsops.rename_noreplace(pair.src_fd, "a", pair.dst_fd, "b")
    assert caught.value.errno == number
    assert os.listdir(pair.src) == ["a"] and os.listdir(pair.dst) == []


def test_renameat2_errors_name_the_file(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that came by ctypes looks like any other OSError."""
    monkeypatch.setattr(fsops, "_renameat2", lambda *_: errno.EACCES)
    with pytest.raises(PermissionError) as caught:
        fsops.rename_noreplace(pair.src_fd, "a", pair.dst_fd, "b")
    assert (caught.value.filename, caught.value.filename2) == ("a", "b")
    assert fsops.why(caught.value) == "a: Permission denied"


def test_an_old_libc_is_an_old_kernel(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A C library without renameat2 takes the way by link."""
    monkeypatch.setattr(fsops, "_libc", [])
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    pair.put("a")
    assert fsops.rename_noreplace(pair.src_fd, "a", pair.dst_fd, "b")
    assert os.listdir(pair.dst) == ["b"]


def test_killed_between_link_and_unlink(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, broken: Broken
) -> None:
    """Cut short by an error, the job is whole under both names."""
    monkeypatch.setattr(fsops, "_renameat2", lambda *_: errno.ENOSYS)
    broken(os, "unlink", errno.EIO)
    pair.put("a")
    with pytest.raises(OSError):
        fsops.rename_noreplace(pair.src_fd, "a", pair.dst_fd, "b")
    assert (pair.src / "a").samefile(pair.dst / "b")


def test_a_race_lost_between_link_and_unlink(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two movers by link one wins, and the job is in one place."""
    monkeypatch.setattr(fsops, "_renameat2", lambda *_: errno.ENOSYS)
    pair.put("a")
    real = os.link

    def link(*args: Any, **keys: Any) -> None:
        real(*args, **keys)
        (pair.src / "a").rename(pair.dst / "theirs")

    monkeypatch.setattr(os, "link", link)
    assert not fsops.rename_noreplace(pair.src_fd, "a", pair.dst_fd, "b")
    assert os.listdir(pair.dst) == ["theirs"]


@pytest.mark.parametrize("where", ["pair", "fakepair"])
def test_rename(request: pytest.FixtureRequest, where: str) -> None:
    """The file is under its new name only; a second try finds it gone."""
    dirs = request.getfixturevalue(where)
    dirs.put("a")
    assert fsops.rename(dirs.src_fd, "a", dirs.dst_fd, "b") is True
    assert os.listdir(dirs.src) == [] and os.listdir(dirs.dst) == ["b"]
    assert fsops.rename(dirs.src_fd, "a", dirs.dst_fd, "b") is False


@pytest.mark.parametrize("removed", ["src", "dst"])
def test_rename_with_a_removed_directory(pair: Pair, removed: str) -> None:
    """A removed directory is a broken spool, not a lost race."""
    getattr(pair, removed).rmdir()
    if removed == "dst":
        pair.put("a")
    with pytest.raises(FileNotFoundError):
        fsops.rename(pair.src_fd, "a", pair.dst_fd, "b")


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.ENOSPC, errno.EIO, errno.EXDEV]
)
def test_rename_passes_errors_on(
    pair: Pair, broken: Broken, number: int
) -> None:
    """Any other error is the kernel's own, and the file stays put."""
    pair.put("a")
    broken(os, "rename", number)
    with pytest.raises(OSError) as caught:
        fsops.rename(pair.src_fd, "a", pair.dst_fd, "b")
    assert caught.value.errno == number
    assert os.listdir(pair.src) == ["a"]


def test_fallback_on_a_fake_disk(
    fakepair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way by link needs nothing but link and unlink."""
    monkeypatch.setattr(fsops, "_renameat2", lambda *_: errno.ENOSYS)
    args = fakepair.src_fd, "a", fakepair.dst_fd, "b"
    assert not fsops.rename_noreplace(*args)
    fakepair.put("a")
    assert fsops.rename_noreplace(*args)
    assert os.listdir(fakepair.src) == []
    fakepair.put("a")
    with pytest.raises(FileExistsError):
        fsops.rename_noreplace(*args)


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE,
     errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ESTALE],
    ids=errno.errorcode.get,
)
def test_temporary_trouble(number: int) -> None:
    """A disk that is full or gone can come back; the job is not at fault."""
    assert fsops.is_temporary(OSError(number, ""))


@pytest.mark.parametrize(
    "number",
    [errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EXDEV,
     errno.ELOOP, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
     errno.EINVAL],
    ids=errno.errorcode.get,
)
def test_permanent_trouble(number: int) -> None:
    """What only a person can mend does not pass by itself."""
    assert not fsops.is_temporary(OSError(number, ""))


def test_an_error_without_a_number() -> None:
    """An OSError without errno is not taken for one that passes."""
    assert not fsops.is_temporary(OSError("odd"))


@pytest.mark.parametrize(
    "error, text",
    [
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (OSError(errno.EIO, "Input/output error", "a"),
         "a: Input/output error"),
        (OSError(errno.EIO, "Input/output error", b"a"),
         "a: Input/output error"),
        (OSError("odd"), "odd"),
    ],
)
def test_why(error: OSError, text: str) -> None:
    """An error is one line: the file if known, and the kernel's words."""
    assert fsops.why(error) == text


@pytest.mark.parametrize("where", ["pair", "fakepair"])
def test_open_dir_follows_no_link(
    request: pytest.FixtureRequest, where: str
) -> None:
    """A link or a file where a directory belongs is refused."""
    dirs = request.getfixturevalue(where)
    dirs.put("file")
    (dirs.src / "link").symlink_to(dirs.dst)
    for name in ("file", "link"):
        with pytest.raises(OSError) as caught:
            fsops.open_dir(name, dirs.src_fd)
        assert caught.value.errno in (errno.ENOTDIR, errno.ELOOP)
    with pytest.raises(FileNotFoundError):
        fsops.open_dir("gone", dirs.src_fd)


def test_nothing_is_inherited(pair: Pair) -> None:
    """No descriptor that is opened here reaches a job."""
    fd = fsops.create(pair.src_fd, "a")
    assert not os.get_inheritable(fd)
    assert not os.get_inheritable(pair.src_fd)
    os.close(fd)


@pytest.mark.parametrize("where", ["pair", "fakepair"])
def test_create(request: pytest.FixtureRequest, where: str) -> None:
    """A file is made new or not at all; a link in its place is refused."""
    dirs = request.getfixturevalue(where)
    os.close(fsops.create(dirs.src_fd, "a"))
    assert stat.S_IMODE((dirs.src / "a").stat().st_mode) & 0o137 == 0
    (dirs.src / "link").symlink_to(dirs.dst / "elsewhere")
    for name in ("a", "link"):
        with pytest.raises(OSError) as caught:
            fsops.create(dirs.src_fd, name)
        assert caught.value.errno in (errno.EEXIST, errno.ELOOP)
    assert os.listdir(dirs.dst) == []


def test_unlink(pair: Pair) -> None:
    """A name is removed once; the second time it is already gone."""
    pair.put("a")
    assert fsops.unlink(pair.src_fd, "a") is True
    assert fsops.unlink(pair.src_fd, "a") is False


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_unlink_passes_errors_on(
    pair: Pair, broken: Broken, number: int
) -> None:
    """A name that cannot be removed is not called gone."""
    pair.put("a")
    broken(os, "unlink", number)
    with pytest.raises(OSError) as caught:
        fsops.unlink(pair.src_fd, "a")
    assert caught.value.errno == number


def test_status_is_of_the_entry(pair: Pair) -> None:
    """A link is told as a link, wherever it points."""
    (pair.src / "a").symlink_to("nowhere")
    assert stat.S_ISLNK(fsops.status(pair.src_fd, "a").st_mode)


def test_write_all_goes_on(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that takes three bytes at a time gets them all."""
    real = os.write
    monkeypatch.setattr(
        os, "write", lambda fd, data: real(fd, bytes(data[:3]))
    )
    fd = fsops.create(pair.src_fd, "a")
    fsops.write_all(fd, b"0123456789")
    fsops.write_all(fd, b"")
    os.close(fd)
    assert (pair.src / "a").read_text() == "0123456789"


def test_write_all_on_a_full_disk(
    pair: Pair, broken: Broken
) -> None:
    """A full disk is an error, not a short file."""
    broken(os, "write", errno.ENOSPC)
    fd = fsops.create(pair.src_fd, "a")
    with pytest.raises(OSError) as caught:
        fsops.write_all(fd, b"x")
    os.close(fd)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("where", ["pair", "fakepair"])
@pytest.mark.parametrize("durable", [True, False])
def test_replace_file(
    request: pytest.FixtureRequest, where: str, durable: bool
) -> None:
    """The file holds the new data, and nothing else is left behind."""
    dirs = request.getfixturevalue(where)
    for data in (b"first, longer", b"second"):
        fsops.replace_file(dirs.src_fd, "a", data, durable)
        assert (dirs.src / "a").read_bytes() == data
    assert os.listdir(dirs.src) == ["a"]


def test_replace_file_over_a_left_over(pair: Pair) -> None:
    """What a killed writer left does not stop the next one."""
    pair.put("a.new", "half")
    fsops.replace_file(pair.src_fd, "a", b"whole", False)
    assert os.listdir(pair.src) == ["a"]


def test_replace_file_on_a_full_disk(
    fakepair: Pair, fs: FakeFilesystem
) -> None:
    """A full disk keeps the old file, whole, and takes no space."""
    fsops.replace_file(fakepair.src_fd, "a", b"old", True)
    fs.set_disk_usage(1000)
    with pytest.raises(OSError) as caught:
        fsops.replace_file(fakepair.src_fd, "a", b"x" * 5000, True)
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(fakepair.src) == ["a"]
    assert (fakepair.src / "a").read_bytes() == b"old"


@pytest.mark.parametrize(
    "name, number",
    [("write", errno.ENOSPC), ("write", errno.EIO), ("fsync", errno.EIO),
     ("rename", errno.EIO), ("rename", errno.ENOSPC)],
)
def test_replace_file_that_fails(
    pair: Pair, broken: Broken, name: str, number: int
) -> None:
    """Whatever call fails, the old file stays and no other is left."""
    pair.put("a", "old")
    broken(os, name, number)
    with pytest.raises(OSError) as caught:
        fsops.replace_file(pair.src_fd, "a", b"new", True)
    assert caught.value.errno == number
    assert (pair.src / "a").read_text() == "old"
    assert os.listdir(pair.src) == ["a"]


def test_a_durable_file_is_flushed_before_its_rename(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the rename finds the data, not an empty file."""
    calls: list[str] = []

    def watched(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **keys: Any) -> Any:
            calls.append(name)
            return real(*args, **keys)

        return call

    for name in ("fsync", "rename"):
        monkeypatch.setattr(os, name, watched(name))
    fsops.replace_file(pair.src_fd, "a", b"x", True)
    fsops.replace_file(pair.src_fd, "b", b"x", False)
    assert calls == ["fsync", "rename", "rename"]


@pytest.mark.parametrize("where", ["pair", "fakepair"])
def test_read_file(request: pytest.FixtureRequest, where: str) -> None:
    """A file is read whole, or to its limit; none is None."""
    dirs = request.getfixturevalue(where)
    dirs.put("a", "0123456789")
    dirs.put("empty", "")
    assert fsops.read_file(dirs.src_fd, "a", 100) == b"0123456789"
    assert fsops.read_file(dirs.src_fd, "a", 10) == b"0123456789"
    assert fsops.read_file(dirs.src_fd, "a", 4) == b"0123"
    assert fsops.read_file(dirs.src_fd, "empty", 4) == b""
    assert fsops.read_file(dirs.src_fd, "gone", 4) is None


def test_read_file_takes_regular_files_only(pair: Pair) -> None:
    """A pipe does not hang the reader, and a link is not followed."""
    os.mkfifo(pair.src / "pipe")
    (pair.src / "dir").mkdir()
    (pair.src / "link").symlink_to("/etc/passwd")
    assert fsops.read_file(pair.src_fd, "pipe", 4) is None
    assert fsops.read_file(pair.src_fd, "dir", 4) is None
    with pytest.raises(OSError) as caught:
        fsops.read_file(pair.src_fd, "link", 4)
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("offset", [0, 3])
def test_read_upto_goes_on(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    """A kernel that gives two bytes at a time gives them all in the end."""
    real = os.read
    monkeypatch.setattr(
        os, "read", lambda fd, size: real(fd, min(size, 2))
    )
    text = "0123456789"
    with open(pair.put("a", text), "rb", buffering=0) as file:
        for limit in (1, 2, 3, 7, 10, 11):
            file.seek(offset)
            got = fsops.read_upto(file.fileno(), limit)
            assert got == text[offset:offset + limit].encode()


def test_read_upto_passes_errors_on(pair: Pair, broken: Broken) -> None:
    """A disk that fails is an error, not the end of the file."""
    broken(os, "read", errno.EIO)
    with open(pair.put("a"), "rb", buffering=0) as file:
        with pytest.raises(OSError):
            fsops.read_upto(file.fileno(), 10)


@pytest.mark.parametrize("where", ["pair", "fakepair"])
def test_remove_tree(request: pytest.FixtureRequest, where: str) -> None:
    """A tree is removed with all in it, and nothing its links point to."""
    dirs = request.getfixturevalue(where)
    (dirs.dst / "kept").write_text("kept")
    deep = dirs.src / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    (deep / "link").symlink_to(dirs.dst)
    (dirs.src / "a" / "filelink").symlink_to(dirs.dst / "kept")
    fsops.remove_tree(dirs.src_fd, "a")
    assert os.listdir(dirs.src) == []
    assert (dirs.dst / "kept").read_text() == "kept"


def test_remove_tree_of_a_link(pair: Pair) -> None:
    """A link in place of the tree is refused."""
    (pair.dst / "kept").touch()
    (pair.src / "a").symlink_to(pair.dst)
    with pytest.raises(OSError):
        fsops.remove_tree(pair.src_fd, "a")
    assert os.listdir(pair.dst) == ["kept"]


def test_remove_tree_leaks_nothing(pair: Pair, broken: Broken) -> None:
    """A tree that cannot be removed leaves no descriptor open."""
    (pair.src / "a" / "b").mkdir(parents=True)
    (pair.src / "a" / "b" / "file").touch()
    before = len(os.listdir("/proc/self/fd"))
    broken(os, "unlink", errno.EPERM)
    with pytest.raises(OSError):
        fsops.remove_tree(pair.src_fd, "a")
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("where", ["pair", "fakepair"])
def test_small_ones(request: pytest.FixtureRequest, where: str) -> None:
    """Listing, and removing an empty directory, do just that."""
    dirs = request.getfixturevalue(where)
    dirs.put("a")
    (dirs.src / "dir").mkdir()
    assert sorted(fsops.listed(dirs.src_fd)) == ["a", "dir"]
    fsops.remove_dir(dirs.src_fd, "dir")
    assert fsops.listed(dirs.src_fd) == ["a"]


def test_remove_dir_that_is_not_empty(pair: Pair) -> None:
    """A directory with something in it stays."""
    (pair.src / "dir" / "sub").mkdir(parents=True)
    with pytest.raises(OSError):
        fsops.remove_dir(pair.src_fd, "dir")


def test_sync_is_tried_once(pair: Pair, broken: Broken) -> None:
    """An error of fsync is passed on and never tried again."""
    calls = broken(os, "fsync", errno.EIO, times=1)
    with pytest.raises(OSError) as caught:
        fsops.sync(pair.src_fd)
    assert caught.value.errno == errno.EIO and len(calls) == 1


def test_sync_file_system() -> None:
    """A whole file system is flushed; a bad descriptor is an error."""
    fd = os.memfd_create("test")  # a file system in memory: nothing to do
    fsops.sync_file_system(fd)
    os.close(fd)
    with pytest.raises(OSError) as caught:
        fsops.sync_file_system(fd)
    assert caught.value.errno == errno.EBADF
