# SPDX-License-Identifier: MIT
"""Commands that do nothing, against what starts commands."""

import functools
import os
import subprocess
import time
from collections.abc import Callable

from bench import peers
from bench.figures import Unable
from bench.scene import Setting

XARGS = "xargs"


def commands(setting: Setting) -> None:
    """No-op commands against ``xargs -P N``, parallel, task-spooler, nq."""
    jobs = setting.pick(60, 2000, 20_000)
    contenders: dict[str, Callable[[], float]] = {
        XARGS: functools.partial(_peer, setting, COMMANDS[0], jobs),
        "spooler": functools.partial(_ours, setting, jobs),
    }
    for peer in COMMANDS[1:]:
        if setting.peers is None or peer.name in setting.peers:
            contenders[peer.name] = functools.partial(
                _peer, setting, peer, jobs
            )
    setting.report.note(
        "task-spooler and nq start a process to submit each job, which is in"
        " their figures; nq runs one job at a time"
    )
    setting.report.contest(
        f"{jobs} times the command true, {setting.workers} at once", "/s",
        setting.rounds, contenders, XARGS,
    )


def _ours(setting: Setting, jobs: int) -> float:
    with setting.spool() as scene:
        scene.fill(jobs, "true")
        scene.drain()
        return scene.rate(jobs)


def _peer(setting: Setting, peer: peers.Peer, jobs: int) -> float:
    lacking = peer.lacks(setting.python)
    if lacking:
        raise Unable(lacking)
    with setting.scratch() as scratch:
        return peer.rate(peers.Task(
            scratch, setting.python, min(jobs, peer.jobs_max),
            setting.workers,
        ))


def _fed(task: peers.Task, *argv: str) -> float:
    """Give a program one number a line, a command each."""
    numbers = "".join(f"{number}\n" for number in range(task.jobs))
    begun = time.perf_counter()
    subprocess.run(argv, input=numbers.encode(), check=True,
                   stdout=subprocess.DEVNULL)
    return task.jobs / (time.perf_counter() - begun)


def _xargs(task: peers.Task) -> float:
    return _fed(task, "xargs", "-P", str(task.workers), "-n", "1", "true")


def _parallel(task: peers.Task) -> float:
    return _fed(task, "parallel", "--will-cite", "-j", str(task.workers),
                "true")


def _tsp(task: peers.Task) -> float:
    env = {**os.environ, "TS_SOCKET": str(task.scratch / "socket"),
           "TMPDIR": str(task.scratch)}

    def tsp(*argv: str) -> None:
        subprocess.run(["tsp", *argv], check=True, env=env,
                       stdout=subprocess.DEVNULL)

    tsp("-S", str(task.workers))
    try:
        begun = time.perf_counter()
        for _ in range(task.jobs):
            tsp("-n", "true")
        # -w waits for the last one that was added; another may still run.
        tsp("-w")
        return task.jobs / (time.perf_counter() - begun)
    finally:
        tsp("-K")


def _nq(task: peers.Task) -> float:
    env = {**os.environ, "NQDIR": str(task.scratch)}
    begun = time.perf_counter()
    for argv in [["nq", "-q", "true"]] * task.jobs + [["nq", "-w"]]:
        subprocess.run(argv, check=True, env=env,
                       stdout=subprocess.DEVNULL)
    return task.jobs / (time.perf_counter() - begun)


#: xargs first: it is the base.
COMMANDS = (
    peers.Peer(XARGS, (), ("xargs",), "apt install findutils", 1_000_000,
               _xargs),
    peers.Peer("parallel", (), ("parallel",), "apt install parallel", 1000,
               _parallel),
    peers.Peer("task-spooler", (), ("tsp",), "apt install task-spooler", 300,
               _tsp),
    peers.Peer("nq", (), ("nq",), "apt install nq", 300, _nq),
)
