# SPDX-License-Identifier: MIT
"""What every run of a Python handler is given, and what it comes to."""

import os
from collections.abc import Callable
from typing import Any

from spooler import settle
from spooler.checkpoint import Kept
from spooler.context import JobContext
from spooler.handlers import Loaded
from spooler.raised import judge
from spooler.settle import Outcome
from spooler.states import State
from spooler.worker import Link, Task


def context(
    link: Link, task: Task, tell: Callable[[bytes], None]
) -> JobContext:
    """
    What its handler may ask about *task*.

    Args:
        tell: takes a line on how far it is.
    """
    path = os.path.join(link.spool.path, State.ACTIVE.value, task.active)
    limit = task.timeout_s
    return JobContext(
        task.name, task.handler.name, task.max_attempts, path, task.job,
        tell, kept(link, task),
        None if limit is None else task.clock_ns / 1e9 + limit,
        task.handler.allow,
    )


def kept(link: Link, task: Task) -> Kept:
    """Where it keeps its checkpoint."""
    return Kept(link.spool, task.name, task.handler.name, link.durable)


def settle_run(
    link: Link, task: Task, loaded: Loaded | None, value: Any,
    raised: BaseException | None, micros: int, out: int, err: int,
) -> None:
    """
    File what a run came to.

    Args:
        value: what it returned, if it raised nothing.
        micros: how long it took.
        out, err: bytes that it wrote.
    """
    if raised is None and value is None and not (
        out or err or task.tags
        or loaded is None or loaded.wants_job and kept(link, task).exists()
    ) and link.settle_plain(task.hint, task.active, task.handler, micros):
        task.job.close()
        return
    effect, kind, text, delay_s, trace = settle.DONE, "ok", "", None, None
    if raised is not None:
        effect, kind, text, delay_s, trace = judge(raised, task.timeout_s)
    link.settle(task, Outcome(
        effect, kind, task.started_ns, micros, text=text, value=value,
        delay_s=delay_s, traceback=trace, out_bytes=out, err_bytes=err,
        tags=task.tags,
    ))
