# SPDX-License-Identifier: MIT
"""
Measure spooler, each figure beside its floor in the same run.

    python tests/bench/bench.py latency [--jobs 500] [--gap-ms 10]
    python tests/bench/bench.py drain [--jobs 20000] [--rounds 5]

Run by hand; it asserts nothing.  DIR (--dir) decides the file system.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from spooler import client, layout

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HANDLERS = '''
import os, time
LOG = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def noop():
    pass
def stamp(number):
    os.write(LOG, b"%s %d\\n" % (number.encode(), time.monotonic_ns()))
'''
CONFIG = """
format = 1
workers = {workers}
durability = "relaxed"
[handler.noop]
python = "bench_handlers:noop"
[handler.stamp]
python = "bench_handlers:stamp"
"""


class Bench:
    """A scratch spool and its handlers."""

    def __init__(self, where: str | None, workers: int) -> None:
        self.root = tempfile.mkdtemp(prefix="spool-bench-", dir=where)
        self.spool = os.path.join(self.root, "spool")
        self.log = os.path.join(self.root, "log")
        self.config = CONFIG.format(workers=workers)
        handlers = HANDLERS.format(log=self.log)
        Path(self.root, "bench_handlers.py").write_text(handlers)

    def fresh(self) -> None:
        """Make the spool anew."""
        shutil.rmtree(self.spool, ignore_errors=True)
        layout.create(self.spool)
        Path(self.spool, "spool.toml").write_text(self.config)

    def daemon(self, *options: str) -> "subprocess.Popen[bytes]":
        """Start spoold and wait until it is ready."""
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "bin/spoold"), *options, self.spool],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": self.root},
        )
        assert process.stderr is not None
        while line := process.stderr.readline():
            if b"ready" in line:
                break
        return process

    def close(self) -> None:
        """Remove it all."""
        shutil.rmtree(self.root, ignore_errors=True)


def latency(args: argparse.Namespace) -> None:
    """Rename to handler start, one job at a time on an idle daemon."""
    bench = Bench(args.dir, args.workers)
    try:
        bench.fresh()
        process = bench.daemon()
        sent = {}
        with client.Client(bench.spool, durable=False) as producer:
            for _ in range(20):  # workers import their handlers
                producer.submit("stamp", "warm")
                time.sleep(0.05)
            for number in range(args.jobs):
                # The clock stops the rename short by the submit's own time.
                sent[str(number)] = time.monotonic_ns()
                producer.submit("stamp", str(number))
                time.sleep(args.gap_ms / 1000)
            while Path(bench.log).read_bytes().count(b"\n") < args.jobs + 20:
                time.sleep(0.05)
        process.terminate()
        process.wait()
        waits = []
        for line in Path(bench.log).read_text().splitlines():
            number, stamp = line.split()
            if number in sent:
                waits.append((int(stamp) - sent[number]) / 1e6)
        waits.sort()
        print(
            f"submit to handler start, {len(waits)} jobs {args.gap_ms:g} ms"
            f" apart: median {statistics.median(waits):.2f} ms,"
            f" p99 {waits[int(len(waits) * .99)]:.2f} ms,"
            f" max {waits[-1]:.2f} ms"
        )
    finally:
        bench.close()


def drain(args: argparse.Namespace) -> None:
    """A backlog of no-op Python jobs against the same calls in C."""
    bench = Bench(args.dir, args.workers)
    ours, floors = [], []
    try:
        floor = os.path.join(bench.root, "floor")
        subprocess.run(
            ["cc", "-O2", "-o", floor, str(HERE / "floor.c")], check=True
        )
        for _ in range(args.rounds):
            where = os.path.join(bench.root, "floor-spool")
            out = subprocess.check_output(
                [floor, where, str(args.jobs), str(args.workers)]
            )
            floors.append(float(out))
            shutil.rmtree(where)
            ours.append(_drain_once(bench, args.jobs))
            print(
                f"  floor {floors[-1]:7.0f}/s  spooler {ours[-1]:7.0f}/s"
                f"  ratio {ours[-1] / floors[-1]:.2f}", flush=True,
            )
        ratios = [mine / low for mine, low in zip(ours, floors)]
        print(
            f"drain {args.jobs} no-op Python jobs, {args.workers} workers:"
            f" median {statistics.median(ours):.0f}/s, ratio to the floor"
            f" {statistics.median(ratios):.2f}"
            f" ({min(ratios):.2f}..{max(ratios):.2f})"
        )
    finally:
        bench.close()


def _drain_once(bench: Bench, jobs: int) -> float:
    """Jobs per second from the first job's start to the last one's end."""
    bench.fresh()
    with client.Client(bench.spool, durable=False) as producer:
        for _ in range(jobs):
            producer.submit("noop")
    process = bench.daemon("--drain")
    assert process.stderr is not None
    process.stderr.read()
    if process.wait():
        raise SystemExit("spoold failed")
    done = os.path.join(bench.spool, "done")
    # A rename sets the time of change: that is when each job ended.
    ends = sorted(
        os.stat(os.path.join(done, name)).st_ctime_ns
        for name in os.listdir(done)
    )
    if len(ends) != jobs:
        raise SystemExit(f"{len(ends)} of {jobs} jobs in done/")
    return jobs / ((ends[-1] - ends[0]) / 1e9)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["latency", "drain"])
    parser.add_argument("--dir", help="directory of the scratch spool")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gap-ms", type=float, default=10)
    args = parser.parse_args()
    args.jobs = args.jobs or {"latency": 500, "drain": 20_000}[args.what]
    {"latency": latency, "drain": drain}[args.what](args)


if __name__ == "__main__":
    main()
