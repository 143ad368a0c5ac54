# SPDX-License-Identifier: MIT
"""
A worker process: takes hints from the daemon, claims, runs, settles.

This module is what both kinds share: the link to the daemon, and the way
from a hint to a judged job.  ``pyrunner`` runs Python handlers one at a
time, ``cmdrunner`` many commands at once; ``workermain`` starts them.
"""

import dataclasses
import random
import socket
import time
from collections.abc import Callable
from typing import Any

from spooler import (
    fsops, jobload, names, settle, sidecar, units, verdicts,
)
from spooler.clock import base_ns
from spooler.config import Config, Handler
from spooler.errors import BadJob
from spooler.jobload import Job
from spooler.names import DOCUMENT_SUFFIX, Name, parse
from spooler.record import REASON_MAX_CHARS
from spooler.settle import Outcome
from spooler.spool import Spool
from spooler.states import State
from spooler.wire import Unpacker, pack

RECEIVE_BYTES = 1 << 18  #: read from a socket at once
UMASK = 0o027
PAY_EVERY_S = 0.5  #: between tries of what the disk refused


@dataclasses.dataclass(slots=True)
class Task:
    """A claimed and judged job on its way through a worker."""

    hint: str
    active: str
    handler: Handler
    job: Job
    started_ns: int
    clock_ns: int
    _named: str = ""
    _name: Name | None = None

    @property
    def name(self) -> Name:
        """Its name in ``active/``, taken apart; not to be changed."""
        if self._name is None or self._named != self.active:
            self._named, self._name = self.active, parse(self.active)
        assert self._name is not None
        return self._name

    @property
    def max_attempts(self) -> int:
        """The job's own wish, or the handler's setting."""
        document = self.job.document
        wish = document.attempts if document is not None else None
        return wish or self.handler.attempts

    @property
    def timeout_s(self) -> float | None:
        """The job's own wish, or the handler's setting."""
        document = self.job.document
        wish = document.timeout_s if document is not None else None
        if wish is None:
            return self.handler.timeout_s
        return wish or None  # 0: no limit

    @property
    def overdue_s(self) -> float | None:
        """How long it waited, if that is longer than it may; else None."""
        document = self.job.document
        limit = document.expires_s if document is not None else None
        if limit is None:
            limit = self.handler.expires_s
        if not limit:
            return None
        name = self.name
        waited = (self.started_ns - names.submitted_ns(name.id)) / units.NS
        # Who sends an old job back wants it to run.
        return waited if waited > limit and not name.requeued else None

    @property
    def tags(self) -> tuple[str, ...]:
        """Of the document."""
        document = self.job.document
        return tuple(document.tags) if document is not None else ()


class Link:
    """A worker's side of the socket to the daemon, and its spool."""

    def __init__(self, sock: socket.socket, hello: dict[str, Any]) -> None:
        self.socket = sock
        self.unpacker = Unpacker()
        self._room = memoryview(bytearray(RECEIVE_BYTES))
        self.owner: str = hello["owner"]
        self.groups: str | None = hello["groups"]
        self.spool = Spool(hello["spool"])
        self.config = config_of(hello["config"])
        self.durable = self.config.durability != "relaxed"
        self.random = random.Random()
        self.one_link = jobload.wants_one_link(
            self.spool.fds[State.INCOMING]
        )
        #: Moves the disk refused: done again until it takes them.
        self.owed: list[Callable[[], None]] = []
        self.refusal: OSError | None = None  #: what the disk said last
        self._reports: list[list[Any]] = []
        self._reported_at = time.monotonic()

    def receive(self) -> list[dict[str, Any]] | None:
        """Wait for messages; None when the daemon is gone."""
        try:
            size = self.socket.recv_into(self._room)
        except ConnectionError:
            return None
        return self.unpacker.feed(self._room[:size]) if size else None

    def report(self, *fields: Any) -> None:
        """Queue one line of report; flush sends it."""
        self._reports.append(list(fields))

    def report_trouble(self, kind: str, *fields: Any) -> None:
        """Queue a report that ends with an OSError: its words, its number."""
        error = fields[-1]
        self.report(kind, *fields[:-1], fsops.why(error), error.errno or 0)

    def flush(self, after_s: float = 0.0) -> None:
        """Send what was reported, unless the last was *after_s* ago."""
        now = time.monotonic()
        if self._reports and now - self._reported_at >= after_s:
            try:
                self.socket.sendall(pack({"reports": self._reports}))
            except ConnectionError:
                pass  # the daemon died; the verdicts are on disk
            self._reports.clear()
            self._reported_at = now

    def take(self, hint: str, handler_name: str) -> Task | None:
        """
        Claim the job *hint* and judge it.

        Returns:
            None if it is not to be run by us: somebody else has it; it was
            a bad job, which is then in ``failed/``; or the spool is in
            trouble.  Which of them is reported.
        """
        active = self.claim(hint)
        if active is None:
            return None
        return self.judge(
            hint, active, handler_name, time.monotonic_ns(), time.time_ns()
        )

    def claim(self, hint: str) -> str | None:
        """Claim the job *hint*; None if that failed, which is reported."""
        try:
            active = self.spool.claim(hint, self.owner)
        except OSError as error:
            kind = "trouble" if fsops.is_temporary(error) else "refused"
            self.report_trouble(kind, hint, error)
            return None
        if active is None:
            self.report("taken", hint)
        return active

    def judge(
        self, hint: str, active: str, handler_name: str, clock_ns: int,
        started_ns: int, data: bytes | None = None,
    ) -> Task | None:
        """
        Judge a claimed job; returns what take does.

        Args:
            data: all of it, if it was read already.
        """
        handler = self.config.handlers[handler_name]
        try:
            job = self._load(active, handler_name, data)
        except BadJob as error:
            micros = (time.monotonic_ns() - clock_ns) // 1000
            outcome = Outcome(
                settle.FAIL, "bad", started_ns, micros, text=str(error)
            )
            self._file(hint, active, outcome, handler, None)
            return None
        except FileNotFoundError:
            self.report("taken", hint)
            return None
        except OSError as error:
            self.give_back(hint, active)
            self.report_trouble("trouble", hint, error)
            return None
        task = Task(hint, active, handler, job, started_ns, clock_ns)
        overdue = task.overdue_s
        if overdue is not None:
            waited = units.format_duration(overdue)
            self.settle(task, Outcome(
                settle.FAIL, "expired", started_ns, 0,
                text=f"expired: it waited {waited}", tags=task.tags,
            ))
            return None
        return task

    def _load(
        self, active: str, handler_name: str, data: bytes | None = None
    ) -> Job:
        job = jobload.of_bytes(data) if data is not None else jobload.load(
            self.spool.fds[State.ACTIVE], active,
            active.endswith(DOCUMENT_SUFFIX), self.config.max_size,
            self.one_link,
        )
        document = job.document
        if document is not None and document.handler != handler_name:
            job.close()
            raise BadJob(
                f"asks for handler {document.handler!r} but was filed"
                f" for {handler_name!r}: altered after it was dropped"
            )
        return job

    def set_apart(self, task: Task) -> None:
        """Give *task* a name of its own if one that runs has its output."""
        stem = task.name.stem
        if not sidecar.is_beside(self.spool, State.ACTIVE, stem):
            return
        for entry in self.spool.scan(State.ACTIVE):
            if entry.name != task.active and entry.name.startswith(stem):
                other = parse(entry.name)
                if other is not None and other.stem == stem:
                    # A producer copied an id.
                    task.active = self.spool.twin(task.active)
                    return

    def resume(
        self, hint: str, active: str, handler_name: str, started_ns: int,
        clock_ns: int,
    ) -> Task | None:
        """
        Take over a claimed job whose command another runner started.

        Returns:
            None if it is not there any more; that is reported.
        """
        handler = self.config.handlers.get(handler_name)
        if handler is None:  # removed by a reload meanwhile
            handler = Handler(handler_name, command=("true",))
        try:
            job = self._load(active, handler_name)
        except BadJob:
            # It was judged before it ran; the verdict is the command's.
            job = Job(None, 0, b"", None)
        except FileNotFoundError:
            self.report("taken", hint)
            return None
        return Task(hint, active, handler, job, started_ns, clock_ns)

    def settle_plain(
        self, hint: str, active: str, handler: Handler, micros: int
    ) -> bool:
        """
        File a success with nothing more to say; False: settle it in full.
        """
        if self.owed:
            return False
        try:
            if self.config.deletes(handler):
                filed = settle.delete_plain(self.spool, active)
            else:
                filed = settle.settle_plain(self.spool, active, micros)
        except OSError:
            return False
        if filed:
            # One report of many: most of what the daemon has to read.
            if not self._reports or self._reports[-1][0] != "done":
                self._reports.append(["done", [], []])
            _, hints, took = self._reports[-1]
            hints.append(hint)
            took.append(micros)
        return filed

    def settle(self, task: Task, outcome: Outcome) -> None:
        """
        File the verdict of *task* and report it.

        If the disk refuses, the job stays in ``active/`` and the verdict is
        owed.
        """
        task.job.close()
        self._file(
            task.hint, task.active, outcome, task.handler, task.max_attempts
        )

    def give_back(self, hint: str, active: str) -> None:
        """Send a claimed job back to wait; it costs no run."""

        def move() -> None:
            self.spool.give_back(active)
            self.report("back", hint)

        self._do(move)

    def _file(
        self,
        hint: str,
        active: str,
        outcome: Outcome,
        handler: Handler,
        max_attempts: int | None,
    ) -> None:
        def move() -> None:
            base = base_ns()
            settled = settle.settle(
                self.spool, active, outcome, handler, max_attempts,
                self.durable, time.time_ns(), self.random.random(),
                self.config.deletes(handler),
            )
            text = ""
            if settled.state is not State.DONE:
                text = verdicts.describe(
                    outcome.kind, outcome.status, outcome.text
                )[:REASON_MAX_CHARS]
            self.report(
                "settled", hint, settled.state.value, settled.name,
                outcome.micros, text, base,
            )

        self._do(move)

    def _do(self, move: Callable[[], None]) -> None:
        self.owed.append(move)
        self.pay()

    def pay(self) -> bool:
        """Do what is owed; False if the disk still refuses."""
        while self.owed:
            try:
                self.owed[0]()
            except OSError as error:
                self.refusal = error
                self.report_trouble("owing", error)
                return False
            self.owed.pop(0)
        return True


_LISTS = ("command", "match", "allow")


def config_of(fields: dict[str, Any]) -> Config:
    """Rebuild the Config a daemon sent with dataclasses.asdict."""
    handlers = {}
    for name, keys in fields["handlers"].items():
        lists = {key: tuple(keys[key]) for key in _LISTS}
        env = tuple((key, value) for key, value in keys["env"])
        handlers[name] = Handler(**{**keys, **lists, "env": env})
    tasks = tuple(fields["tasks"])
    return Config(**{**fields, "tasks": tasks, "handlers": handlers})
