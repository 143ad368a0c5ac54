# SPDX-License-Identifier: MIT
"""Count the system calls that a drain makes, by process."""

import collections
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

from spooler import client
from support import SPOOLD, SpoolDir, environment

#: Two drains whose difference is jobs alone: no start, no stop.
FEW, MANY = 100, 500
TIMEOUT_S = 60
CONFIG = '''
workers = 1
durability = "relaxed"
[handler.noop]
python = "sample_handlers:noop"
'''
#: A call begins a line; a signal or an exit does not.
_CALL = re.compile(r"^(\w+)\(", re.M)
_THREAD = re.compile(r"CLONE_THREAD.*parent_tid=\[(\d+)\]")
_WORKER = re.compile(r'^execve\(.*"spooler\.workermain", "python"', re.M)


@dataclasses.dataclass(frozen=True)
class Calls:
    """System calls of one drain, or of one job: by name."""

    daemon: dict[str, float]
    worker: dict[str, float]


def why_not(scratch: pathlib.Path) -> str | None:
    """Say why nothing can be traced here; None if it can."""
    if shutil.which("strace") is None:
        return "no strace on this machine"
    done = subprocess.run(
        ["strace", "-o", str(scratch / "try"), "true"], capture_output=True,
        text=True,
    )
    if done.returncode:
        return f"strace may not trace: {done.stderr.strip()}"
    return None


def per_job(scratch: pathlib.Path) -> Calls:
    """
    Count the calls that one more no-op Python job costs.

    Args:
        scratch: an empty directory.
    """
    few, many = (_drain(scratch / str(jobs), jobs) for jobs in (FEW, MANY))
    return Calls(
        _difference(few.daemon, many.daemon),
        _difference(few.worker, many.worker),
    )


def _difference(
    few: dict[str, float], many: dict[str, float]
) -> dict[str, float]:
    return {
        name: (many.get(name, 0) - few.get(name, 0)) / (MANY - FEW)
        for name in sorted({*few, *many})
    }


def _drain(where: pathlib.Path, jobs: int) -> Calls:
    where.mkdir()
    spool = SpoolDir(where / "spool")
    spool.configure(CONFIG)
    with client.Client(str(spool.path), durable=False) as producer:
        for _ in range(jobs):
            producer.submit("noop")
    done = subprocess.run(
        ["strace", "-ff", "-qq", "-o", str(where / "trace"),
         sys.executable, SPOOLD, "--drain", str(spool.path)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env=environment(None), timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert spool.count("done") == jobs, spool.tree()
    return _count(where)


def _count(where: pathlib.Path) -> Calls:
    """Add up the traces, one a thread: of Python workers, of all others."""
    texts = {
        path.suffix[1:]: path.read_text(errors="replace")
        for path in where.glob("trace.*")
    }
    workers = {tid for tid, text in texts.items() if _WORKER.search(text)}
    for tid in tuple(workers):
        workers.update(_THREAD.findall(texts[tid]))
    sums: dict[bool, collections.Counter[str]] = {
        True: collections.Counter(), False: collections.Counter()
    }
    for tid, text in texts.items():
        sums[tid in workers].update(_CALL.findall(text))
    assert sums[True], f"no Python worker among {os.listdir(where)}"
    return Calls(dict(sums[False]), dict(sums[True]))
