# SPDX-License-Identifier: MIT
"""Submitting: from sh, by the command, in batches, from Python."""

import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable

from bench.scene import Scene, Setting
from support import SPOOLCTL

FSYNC = "one fsync a file"
RENAME = "no fsync"
#: The idiom of the README, in one shell.
_SH = """
while read -r n; do
    j=$(mktemp "$SPOOL/tmp/XXXXXXXXXX") && chmod 640 "$j" &&
    printf 'Handler: noop\\nArg: %s\\n\\n' "$n" >"$j" &&
    {flush} mv "$j" "$SPOOL/incoming/$(basename "$j").job"
done
"""
_DOCUMENT = b"Handler: noop\nArg: 1\n\n"
Way = Callable[[Scene, int], None]


def submits(setting: Setting) -> None:
    """Submit from sh, by the command, in batches, from Python."""
    durable: dict[str, Way] = {
        FSYNC: functools.partial(_raw, flush=True),
        "Python": functools.partial(_python, durable=True),
        "submit --batch": _batch,
        "submit": functools.partial(_commands, options=()),
        "sh": functools.partial(_shell, flush='sync "$j" &&'),
    }
    relaxed: dict[str, Way] = {
        RENAME: functools.partial(_raw, flush=False),
        "Python": functools.partial(_python, durable=False),
        "submit --batch": functools.partial(_batch, options=("--relaxed",)),
        "submit": functools.partial(_commands, options=("--relaxed",)),
        "sh": functools.partial(_shell, flush=""),
    }
    for title, ways in (("durable", durable), ("relaxed", relaxed)):
        setting.report.contest(
            f"submit, {title}", "/s", setting.rounds, {
                name: functools.partial(_rate, setting, name, way)
                for name, way in ways.items()
            }, next(iter(ways)),
        )


def _rate(setting: Setting, name: str, way: Way) -> float:
    many = setting.pick(50, 2000, 20_000)
    # Processes a job: a tenth of the jobs takes as long.
    jobs = max(5, many // 50) if name in ("sh", "submit") else many
    with setting.spool() as scene:
        begun = time.perf_counter()
        way(scene, jobs)
        took = time.perf_counter() - begun
        there = scene.dir.listed("incoming")
        assert len(there) == jobs, f"{name}: {len(there)} of {jobs}"
        return jobs / took


def _raw(scene: Scene, jobs: int, flush: bool) -> None:
    """The least that any program can do."""
    for number in range(jobs):
        written = f"{scene.spool}/tmp/{number}"
        fd = os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        os.write(fd, _DOCUMENT)
        if flush:
            os.fsync(fd)
        os.close(fd)
        os.rename(written, f"{scene.spool}/incoming/{number}.job")


def _python(scene: Scene, jobs: int, durable: bool) -> None:
    with scene.producer(durable) as producer:
        for number in range(jobs):
            producer.submit("noop", str(number))


def _batch(scene: Scene, jobs: int, options: tuple[str, ...] = ()) -> None:
    _ctl(scene, ["submit", *options, "--batch", "noop"], _numbers(jobs))


def _commands(scene: Scene, jobs: int, options: tuple[str, ...]) -> None:
    for number in range(jobs):
        _ctl(scene, ["submit", *options, "noop", str(number)], "")


def _ctl(scene: Scene, words: list[str], given: str) -> None:
    subprocess.run(
        [sys.executable, SPOOLCTL, "-C", scene.spool, *words],
        input=given.encode(), check=True, stdout=subprocess.DEVNULL,
    )


def _shell(scene: Scene, jobs: int, flush: str) -> None:
    subprocess.run(
        ["sh", "-c", _SH.replace("{flush}", flush)], check=True,
        input=_numbers(jobs).encode(),
        env={**os.environ, "SPOOL": scene.spool},
    )


def _numbers(jobs: int) -> str:
    return "".join(f"{number}\n" for number in range(jobs))
