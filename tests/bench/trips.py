# SPDX-License-Identifier: MIT
"""Round trips: submit a task, wait for what it returns."""

import os
import time

from bench.figures import percentile
from bench.jobs import echo, echo_async
from bench.scene import Scene, Setting
from spooler import Task, outbox

CONFIG = """
workers = {workers}
durability = "{durability}"
tasks = ["bench.jobs"]
"""
FLOOR = "the same files, without spoold"
_RECORD = b'{"value": 1}' * 30


def trips(setting: Setting) -> None:
    """submit().result() on an idle spoold, one at a time."""
    count = setting.pick(20, 300, 5000)
    for durability in ("full", "relaxed"):
        durable = durability == "full"
        text = CONFIG.format(workers=setting.workers, durability=durability)
        with setting.spool() as scene:
            scene.dir.configure(text)
            with scene.daemon():
                took = {
                    "a function": lambda: _trips(scene, echo, durable, count),
                    "a coroutine": lambda: _trips(
                        scene, echo_async, durable, count
                    ),
                    FLOOR: lambda: _floor(scene, durable, count),
                }
                setting.report.contest(
                    f"round trips, {durability}, median of {count}", "ms",
                    setting.rounds, took, FLOOR,
                )
        _let_go()


def _let_go() -> None:
    """Close what keeps the spool open, and its file system mounted."""
    for watcher in list(outbox.watchers.values()):
        watcher.close()
    for client, _ in outbox._clients.values():
        client.close()
    outbox._clients.clear()


def _trips(
    scene: Scene, task: Task[[int], int, object], durable: bool, count: int
) -> float:
    """The median, once all that is imported is imported."""
    took = []
    submit = task.options(spool=scene.spool, durable=durable).submit
    for number in range(10 + count):
        begun = time.perf_counter()
        assert submit(number).result(30) == number
        took.append(time.perf_counter() - begun)
    return percentile(took[10:], 0.5) * 1000


def _floor(scene: Scene, durable: bool, count: int) -> float:
    """A document and a record written, moved and flushed as they are."""
    took = []
    tmp = os.open(scene.dir.path / "tmp", os.O_RDONLY | os.O_DIRECTORY)
    for number in range(count):
        begun = time.perf_counter()
        _write(tmp, f"job-{number}", b"Handler: echo\n\n", durable, durable)
        _write(tmp, f"record-{number}", _RECORD, durable, False)
        took.append(time.perf_counter() - begun)
    os.close(tmp)
    return percentile(took, 0.5) * 1000


def _write(
    tmp: int, name: str, data: bytes, flush: bool, confirm: bool
) -> None:
    # New names: a file that replaces another is flushed by the kernel.
    fd = os.open("floor", os.O_CREAT | os.O_WRONLY, 0o640, dir_fd=tmp)
    os.write(fd, data)
    if flush:
        os.fsync(fd)
    os.rename("floor", name, src_dir_fd=tmp, dst_dir_fd=tmp)
    if confirm:
        os.fsync(tmp)
    os.close(fd)
