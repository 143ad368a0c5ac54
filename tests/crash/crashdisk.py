# SPDX-License-Identifier: MIT
"""
Every state a power cut can leave a disk in, and what is left of the jobs.

    PYTHONPATH=tests python -m crash.crashdisk --fs btrfs --who daemon \\
        --states 20000

A real file system runs on a disk that logs each write and flush (blocklog).
Any state can be rebuilt from the log: a *prefix*, as if the power went
between two writes; or a *reorder*, all up to the last flush and a random
part of what the disk had in its cache, one block of it perhaps torn.  Each
state is mounted, so journals really are replayed, and judged.
"""

import argparse
import contextlib
import dataclasses
import logging
import mmap
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from support import Spoold, SpoolDir, wait_until

from spooler import configfile, names, settle
from spooler.client import Client
from spooler.spool import Spool

from . import blocklog, machine, producer, verdict
from .blocklog import FLUSH, MARK, WRITE, Entry
from .verdict import Counts

KINDS = ("ext4", "xfs", "btrfs")
PRODUCERS = 2
_CHUNK = 1 << 16
#: A sector the disk writes whole or not at all.
_SECTOR = 4096
_DROPS = (0.1, 0.5, 0.9)
_ALWAYS = 5
_TORN = 0.3
_START = "start"


@dataclasses.dataclass(frozen=True)
class Recording:
    """An image as it was before the first write, and all that followed."""

    kind: str
    base: bytes
    log: list[Entry]


@dataclasses.dataclass(frozen=True)
class Scene:
    """
    Where work is done, and how much of it.

    Attributes:
        marks: the file that takes what is confirmed.
        scratch: a directory on a disk that lives.
        count: submits of each producer.
    """

    spool: SpoolDir
    marks: str
    scratch: str
    count: int
    seed: int


def producers(scene: Scene, how: str = "durable") -> None:
    """Producers alone, as while spoold is down."""
    started = [
        subprocess.Popen(
            [sys.executable, producer.__file__, str(scene.spool.path),
             scene.marks, how, f"{scene.seed}.{number}", str(scene.count)],
            stdin=subprocess.DEVNULL,
        )
        for number in range(PRODUCERS)
    ]
    try:
        for process in started:
            assert process.wait(60) == 0
    finally:
        for process in started:
            process.kill()
            process.wait()


def relaxed(scene: Scene) -> None:
    """The same without a flush: what the judge must condemn."""
    producers(scene, "relaxed")


def daemon(scene: Scene) -> None:
    """Producers, and a spoold that runs their jobs as they come."""
    spool = scene.spool
    spoold = Spoold(spool, pathlib.Path(scene.scratch, "spoold.log"))
    try:
        spoold.wait_ready()
        producers(scene)
        wait_until(
            lambda: not any(
                spool.count(state)
                for state in ("incoming", "active", "deferred")
            ),
            what=spool.tree,
        )
    finally:
        spoold.close()


def worker(scene: Scene) -> None:
    """
    Settle jobs with output, as a worker does, long after they were claimed.

    So long that the disk has all that came before, which is what btrfs takes
    for a reason to forget a rename.
    """
    handler = configfile.load(str(scene.spool.path)).handlers["copy"]
    body = b"x" * 3000
    with (
        Client(str(scene.spool.path)) as client,
        Spool(str(scene.spool.path)) as spool,
        open(scene.marks, "wb", buffering=0) as marks,
    ):
        for _ in range(scene.count):
            job_id = client.submit("copy", body=body)
            marks.write(f"{job_id}\n".encode())
            (waiting,) = scene.spool.listed("incoming")
            active = spool.claim(waiting, "0000000")
            assert active is not None
            stem = active[:names.STEM_CHARS]
            (scene.spool.path / "active" / f"{stem}.out").write_bytes(body)
            machine.sync_tree(str(scene.spool.path))
            settle.settle(
                spool, active,
                settle.Outcome(
                    settle.DONE, "ok", time.time_ns(), 1,
                    out_bytes=len(body),
                ),
                handler, None, True, time.time_ns(), 0.0,
            )


#: Who works while the disk is recorded.
WORK = {
    "producers": producers, "daemon": daemon, "worker": worker,
    "relaxed": relaxed,
}


def record(kind: str, who: str, count: int, seed: int = 1) -> Recording:
    """Let *who* work on a fresh file system; returns what it wrote."""
    with tempfile.TemporaryDirectory(
        prefix="spool-crashdisk-", dir=machine.SCRATCH
    ) as scratch:
        image, log, served, where = (
            os.path.join(scratch, name)
            for name in ("image", "log", "served", "mnt")
        )
        os.mkdir(served)
        os.mkdir(where)
        machine.make_image(kind, image)
        with blocklog.served(image, log, served):
            disk = os.path.join(served, "disk")
            marks = os.path.join(served, "mark")
            with machine.powered(disk, where, kind):
                spool = verdict.make_spool(os.path.join(where, "spool"))
                with open(marks, "wb", buffering=0) as stream:
                    stream.write(f"{_START}\n".encode())
                WORK[who](Scene(spool, marks, scratch, count, seed))
        base = pathlib.Path(image).read_bytes()
        return Recording(kind, base, blocklog.read_log(log))


class Disk:
    """An image that is taken from one crash state to the next."""

    def __init__(self, recording: Recording, path: str) -> None:
        """Make the image at *path*."""
        self._log = recording.log
        self._size = len(recording.base)
        self._now = bytearray(recording.base)  #: after the first _at entries
        self._at = 0
        self._safe = bytearray(recording.base)  #: after the last flush
        self._safe_at = 0
        self._last_flush = -1
        with open(path, "wb") as image:
            image.truncate(self._size)
        self._fd = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(self._fd, self._size)
        zero = bytes(_CHUNK)
        self._hot = {
            at for at in range(0, self._size, _CHUNK)
            if self._now[at:at + _CHUNK] != zero
        }
        for what, offset, data in self._log:
            if what == WRITE:
                self._hot.update(_chunks(offset, offset + len(data)))

    def close(self) -> None:
        """Let the image go."""
        self._map.close()
        os.close(self._fd)

    def advance(self, cut: int) -> None:
        """Let all happen that is in the log before *cut*; never back."""
        while self._at < cut:
            what, offset, data = self._log[self._at]
            if what == WRITE:
                self._now[offset:offset + len(data)] = data
            elif what == FLUSH:
                self._last_flush = self._at
            self._at += 1

    def pending(self) -> list[int]:
        """The writes that no flush has followed."""
        return [
            at for at in range(self._last_flush + 1, self._at)
            if self._log[at].what == WRITE
        ]

    @contextlib.contextmanager
    def only(
        self, kept: list[int], torn: int, keep_bytes: int
    ) -> Iterator[None]:
        """
        Of the pending writes let only *kept* have reached the disk.

        Args:
            torn: one of them, of which only *keep_bytes* did.
        """
        while self._safe_at <= self._last_flush:
            what, offset, data = self._log[self._safe_at]
            if what == WRITE:
                self._safe[offset:offset + len(data)] = data
            self._safe_at += 1
        undo = []
        for at in self.pending():
            _, offset, data = self._log[at]
            end = offset + len(data)
            undo.append((offset, bytes(self._now[offset:end])))
        for offset, old in undo:
            end = offset + len(old)
            self._now[offset:end] = self._safe[offset:end]
        for at in kept:
            _, offset, data = self._log[at]
            part = data[:keep_bytes] if at == torn else data
            self._now[offset:offset + len(part)] = part
        try:
            yield
        finally:
            for offset, old in undo:
                self._now[offset:offset + len(old)] = old

    def tear(self, at: int, dice: random.Random) -> int:
        """How many bytes of the write *at* reach the disk before it stops."""
        sectors = len(self._log[at].data) // _SECTOR
        return dice.randrange(1, max(2, sectors)) * _SECTOR

    def write_image(self) -> None:
        """Make the image what the disk is, touching what can differ."""
        todo = set(self._hot)
        at = 0
        while at < self._size:  # what the last mount wrote by itself
            try:
                at = os.lseek(self._fd, at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(self._fd, at, os.SEEK_HOLE)
            todo.update(_chunks(at, end))
            at = end
        image, now = self._map, self._now
        for at in todo:
            end = at + _CHUNK
            # Bytes, because views are compared one byte after the other.
            data = bytes(now[at:end])
            if image[at:end] != data:
                image[at:end] = data


@contextlib.contextmanager
def scratch_disk(
    log: list[Entry], size: int
) -> Iterator[tuple[Disk, pathlib.Path]]:
    """Lend an empty disk of *size* bytes, and the file its image is in."""
    with tempfile.TemporaryDirectory(dir=machine.SCRATCH) as scratch:
        image = pathlib.Path(scratch, "image")
        disk = Disk(Recording("", bytes(size), log), str(image))
        try:
            yield disk, image
        finally:
            disk.close()


def _chunks(start: int, end: int) -> range:
    return range(start // _CHUNK * _CHUNK, end, _CHUNK)


def pick(
    log: list[Entry], prefixes: int, reorders: int, dice: random.Random
) -> list[tuple[int, bool]]:
    """
    Choose crash states: how many entries happened, and whether reordered.

    Args:
        prefixes: how many to choose; negative: all there are.
    """
    first = next(
        at for at, entry in enumerate(log) if entry.what == MARK
    )
    cuts = [
        at + 1 for at in range(first, len(log)) if log[at].what != FLUSH
    ]
    chosen = cuts
    if 0 <= prefixes < len(cuts):
        chosen = dice.sample(cuts, prefixes)
    return sorted(
        [(cut, False) for cut in chosen]
        + [(dice.choice(cuts), True) for _ in range(reorders)]
    )


def explore(
    recording: Recording, counts: Counts, prefixes: int, reorders: int,
    seed: int = 1, strict: bool = True, drain_every: int = 0,
    seconds: float = 1e9,
) -> None:
    """
    Judge crash states of a recording; no state is counted twice.

    Args:
        counts: is added to.
        strict: as of verdict.judge.
        drain_every: a real spoold finishes each state of that many.
        seconds: if it takes longer, states are left out, evenly; one in
            _ALWAYS is looked at however slow the machine is.
    """
    kind, dice = recording.kind, random.Random(seed)
    seen: set[tuple[int, tuple[int, ...], int, int]] = set()
    states = pick(recording.log, prefixes, reorders, dice)
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(
            prefix="spool-crashstate-", dir=machine.SCRATCH
        ))
        image = os.path.join(scratch, "image")
        where = os.path.join(scratch, "mnt")
        os.mkdir(where)
        disk = Disk(recording, image)
        stack.callback(disk.close)
        device = stack.enter_context(machine.loop_device(image))
        device_fd = os.open(device, os.O_RDWR)
        stack.callback(os.close, device_fd)
        confirmed: list[str] = []
        marked = 0
        for number, (cut, reordered) in enumerate(states):
            spent = time.monotonic() - start
            late = spent * len(states) > (number + 1) * seconds
            if late and number % _ALWAYS:
                continue
            disk.advance(cut)
            for entry in recording.log[marked:cut]:
                if entry.what == MARK:
                    confirmed += entry.data.decode().split()
            marked = cut
            with contextlib.ExitStack() as state:
                if reordered:
                    pending = disk.pending()
                    drop = dice.choice(_DROPS)
                    kept = [at for at in pending if dice.random() >= drop]
                    torn = keep = -1
                    if kept and dice.random() < _TORN:
                        torn = dice.choice(kept)
                        keep = disk.tear(torn, dice)
                    key = cut - len(pending), tuple(kept), torn, keep
                    if not pending or key in seen:
                        continue
                    seen.add(key)
                    state.enter_context(disk.only(kept, torn, keep))
                disk.write_image()
            counts.cuts += 1
            counts.reorders += reordered
            machine.forget_blocks(device_fd)
            try:
                with machine.mounted(device, where, kind):
                    _judge(
                        os.path.join(where, "spool"),
                        [one for one in confirmed if one != _START],
                        counts, strict, drain_every,
                    )
            except OSError as error:
                counts.note("wrong", f"cannot be mounted or read: {error}")
    counts.what = (
        f"{kind}: {counts.cuts} crash states"
        f" ({counts.cuts - counts.reorders} prefixes,"
        f" {counts.reorders} reorders)"
    )


def campaign(
    kind: str, who: str, states: int, seed: int = 1, count: int = 12,
    drain_every: int = 100, seconds: float = 1e9,
) -> Counts:
    """
    Record and explore, each time anew, until *states* were seen.

    Of every recording all prefixes and as many reorders are looked at, or
    fewer in the last one.
    """
    end = time.monotonic() + seconds
    counts = Counts(f"{kind}: no crash states")
    while counts.cuts < states and (left := end - time.monotonic()) > 0:
        recording = record(kind, who, count, seed)
        half = min(len(recording.log), -(-(states - counts.cuts) // 2))
        explore(
            recording, counts, half, half, seed, who != "relaxed",
            drain_every, left,
        )
        seed += 1
    counts.what += f" of {who}"
    return counts


def _judge(
    path: str, confirmed: list[str], counts: Counts, strict: bool,
    drain_every: int,
) -> None:
    draining = bool(drain_every) and counts.cuts % drain_every == 0
    verdict.judge(
        path, confirmed, counts, recovering=not draining, strict=strict
    )
    if draining:
        verdict.drain(path, confirmed, counts)


def why_not(kind: str) -> str | None:
    """Say why there can be no crash states of *kind*; None if there can."""
    return machine.why_not(kind) or blocklog.why_not()


def main() -> int:
    """Explore as told; the status is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m crash.crashdisk")
    parser.add_argument("--fs", choices=KINDS, default="ext4")
    parser.add_argument("--who", choices=list(WORK), default="daemon")
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--count", type=int, default=12,
                        help="submits of each of the two producers")
    parser.add_argument("--drain-every", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    why = why_not(args.fs)
    if why is not None:
        print(why, file=sys.stderr)
        return 2
    machine.end_on_sigterm()
    logging.disable(logging.WARNING)  # of jobs that were interrupted
    counts = campaign(
        args.fs, args.who, args.states, args.seed, args.count,
        args.drain_every, args.seconds,
    )
    print(counts.report())
    return 0 if counts.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
