# SPDX-License-Identifier: MIT
"""
Pull the plug under a running daemon and its producers, and see what is left.

    PYTHONPATH=tests python -m crash.powercut --fs xfs --cuts 500

The plug is the SHUTDOWN ioctl of ext4 and xfs: what the journal has not
committed is gone, and every call answers EIO until the next mount, which
replays the journal.  btrfs has no such ioctl.
"""

import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from support import Spoold, SpoolDir

from . import machine, producer, verdict
from .verdict import Counts

_AT_LEAST = 3
KINDS = ("ext4", "xfs")
PRODUCERS = 2
#: From start to cut: within the start of Python and of spoold, or at work.
_WAIT_S = (0.05, 0.9)
#: Submits of one producer: for ever, or until the daemon is alone.
_COUNTS = ("0", "20", "60")
#: How often the power goes again while the daemon recovers.
_AGAIN = 0.25


class Campaign:
    """One file system, cut again and again."""

    def __init__(
        self, kind: str, scratch: str, seed: int, durable: bool
    ) -> None:
        """Make an image of *kind* in the directory *scratch*."""
        self.counts = Counts(f"{kind}: 0 power cuts")
        self._kind = kind
        self._durable = durable
        self._dice = random.Random(seed)
        self._scratch = scratch
        self._image = os.path.join(scratch, "image")
        self._where = os.path.join(scratch, "mnt")
        self._path = os.path.join(self._where, "spool")
        self._acks = [
            os.path.join(scratch, f"acks.{number}")
            for number in range(PRODUCERS)
        ]
        os.mkdir(self._where)
        machine.make_image(kind, self._image)

    def cut(self) -> None:
        """One power cut, sometimes two, and all that must hold after it."""
        for path in self._acks:
            pathlib.Path(path).write_bytes(b"")
        with self._power():
            shutil.rmtree(self._path, ignore_errors=True)
            spool = verdict.make_spool(self._path)
            self._run_until_cut(spool, PRODUCERS)
        self._look()
        while self._durable and self._dice.random() < _AGAIN:
            with self._power():
                self._run_until_cut(verdict.make_spool(self._path), 0)
            self._look()
        if self._durable:
            with self._power():
                verdict.drain(self._path, self._confirmed(), self.counts)

    def _power(self) -> contextlib.AbstractContextManager[None]:
        return machine.powered(self._image, self._where, self._kind)

    def _look(self) -> None:
        counts = self.counts
        counts.cuts += 1
        counts.what = f"{self._kind}: {counts.cuts} power cuts"
        with self._power():
            verdict.judge(
                self._path, self._confirmed(), counts,
                recovering=False, strict=self._durable,
            )

    def _confirmed(self) -> list[str]:
        out = []
        for path in self._acks:
            lines = pathlib.Path(path).read_text().splitlines(True)
            out += [line.strip() for line in lines if line.endswith("\n")]
        return out

    def _run_until_cut(self, spool: SpoolDir, producers: int) -> None:
        log = pathlib.Path(self._scratch, "spoold.log")
        how = "durable" if self._durable else "relaxed"
        started: list[subprocess.Popen[bytes]] = []
        daemon = Spoold(spool, log)
        try:
            for acks in self._acks[:producers]:
                seed = str(self._dice.random())
                started.append(subprocess.Popen(
                    [sys.executable, producer.__file__, str(spool.path),
                     acks, how, seed, self._dice.choice(_COUNTS)],
                    stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                ))
            time.sleep(self._dice.uniform(*_WAIT_S))
            machine.pull_the_plug(self._where)
            # What is confirmed from here on was confirmed by a dead disk.
            time.sleep(0.02)
        finally:
            for process in started:
                process.kill()
                process.wait()
            daemon.kill()
            for pid in daemon.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            daemon.close()


def campaign(
    kind: str, cuts: int, seed: int = 1, durable: bool = True,
    until_lost: bool = False, seconds: float = 1e9,
) -> Counts:
    """
    Cut the power *cuts* times, or as often as *seconds* allow, and _AT_LEAST.

    Args:
        durable: how the producers submit.
        until_lost: stop at the first loss, which is expected.
    """
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(
        prefix="spool-powercut-", dir=machine.SCRATCH
    ) as scratch:
        run = Campaign(kind, scratch, seed, durable)
        while run.counts.cuts < cuts and (
            time.monotonic() < end or run.counts.cuts < _AT_LEAST
        ):
            run.cut()
            if until_lost and run.counts.lost:
                break
        return run.counts


def main() -> int:
    """Cut as told; the status is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m crash.powercut")
    parser.add_argument("--fs", choices=KINDS, default="ext4")
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--relaxed", action="store_true",
        help="submit without a flush: jobs must be lost",
    )
    args = parser.parse_args()
    why = machine.why_not(args.fs)
    if why is not None:
        print(why, file=sys.stderr)
        return 2
    machine.end_on_sigterm()
    counts = campaign(
        args.fs, args.cuts, args.seed, not args.relaxed,
        seconds=args.seconds,
    )
    print(counts.report())
    return 0 if counts.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
