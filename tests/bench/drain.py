# SPDX-License-Identifier: MIT
"""A backlog of Python jobs that do nothing."""

import functools
from collections.abc import Callable

from bench import peers
from bench.figures import Unable
from bench.floor import NAME, Floor
from bench.scene import Setting

OURS = "spooler"
#: The line of spool.toml that deletes a job that is done.
DELETING = "delete_done = true\n"


def drain(setting: Setting) -> None:
    """Results kept, against the same system calls in C."""
    jobs = setting.pick(500, 20_000, 100_000)
    with setting.scratch() as scratch:
        floor = Floor(scratch, setting.workers)
        setting.report.contest(
            f"{jobs} no-op Python jobs, {setting.workers} workers, results"
            " kept", "/s", setting.rounds, {
                NAME: functools.partial(floor.rate, jobs),
                OURS: functools.partial(_ours, setting, jobs),
            }, NAME,
        )


def others(setting: Setting) -> None:
    """The peers, and spooler as their base; deleting where that can be."""
    jobs = setting.pick(300, 20_000, 100_000)
    name = f"{OURS}, deleting"
    with setting.scratch() as scratch:
        floor = Floor(scratch, setting.workers)
        contenders: dict[str, Callable[[], float]] = {
            f"{NAME}, unlink": functools.partial(floor.rate, jobs, "unlink"),
            name: functools.partial(_deleting, setting, jobs),
            f"{OURS}, results kept": functools.partial(_ours, setting, jobs),
        }
        for peer in peers.PYTHON:
            if setting.peers is None or peer.name in setting.peers:
                contenders[peer.name] = functools.partial(
                    _peer, setting, peer, jobs
                )
        setting.report.contest(
            f"no-op Python jobs, {setting.workers} workers, as others do it",
            "/s", setting.rounds, contenders, name,
        )


def _ours(setting: Setting, jobs: int) -> float:
    with setting.spool() as scene:
        scene.fill(jobs, "noop")
        scene.drain()
        return scene.rate(jobs)


def _deleting(setting: Setting, jobs: int) -> float:
    """Two jobs that are kept, the first and the last, tell the time."""
    with setting.spool(DELETING) as scene:
        scene.fill(1, "kept", priority=9)
        scene.fill(jobs, "noop")
        scene.fill(1, "kept", priority=0)
        scene.drain()
        return scene.rate(2) * jobs


def _peer(setting: Setting, peer: peers.Peer, jobs: int) -> float:
    lacking = peer.lacks(setting.python)
    if lacking:
        raise Unable(lacking)
    with setting.scratch() as scratch:
        return peer.rate(peers.Task(
            scratch, setting.python, min(jobs, peer.jobs_max),
            setting.workers,
        ))
