# SPDX-License-Identifier: MIT
"""
Measure spooler, each figure beside its floor or its peers in one run.

    PYTHONPATH=tests python -m bench WORKLOAD... [--size smoke|short|long]

Nothing is asserted and nothing is installed.  WORKLOAD is one of those below,
"all" of them, "peers": which are here, and how the others are installed, or
"trend": the figures of all releases.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from bench import (
    arrivals,
    backlog,
    commands,
    disks,
    drain,
    idle,
    payloads,
    peers,
    plot,
    start,
    submits,
    trend,
    trips,
)
from bench.scene import SIZES, Setting
from crash import machine

WORKLOADS: dict[str, Callable[[Setting], None]] = {
    "drain": drain.drain,
    "others": drain.others,
    "latency": arrivals.latency,
    "rate": arrivals.rate,
    "mixed": arrivals.mixed,
    "commands": commands.commands,
    "payloads": payloads.payloads,
    "submit": submits.submits,
    "trips": trips.trips,
    "backlog": backlog.backlog,
    "done": backlog.done,
    "idle": idle.idle,
    "start": start.start,
}


def show_peers(setting: Setting) -> None:
    """Say which peers are here."""
    for peer in (*peers.PYTHON, *commands.COMMANDS):
        lacks = peer.lacks(setting.python)
        print(f"{peer.name:14} {lacks or 'is here'}")


def _parse() -> argparse.Namespace:
    text = "\n".join(
        f"  {name:10} {(work.__doc__ or '').splitlines()[0]}"
        for name, work in WORKLOADS.items()
    )
    parser = argparse.ArgumentParser(
        prog="bench", description=f"{__doc__}\n{text}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workload", nargs="+", metavar="WORKLOAD",
                        choices=[*WORKLOADS, "all", "peers", "trend"])
    parser.add_argument("--size", choices=SIZES, default="short")
    parser.add_argument("--rounds", type=int, help="default: 1, 5, 5 by size")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--jobs", type=int, help="instead of what SIZE says")
    parser.add_argument("--gap-ms", type=float, default=10,
                        help="between two jobs of latency")
    parser.add_argument("--dir", help="directory of the scratch spools")
    parser.add_argument("--on", action="append", choices=disks.KINDS,
                        help="run on this file system; may be repeated")
    parser.add_argument("--peers", action="append", metavar="NAME",
                        help="only these peers; may be repeated")
    parser.add_argument("--peers-python", default=sys.executable,
                        metavar="FILE", help="the Python that has the peers")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--plot", metavar="FILE", help="draw them")
    args = parser.parse_args()
    if args.rounds is None:
        args.rounds = 1 if args.size == "smoke" else 5
    return args


@contextlib.contextmanager
def _on(setting: Setting, kind: str | None) -> Iterator[bool]:
    """Let scratch spools lie on a file system of this kind, if that can be."""
    if kind is None:
        yield True
        return
    with contextlib.ExitStack() as stack:
        try:
            setting.where = stack.enter_context(disks.made(kind))
        except OSError as why:
            setting.report.note(f"not on {kind}: {why}")
            yield False
            return
        setting.report.where = f", on {kind}"
        yield True


def main() -> None:
    """Do what the command line says."""
    args = _parse()
    machine.end_on_sigterm()  # what was started ends with us
    # Programs are measured as they are installed: compiled, once.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="spool-bench-pyc-") as compiled:
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        _run(args)


def _run(args: argparse.Namespace) -> None:
    if "trend" in args.workload:
        trend.trend()
        return
    setting = Setting.of(args)
    if "peers" in args.workload:
        show_peers(setting)
        return
    names = list(WORKLOADS) if "all" in args.workload else args.workload
    print(f"load of this machine: {setting.report.load:.2f}")
    try:
        for kind in args.on or [None]:
            with _on(setting, kind) as here:
                if here:
                    disks.pulse(setting.report, setting.where)
                for name in names if here else ():
                    WORKLOADS[name](setting)
    finally:
        if args.json:
            setting.report.write_json(args.json)
        if args.plot:
            plot.draw(setting.report, args.plot)


if __name__ == "__main__":
    main()
