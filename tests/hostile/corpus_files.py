# SPDX-License-Identifier: MIT
"""Hostile kinds of file, and files of hostile state."""

import fcntl
import os
import pathlib
import socket
import stat
from collections.abc import Callable, Iterator

from hostile.kinds import BAD, LEFT, RAN, WAITS, Kind, Make, filed, write
from hostile.kinds import note as document
from hostile.stage import APPEND_ONLY, IMMUTABLE, set_attribute

_ID = "4.1hqij4{:02d}1bqt42uq3gn5"
_FAR = 4_294_967_295


def _link(target: str) -> Make:
    return lambda path: os.symlink(target, path)


def _socket(listen: bool) -> Make:
    def make(path: str) -> None:
        # The address is shorter than the path of a spool may be.
        where = os.open(os.path.dirname(path), os.O_PATH)
        made = socket.socket(socket.AF_UNIX)
        made.bind(f"/proc/self/fd/{where}/{os.path.basename(path)}")
        if listen:
            made.listen(1)
            _kept.append(made)
        os.close(where)

    return make


#: What must stay open as long as the process lives.
_kept: list[object] = []


def _fifo(held: bool) -> Make:
    def make(path: str) -> None:
        os.mkfifo(path, 0o644)
        if held:
            fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            os.write(fd, document("NEVER: read from a pipe"))

    return make


def _device(kind: int, major: int, minor: int) -> Make:
    def make(path: str) -> None:
        os.mknod(path, kind | 0o644, os.makedev(major, minor))

    return make


def _directory(*inside: str, mode: int = 0o755) -> Make:
    def make(path: str) -> None:
        os.mkdir(path)
        for name in inside:
            os.makedirs(os.path.join(path, os.path.dirname(name)),
                        exist_ok=True)
            write(os.path.join(path, name), document("NEVER: in a directory"))
        os.chmod(path, mode)

    return make


def _sparse(head: bytes, size: int) -> Make:
    def make(path: str) -> None:
        write(path, head)
        os.truncate(path, size)

    return make


def _open_after(data: bytes, do: Callable[[int], object]) -> Make:
    def make(path: str) -> None:
        write(path, data)
        do(os.open(path, os.O_RDWR))  # open as long as the process lives

    return make


def _times(data: bytes, moment: int) -> Make:
    def make(path: str) -> None:
        write(path, data)
        os.utime(path, (moment, moment))

    return make


def _attribute(flag: int) -> Make:
    def make(path: str) -> None:
        write(path, document("NEVER: cannot be moved"))
        try:
            set_attribute(path, flag, True)
        except OSError:
            os.unlink(path)
            raise

    return make


def _forms(
    number: int, stem: str
) -> Iterator[tuple[str, bytes, str | None]]:
    """One kind of file as a payload, a document, and a minted job."""
    yield "payload", f"{stem}.dat".encode(), None
    yield "document", f"{stem}.job".encode(), None
    tail = f"{stem}-m.job"
    yield "minted", f"{_ID.format(number)}.hnote,{tail}".encode(), tail


def links(outside: pathlib.Path, active: str) -> Iterator[Kind]:
    """Symbolic links; *active* is the name of a running job."""
    targets = {
        "a secret": str(outside / "secret"),
        "a document outside": str(outside / "secret.job"),
        "a program": str(outside / "program"),
        "endless data": "/dev/zero",
        "a terminal": "/dev/tty",
        "a running job": f"../active/{active}",
        "nothing": "absent",
        "itself": "to-itself",
        "the root": "/",
        "passwords": "/etc/passwd",
        "its own descriptor": "/proc/self/fd/0",
        "another job of its own": "good-payload.dat",
    }
    for number, (label, target) in enumerate(targets.items()):
        for form, name, tail in _forms(number, f"link{number}"):
            yield Kind(
                f"link to {label}, {form}", name, _link(target), BAD,
                tail=tail,
            )
    yield Kind(
        "link that is due later",
        f"{_ID.format(98)}.dvvvvvvvvvvv,late.job".encode(),
        _link("/etc/passwd"), WAITS, tail="late.job",
    )
    yield Kind(
        "link that is a record", f"{_ID.format(99)}.result".encode(),
        _link("/etc/passwd"), LEFT,
    )


def special() -> Iterator[Kind]:
    """Pipes, sockets and devices."""
    makers: dict[str, tuple[Make, bool]] = {
        "pipe": (_fifo(False), False),
        "pipe with a job in it": (_fifo(True), False),
        "socket": (_socket(False), False),
        "socket that listens": (_socket(True), False),
        "character device zero": (_device(stat.S_IFCHR, 1, 5), True),
        "character device full": (_device(stat.S_IFCHR, 1, 7), True),
        "block device": (_device(stat.S_IFBLK, 1, 0), True),
    }
    for number, (label, (make, root)) in enumerate(makers.items(), 20):
        for form, name, tail in _forms(number, f"special{number}"):
            yield Kind(
                f"{label}, {form}", name, make, BAD, tail=tail, by_root=root
            )


def directories(many: int) -> Iterator[Kind]:
    """Directories, which are never jobs; one kind is *many* of them."""
    deep = "/".join(["d"] * 60) + "/x.job"
    for label, name, make in (
        ("empty directory", b"dir", _directory()),
        ("directory like a document", b"dir.job", _directory()),
        ("directory like a job", f"{_ID.format(40)},note.job".encode(),
         _directory()),
        ("directory like a payload of a handler",
         f"{_ID.format(41)},dir".encode(), _directory()),
        ("directory with jobs in it", b"dirs", _directory("a.job", "b.dat")),
        ("deep directory", b"deep", _directory(deep)),
        ("directory anyone may write to", b"open", _directory(mode=0o777)),
        ("directory like a directory of the spool", b"done", _directory()),
    ):
        yield Kind(label, name, make, LEFT)
    yield Kind(
        "directory nobody may enter", b"closed", _directory(mode=0), LEFT,
        in_place=True,  # it cannot be moved
    )
    yield Kind(
        f"{many} directories", b"many-0", _directories(many), LEFT,
        in_place=True,
    )


def _directories(count: int) -> Make:
    def make(path: str) -> None:
        for number in range(count):
            os.mkdir(f"{path.removesuffix('0')}{number}")

    return make


def closed() -> Iterator[Kind]:
    """Files that spoold, as another user, cannot read."""
    for label, name, data, mode in (
        ("unreadable payload", b"closed.dat", b"closed", 0o600),
        ("unreadable document", b"closed.job",
         document("NEVER: unreadable"), 0o600),
        ("mode 0", b"mode0.dat", b"mode 0", 0),
        ("write-only", b"mode222.dat", b"mode 222", 0o222),
    ):
        yield Kind(label, name, filed(data, mode), BAD)


def states() -> Iterator[Kind]:
    """Regular files of odd sizes, modes, times and flags."""
    def lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    for label, name, make, fate in (
        ("4 TiB of nothing", b"huge.dat", _sparse(b"", 1 << 42), BAD),
        ("4 TiB of header", b"huge.job", _sparse(b"H", 1 << 42), BAD),
        ("4 TiB of body", b"body.job",
         _sparse(document("NEVER: 4 TiB"), 1 << 42), BAD),
        ("4 TiB of JSON", b"json.job", _sparse(b"{", 1 << 42), BAD),
        ("a byte over max_size", b"over.dat",
         _sparse(b"", (4 << 20) + 1), BAD),
        ("max_size", b"just.dat", _sparse(b"", 4 << 20), RAN),
        ("no byte", b"empty.dat", filed(b""), RAN),
        ("no byte of a document", b"empty.job", filed(b""), BAD),
        ("set-user-ID", b"suid",
         filed(b"#!/bin/sh\ntouch RAN\n", 0o6755), RAN),
        ("world-writable", b"world.dat", filed(b"anyone's", 0o666), RAN),
        ("program", b"program.sh", filed(b"#!/bin/sh\ntouch RAN\n", 0o777),
         RAN),
        ("of 2106", b"late.dat", _times(b"2106", _FAR), RAN),
        ("of 1970", b"early.dat", _times(b"1970", 0), RAN),
        ("locked", b"flock.dat", _open_after(b"flock", lock), RAN),
        ("open for writing", b"open.dat",
         _open_after(b"open", lambda fd: None), RAN),
        ("with a second name", b"linked.dat", _second_name, RAN),
    ):
        yield Kind(label, name, make, fate)
    for flag, label in (
        (IMMUTABLE, "immutable"), (APPEND_ONLY, "append"),
    ):
        for form, name in (("payload", b".dat"), ("document", b".job")):
            yield Kind(
                f"{label} {form}", label.encode() + name, _attribute(flag),
                LEFT, by_root=True, in_place=True,
            )


def _second_name(path: str) -> None:
    write(path, b"two names")
    os.link(path, f"{path}.other")
