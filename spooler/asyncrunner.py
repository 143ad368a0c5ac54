# SPDX-License-Identifier: MIT
"""
Run coroutines, many at once, in one worker process.

All share one event loop and one thread.  Each has its own output, limits and
verdict; one that has to be ended is cancelled, and if it does not let itself
be cancelled, spoold ends the process and sends the others back.
"""

import asyncio
import contextvars
import dataclasses
import os
import time
from typing import Any

from spooler import fsops, progress, runs, settle, steps, streams
from spooler.board import Board
from spooler.context import JobContext
from spooler.handlers import Loaded
from spooler.raised import JobTimeout, checked
from spooler.settle import Outcome
from spooler.streams import Output
from spooler.wear import Wear
from spooler.worker import PAY_EVERY_S, Link, Task

_FLUSH_S = 0.002
#: That the tasks a job left have, to end when they are cancelled.
_REST_S = 5.0


@dataclasses.dataclass(eq=False)
class Run:
    """
    A job that runs.

    Attributes:
        work: name of its work directory, which is made when it is needed.
        tasks: of asyncio: its own, and those it began.
        ended_by: timeout, killed or abort, once it was asked to end.
    """

    task: Task
    output: Output
    work: str
    tasks: "set[asyncio.Task[Any]]"
    main: "asyncio.Task[None] | None" = None
    timer: asyncio.TimerHandle | None = None
    ended_by: str | None = None
    progress_fd: int = -1
    told_bytes: int = 0


class Runner:
    """Starts coroutines, watches their time, settles them when they end."""

    def __init__(
        self, link: Link, board: Board, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._link = link
        self._board = board
        self._loop = loop
        self._work_fd = fsops.open_dir("work", link.spool.private_fd)
        self._loaded: dict[str, Loaded] = {}
        self._wear = Wear(link.config)
        self._runs: dict[str, Run] = {}
        #: Runs that are over and not settled: what came of them, and when.
        self._ended: list[tuple[
            Run, Loaded | None, Any, BaseException | None, int
        ]] = []
        self._made = 0
        self._stopping = False
        self._flushing = False
        self._paying = False

    def take_up(self, hints: list[str], handler: str) -> None:
        """Claim and start jobs, all at once."""
        unstarted = []
        for hint in hints:
            if self._stopping or self._in_trouble() or self._board.stopping():
                unstarted.append(hint)
                continue
            self._board.begin(hint, time.monotonic_ns())
            task = self._link.take(hint, handler)
            if task is not None:
                self._wear.jobs += 1
                self._start(task)
            self._board.end()
        if unstarted:
            self._link.report("unstarted", unstarted)
        self._afterwards()
        self._link.flush()  # known to the daemon should we be killed

    def _start(self, task: Task) -> None:
        self._made += 1
        run = Run(
            task, Output(self._link, task), f"{self._link.owner}-{self._made}",
            set(),
        )
        limit, hard = task.timeout_s, None
        if limit is not None:
            at = task.clock_ns / 1e9 + limit
            hard = at + task.handler.kill_after_s
            # Its clock is the one of time.monotonic.
            run.timer = self._loop.call_at(at, self._end, run, "timeout")
        context = contextvars.copy_context()
        context.run(steps.current.set, (task.hint, run.tasks))
        context.run(streams.current.set, run.output)
        self._runs[task.hint] = run
        run.main = self._loop.create_task(self._run(run), context=context)
        self._link.report(
            "started", task.hint, task.active, os.getpid(), run.work,
            task.started_ns, task.clock_ns, hard,
        )

    async def _run(self, run: Run) -> None:
        """Run one job and settle it."""
        loaded, value, raised = None, None, None
        try:
            loaded = self._load(run.task)
            value = await loaded.call(
                run.task.job, lambda: self._context(run)
            )
            if value is not None:
                value = checked(value)
        except BaseException as error:  # noqa: B902 - a handler may raise all
            raised = error
        if run.timer is not None:
            run.timer.cancel()
        await self._end_rest(run)
        if run.ended_by == "timeout" and isinstance(
            raised, asyncio.CancelledError
        ):
            raised = JobTimeout().with_traceback(raised.__traceback__)
        micros = (time.monotonic_ns() - run.task.clock_ns) // 1000
        self._ended.append((run, loaded, value, raised, micros))
        self._file()
        self._afterwards()

    def _load(self, task: Task) -> Loaded:
        name = task.handler.name
        loaded = self._loaded.get(name)
        if loaded is None:
            loaded = Loaded(task.handler, beside=True)
            self._loaded[name] = loaded
        return loaded

    def _context(self, run: Run) -> JobContext:
        return runs.context(
            self._link, run.task, lambda data: self._tell(run, data)
        )

    def _tell(self, run: Run, data: bytes) -> None:
        """Write how far it is where that of a command is looked for."""
        if run.progress_fd < 0:
            os.mkdir(run.work, 0o700, dir_fd=self._work_fd)
            dir_fd = fsops.open_dir(run.work, self._work_fd)
            try:
                run.progress_fd = fsops.create(dir_fd, progress.FILE)
            finally:
                os.close(dir_fd)
        # Newlines over what is left of a longer one: they tell nothing.
        os.pwrite(run.progress_fd, data.ljust(run.told_bytes, b"\n"), 0)
        run.told_bytes = max(run.told_bytes, len(data))

    async def _end_rest(self, run: Run) -> None:
        """Cancel what the job began and left running."""
        until = self._loop.time() + _REST_S
        while rest := run.tasks - {run.main}:
            for other in rest:
                other.cancel()
            try:
                await asyncio.wait(rest, timeout=0.1)
            except asyncio.CancelledError:
                pass  # it ends already
            if self._loop.time() > until:
                break

    def _file(self) -> None:
        """Settle what ended; the disk may make it wait."""
        while self._ended:
            run, loaded, value, raised, micros = self._ended[0]
            try:
                if run.ended_by == "abort":
                    run.output.drop()
                else:
                    out, err = run.output.close()
            except OSError as error:
                self._link.report_trouble("owing", error)
                return
            self._ended.pop(0)
            del self._runs[run.task.hint]
            self._drop_work(run)
            if run.ended_by == "abort":
                run.task.job.close()
                self._link.give_back(run.task.hint, run.task.active)
            elif run.ended_by == "killed":
                self._link.settle(run.task, Outcome(
                    settle.FAIL, "killed", run.task.started_ns, micros,
                    text="killed by an operator", out_bytes=out,
                    err_bytes=err, tags=run.task.tags,
                ))
            else:
                runs.settle_run(
                    self._link, run.task, loaded, value, raised, micros, out,
                    err,
                )

    def _drop_work(self, run: Run) -> None:
        if run.progress_fd >= 0:
            os.close(run.progress_fd)
            try:
                fsops.remove_tree(self._work_fd, run.work)
            except OSError:
                pass  # recovery tidies

    def _afterwards(self) -> None:
        """See to what a verdict leaves to be done."""
        if self._in_trouble() and not self._paying:
            self._paying = True
            self._loop.call_later(PAY_EVERY_S, self._pay)
        why = self._wear.why()
        if why:
            self._link.report("worn", why)
        if not self._flushing:
            self._flushing = True
            self._loop.call_later(
                0 if self._stopping else _FLUSH_S, self._flush
            )

    def _in_trouble(self) -> bool:
        """Whether the disk has not taken all that it should."""
        return bool(self._link.owed or self._ended)

    def _pay(self) -> None:
        self._paying = False
        if self._link.pay():
            self._file()
        self._afterwards()

    def _flush(self) -> None:
        self._flushing = False
        self._link.flush()
        if self._stopping and not self._runs and not self._in_trouble():
            self._loop.stop()

    def _end(self, run: Run, why: str) -> None:
        """Ask a job to end; spoold sees to it that it does."""
        if run.ended_by is None and run.main and not run.main.done():
            run.ended_by = why
            run.main.cancel()

    def kill(self, hint: str) -> None:
        """End one job because a person said so."""
        run = self._runs.get(hint)
        if run is not None:
            self._end(run, "killed")

    def stop(self) -> None:
        """Claim nothing more; the loop ends with the last run."""
        self._stopping = True
        self._afterwards()

    def abort(self) -> None:
        """End every job and give it back: the daemon stops."""
        for run in list(self._runs.values()):
            self._end(run, "abort")


def run(
    link: Link, board_fd: int, messages: list[dict[str, Any]] | None
) -> None:
    """Serve the daemon until it says stop or is gone."""
    board = Board(board_fd)
    os.close(board_fd)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_task_factory(steps.factory(board))
    runner = Runner(link, board, loop)
    streams.install()

    def act(messages: list[dict[str, Any]] | None) -> None:
        if messages is None:
            loop.stop()  # the daemon died: our jobs are recovered
            return
        for message in messages:
            if "jobs" in message:
                runner.take_up(message["jobs"], message["handler"])
            elif "kill" in message:
                runner.kill(message["kill"])
            elif "stop" in message:
                runner.stop()
            elif "abort" in message:
                runner.stop()
                runner.abort()

    loop.add_reader(link.socket, lambda: act(link.receive()))
    loop.call_soon(act, messages)
    link.report("ready")
    link.flush()
    while True:
        try:
            loop.run_forever()
            break
        except (SystemExit, KeyboardInterrupt):
            pass  # of one job, which has it as its end; the others go on
    # Threads that a job left must not keep us.
    link.socket.close()
