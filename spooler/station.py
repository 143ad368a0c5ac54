# SPDX-License-Identifier: MIT
"""
Run the jobs of a spool in this very process, for the tests of handlers.

The moves are the real ones, so a job fails, is deferred and tried again as
under spoold; only the clock can be set, and no time limit is enforced.
"""

import asyncio
import concurrent.futures
import os
import time
from collections.abc import Callable

from spooler import configfile, jobload, recover, settle, tasks
from spooler.checkpoint import Kept
from spooler.config import Config, Handler, read_handler
from spooler.context import JobContext
from spooler.errors import BadJob
from spooler.handlers import Loaded
from spooler.intake import Intake
from spooler.names import DOCUMENT_SUFFIX, OWNER_CHARS, Name, parse
from spooler.raised import checked, judge
from spooler.route import Router
from spooler.settle import Outcome
from spooler.spool import Spool
from spooler.states import State
from spooler.worker import Task

_OWNER = "0" * OWNER_CHARS


class Station:
    """Works off one spool, job by job."""

    def __init__(self, path: str, now_ns: Callable[[], int]) -> None:
        """
        Args:
            now_ns: the clock that delays and retries go by.
        """
        self._path = path
        self._now_ns = now_ns

    def drain(self) -> list[str]:
        """
        Run every job that is due, and those that come of it.

        Handlers are those of spool.toml and every task of this process.

        Returns:
            The ids of the jobs that ran, one for each run, in order.

        Raises:
            RuntimeError: a job's handler is a command.
        """
        if not _is_in_loop():
            return self._drain()
        # A coroutine cannot be run to its end in the thread of a loop.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(self._drain).result()

    def _drain(self) -> list[str]:
        ran: list[str] = []
        with Spool(self._path) as spool:
            intake = Intake(spool)
            while True:
                waiting = self._waiting(spool, intake)
                if not waiting:
                    return ran
                config = self._config()
                for entry, name in sorted(
                    waiting, key=lambda found: found[0]
                ):
                    if self._run(spool, config, entry, name):
                        ran.append(name.id)

    def _config(self) -> Config:
        config = configfile.load(self._path)
        for name, task in tasks.known.items():
            if name not in config.handlers:
                # The function is at hand, whatever its reference.
                config.handlers[name] = read_handler(
                    name, {"python": "a:b", **task.handler_options}, name
                )
        return config

    def _waiting(
        self, spool: Spool, intake: Intake
    ) -> list[tuple[str, Name]]:
        intake.begin_scan()
        found = []
        for entry in list(spool.scan(State.INCOMING)):
            taken = intake.take_in(
                entry.name, entry.is_dir(follow_symlinks=False)
            )
            if taken is not None:
                found.append(taken)
        found += intake.resolve()
        for entry in list(spool.scan(State.DEFERRED)):
            name = parse(entry.name)
            if name is None or name.due_ns is None:
                continue
            if name.due_ns <= self._now_ns():
                moved = spool.retry(entry.name)
                if moved is not None:
                    found.append((moved, name.waiting(name.runs)))
        return found

    def _run(
        self, spool: Spool, config: Config, entry: str, name: Name
    ) -> bool:
        handler = Router(config).configured(name)
        if handler is not None and handler.command:
            raise RuntimeError(
                f"[handler.{handler.name}] is a command, and drain runs"
                " Python handlers alone; use the fixture spoold"
            )
        active = spool.claim(entry, _OWNER)
        if active is None:
            return False
        limit = None
        if handler is None:
            outcome = recover.judge_unroutable(spool, config, active)
        else:
            try:
                outcome, limit = self._outcome(spool, handler, active)
            except BaseException:
                spool.give_back(active)
                raise
        settle.settle(
            spool, active, outcome, handler, limit, False, self._now_ns(),
            1.0,
        )
        return True

    def _outcome(
        self, spool: Spool, handler: Handler, active: str
    ) -> tuple[Outcome, int | None]:
        started_ns, clock_ns = self._now_ns(), time.monotonic_ns()
        try:
            job = jobload.load(
                spool.fds[State.ACTIVE], active,
                active.endswith(DOCUMENT_SUFFIX), 1 << 40,
            )
        except BadJob as error:
            return Outcome(
                settle.FAIL, "bad", started_ns, 0, text=str(error)
            ), None
        task = Task(active, active, handler, job, started_ns, clock_ns)

        def context() -> JobContext:
            limit = task.timeout_s
            return JobContext(
                task.name, handler.name, task.max_attempts,
                os.path.join(spool.path, State.ACTIVE.value, active), job,
                checkpoint=Kept(spool, task.name, handler.name, False),
                deadline=None if limit is None else clock_ns / 1e9 + limit,
                allow=handler.allow,
            )

        outcome = _call(handler, task, context)
        job.close()
        return outcome, task.max_attempts


def _call(
    handler: Handler, task: Task, context: Callable[[], JobContext]
) -> Outcome:
    if task.overdue_s is not None:
        return Outcome(
            settle.FAIL, "expired", task.started_ns, 0, text="expired",
            tags=task.tags,
        )
    function = None
    if handler.python == "a:b":
        function = tasks.known[handler.name].function
    try:
        value = checked(Loaded(handler, function).call(task.job, context))
    except KeyboardInterrupt:
        raise  # meant for the test
    except BaseException as error:  # noqa: B902 - as a worker does
        effect, kind, text, delay_s, trace = judge(error, None)
        return Outcome(
            effect, kind, task.started_ns, _micros(task), text=text,
            delay_s=delay_s, traceback=trace, tags=task.tags,
        )
    return Outcome(
        settle.DONE, "ok", task.started_ns, _micros(task), value=value,
        tags=task.tags,
    )


def _is_in_loop() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _micros(task: Task) -> int:
    return (time.monotonic_ns() - task.clock_ns) // 1000
