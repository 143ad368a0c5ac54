# SPDX-License-Identifier: MIT
"""
The long forms of all that proves a promise, in one run by hand.

    PYTHONPATH=tests python -m prove [--share 0.1] [--lanes 2] [--out DIR]
        [PART...]

All of it takes a day or more, a tenth about an hour in three lanes.  Each
part's counts are printed when it ends, its whole output is kept in DIR; run
it as root.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).parents[1]
FILE_SYSTEMS = ("ext4", "xfs", "btrfs")
#: What is a part's own account of what it did.
_COUNTS = re.compile(
    r"\d.* (states|cuts|violations|wrong|harmed|won|lost|refused|surprises"
    r"|jobs|harm|ran|were|doubled|waiting|done|kills|caught|found|alarms)\b"
    r"|^(scale|hostile|events|clock|soak|order|model|recovery) "
)
_ENDS = re.compile(r"^=*\s*\d+ (passed|failed)|^(FAILED|ERROR|SKIPPED) ")


@dataclasses.dataclass(frozen=True)
class Part:
    """
    One program that proves something.

    Attributes:
        minutes: that a tenth took; the longest begin first.
        words: of its command line, after the interpreter.
        counts: words that stand for a share of a figure.
    """

    name: str
    minutes: float
    words: tuple[str, ...]
    counts: tuple[tuple[str, int], ...] = ()

    def line(self, share: float) -> list[str]:
        """The command line for that share of the figures."""
        out = [sys.executable, *self.words]
        for word, whole in self.counts:
            out += [word, str(round(whole * share))]
        return out


def tests(*words: str, processes: int = 1) -> tuple[str, ...]:
    """The command line of tests in their long form."""
    return (
        "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider",
        "-n", str(processes), "-o", "timeout=0", *words,
    )


def states(kind: str, who: str) -> Part:
    """Crash states of one file system under one kind of work."""
    return Part(f"states-{kind}-{who}", 4, (
        "-m", "crash.crashdisk", "--fs", kind, "--who", who,
    ), (("--states", 7000),))


def cuts(kind: str) -> Part:
    """Live power cuts of one file system."""
    return Part(f"cuts-{kind}", 8, (
        "-m", "crash.powercut", "--fs", kind,
    ), (("--cuts", 2100),))


PARTS = (
    *(states(kind, who) for kind in FILE_SYSTEMS
      for who in ("producers", "worker", "daemon")),
    *map(cuts, ("ext4", "xfs")),
    Part("soak", 19, ("-m", "soak.soak", "--every", "0.5"),
         (("--seconds", 11_000),)),
    Part("kills", 25, tests("tests/fault/test_kill.py")),
    Part("errors", 10, tests("tests/fault/test_error.py")),
    Part("deaths", 14, tests("tests/deaths", processes=3)),
    Part("order", 20, tests("tests/model/test_order.py")),
    Part("lives", 10, tests("tests/model/test_machine.py")),
    Part("claims", 2, tests("tests/protocol/test_claim_race.py")),
    Part("events", 2, tests("tests/events")),
    Part("clock", 4, tests("tests/clock")),
    Part("disks", 2, tests("tests/disk")),
    Part("hostile", 10, tests("tests/hostile")),
    Part("check", 4, tests("tests/check")),
    Part("mutants", 10, tests("tests/mutants")),
    Part("scale", 12, tests("tests/scale")),
)


class Run:
    """All parts, in lanes beside each other."""

    def __init__(self, out: pathlib.Path, share: float) -> None:
        self._out = out
        self._share = share
        self._lock = threading.Lock()
        self.failed: list[str] = []

    def part(self, part: Part) -> None:
        """Run one, and tell of it."""
        log = self._out / f"{part.name}.log"
        began = time.monotonic()
        environ = dict(os.environ, SPOOL_LONG=str(self._share))
        environ["PYTHONPATH"] = os.pathsep.join((
            str(ROOT), str(ROOT / "tests"), environ.get("PYTHONPATH", ""),
        ))
        words = part.line(self._share)
        scratch = tempfile.mkdtemp(prefix="spool-prove.")
        if "pytest" in words:
            words.append(f"--basetemp={scratch}/{part.name}")
        with open(log, "wb") as stream:
            code = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=subprocess.STDOUT, cwd=ROOT, env=environ, check=False,
            ).returncode
        with self._lock:
            took = time.monotonic() - began
            print(f"== {part.name}: exit {code}, {took:.0f} s", flush=True)
            for line in log.read_text(errors="replace").splitlines():
                if _COUNTS.search(line) or _ENDS.search(line):
                    print(f"   {line[:300]}", flush=True)
            if code:
                self.failed.append(part.name)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="prove")
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0,
                        help="of the figures to reach")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("parts", nargs="*", metavar="PART")
    typed = parser.parse_args()
    out = typed.out or pathlib.Path(tempfile.mkdtemp(prefix="spool-prove."))
    out.mkdir(parents=True, exist_ok=True)
    wanted = [
        part for part in PARTS
        if not typed.parts or part.name.startswith(tuple(typed.parts))
    ]
    wanted.sort(key=lambda part: -part.minutes)
    run = Run(out, typed.share)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(typed.lanes) as lanes:
        list(lanes.map(run.part, wanted))
    print(
        f"{len(wanted)} parts in {(time.monotonic() - began) / 60:.0f} min,"
        f" failed: {', '.join(run.failed) or 'none'}; output in {out}"
    )
    sys.exit(bool(run.failed))


if __name__ == "__main__":
    main()
