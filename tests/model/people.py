# SPDX-License-Identifier: MIT
"""Producers, operators, and a person with a shell."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

from spooler import jobwrite, names, retention, view
from spooler.client import Client
from spooler.errors import SpoolError
from spooler.states import State

from .kernel import CALM, START_NS, Plan, Process
from .ledger import FINAL, Job, Place, is_second_try
from .world import World

_MARKED = (State.DEFERRED, State.HELD, *FINAL)
#: What a person drops: name, what it asks for, handler, whether it is bad.
DROPS: tuple[tuple[str, bytes, str | None, bool], ...] = (
    ("x.txt", b"", "a", False),
    ("y.dat", b"", None, False),
    ("n.job", b"Handler: b\nPriority: 7\n", "b", False),
    ("garbage.job", b"Handler b\n", None, False),
    ("altered.job", b"Digest: sha256:" + b"0" * 64 + b"\nHandler: a\n",
     "a", True),
    ("late.job", b"Handler: a\nNot-Before: @%d\n" % (START_NS // 10 ** 9 + 60),
     "a", False),
    ("once.job", b"Handler: b\nAttempts: 1\n", "b", False),
)
ILLEGAL = (".hidden", "x~", "y.part", "4." + "0" * 20 + ".result")


class People(World):
    """A world with everybody who may come to it."""

    def _job(self, content: bytes, **known: Any) -> Job:
        job = Job(content, **known)
        self.ledger.jobs.append(job)
        return job

    def _limit(self, handler: str | None, wish: int | None = None) -> int:
        known = self.config.handlers.get(handler or "")
        return wish or (known.attempts if known else 1)

    def _uid(self) -> str:
        self.uids += 1
        return f"job {self.uids}"

    # Producers with our client.

    def submit(
        self, handler: str, priority: int, due_s: int | None,
        wish: int | None, plan: Plan = CALM,
    ) -> None:
        """Submit a document, or try to."""
        uid = self._uid()
        fields = (("Attempts", str(wish)),) if wish else ()
        known = handler if handler in self.config.handlers else None
        job = self._job(
            jobwrite.encode(handler, (uid,), b"", fields), handler=known,
            limit=self._limit(handler, wish), priority=priority,
        )
        due_ns = None
        if due_s is not None:
            due_ns = self.kernel.clock.time_ns() + due_s * 10 ** 9

        def again(client: Client, job_id: str | None) -> None:
            client.submit(
                handler, uid, priority=priority, due_ns=due_ns,
                fields=fields, job_id=job_id,
            )

        self._produce([job], lambda client: again(client, None), plan)
        job.again = again

    def submit_many(self, count: int, plan: Plan = CALM) -> None:
        """Submit documents with one flush."""
        jobs, todo = [], []
        for _ in range(count):
            uid = self._uid()
            jobs.append(self._job(
                jobwrite.encode("a", (uid,), b""), handler="a",
                limit=self._limit("a"),
            ))
            todo.append(("a", (uid,), b""))
        self._produce(jobs, lambda client: client.submit_many(todo), plan)

    def submit_file(self, which: int, plan: Plan = CALM) -> None:
        """Submit a copy of a file."""
        name, head, handler, bad = DROPS[which % 3]
        content = self._content(head)
        job = self._job(content, handler=handler, bad=bad,
                        limit=self._limit(handler))
        with_name = pathlib.Path(self.path + ".d", name)
        with_name.parent.mkdir(exist_ok=True)
        with_name.write_bytes(content)
        self._produce(
            [job], lambda client: client.submit_file(str(with_name)), plan
        )

    def _content(self, head: bytes) -> bytes:
        return head + b"\n" * bool(head) + self._uid().encode()

    def resubmit(self, number: int, plan: Plan = CALM) -> None:
        """Submit a job again under its id: its producer is not sure."""
        jobs = [
            job for job in self.ledger.jobs
            if job.again and job.id and not (job.copied or job.taken)
            and not any(
                is_second_try(place) or place[0] is State.TMP
                for place in job.places
            )
        ]
        if jobs:
            job = jobs[number % len(jobs)]
            self._produce(
                [job], lambda client: job.again(client, job.id), plan
            )

    def _produce(
        self, jobs: list[Job], work: Callable[[Client], object], plan: Plan
    ) -> None:
        producer = Process("producer")
        producer.writes = list(jobs)
        client = Client(self.path)

        def submit() -> None:
            try:
                work(client)
            except (SpoolError, OSError):
                return
            for job in jobs:
                self.ledger.insist(job.accepted, "confirmed in vain", job)

        self.do(producer, submit, plan)
        client.close()
        for job in jobs:  # what a killed one left
            for place in list(job.places):
                if place[0] is State.TMP:
                    self.do(Process("person"), lambda: self.calls.unlink(
                        place[1], dir_fd=self.spool.fds[State.TMP]))

    # A person with a shell.

    def drop(self, which: int, plan: Plan = CALM) -> None:
        """Write into ``tmp/`` and mv into ``incoming/``."""
        name, head, handler, bad = DROPS[which % len(DROPS)]
        wish = 1 if name == "once.job" else None
        job = self._job(self._content(head), handler=handler, bad=bad,
                        limit=self._limit(handler, wish))
        person = Process("person")
        person.writes = [job]

        def work() -> None:
            fd = self.calls.open(
                name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640,
                dir_fd=self.spool.fds[State.TMP],
            )
            os.write(fd, job.content)
            os.close(fd)
            self._mv(State.TMP, name, State.INCOMING, name)

        try:
            self.do(person, work, plan)
        except OSError:
            pass
        if job.places and job.places[0][0] is State.TMP:
            self.do(Process("person"), lambda: self.calls.unlink(
                name, dir_fd=self.spool.fds[State.TMP]))

    def drop_stray(self, which: int) -> None:
        """Put something into ``incoming/`` that is no job."""
        entry = ILLEGAL[which % len(ILLEGAL)]
        if entry not in self.strays:
            pathlib.Path(self.path, "incoming", entry).touch()
            self.strays.add(entry)

    def copy_id(self, number: int) -> None:
        """Submit another job under the name of one that is known."""
        jobs = [job for job in self.ledger.jobs
                if job.id and not job.unmerged and not any(
                    is_second_try(place) for place in job.places)]
        if not jobs:
            return
        first = jobs[number % len(jobs)]
        assert first.id is not None
        name = str(names.Name(first.priority, first.id, "a.job"))
        if (State.INCOMING, name) in self.ledger.places:
            return
        job = self._job(jobwrite.encode("a", (self._uid(),)), handler="a",
                        limit=self._limit("a"), copied=True)
        first.copied = True
        for other in self.ledger.jobs:
            other.copied |= other.id == first.id
        person = Process("person")
        person.writes = [job]

        def work() -> None:
            fd = self.calls.open(
                name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640,
                dir_fd=self.spool.fds[State.TMP],
            )
            os.write(fd, job.content)
            os.close(fd)
            self._mv(State.TMP, name, State.INCOMING, name)

        self.do(person, work)

    def put_back(self, number: int) -> None:
        """Mv a job back into ``incoming/`` under the name it has."""
        place = self._place(number, *_MARKED)
        if place and (State.INCOMING, place[1]) not in self.ledger.places:
            self.do(Process("person"), lambda: self._mv(
                *place, State.INCOMING, place[1]))

    def _mv(self, src: State, old: str, dst: State, new: str) -> None:
        self.calls.rename(
            old, new, src_dir_fd=self.spool.fds[src],
            dst_dir_fd=self.spool.fds[dst],
        )

    # Operators.

    def any_place(self, *states: State) -> bool:
        """Whether a job lies there that can be steered."""
        return self._place(0, *states) is not None

    def _place(self, number: int, *states: State) -> Place | None:
        places = sorted(
            (place for place, job in self.ledger.places.items()
             if place[0] in states and "," in place[1]
             and not is_second_try(place) and not job.unmerged
             and not is_put_back(place)),
            key=lambda place: (place[0].value, place[1]),
        )
        return places[number % len(places)] if places else None

    def _steer(
        self, number: int, states: tuple[State, ...],
        move: Callable[[State, str], object], plan: Plan,
    ) -> None:
        place = self._place(number, *states)
        if place is None:
            return

        def work() -> None:
            try:
                move(*place)
            except OSError:
                pass  # told to the operator

        self.do(Process("operator"), work, plan)

    def hold(self, number: int, plan: Plan = CALM) -> None:
        """Put a waiting job aside."""
        self._steer(number, (State.INCOMING, State.DEFERRED),
                    self.spool.hold, plan)

    def release(self, number: int, plan: Plan = CALM) -> None:
        """Let a held job wait again."""
        self._steer(number, (State.HELD,),
                    lambda _, entry: self.spool.release(entry), plan)

    def requeue(self, number: int, plan: Plan = CALM) -> None:
        """Run a final job anew, as spoolctl does."""

        def move(state: State, entry: str) -> None:
            job = self.ledger.places.get((state, entry))
            self._forget(state, entry)
            try:
                self.spool.requeue(state, entry)
            except BaseException:
                if job is not None:
                    job.bare = True  # a link was made, and taken back
                raise

        self._steer(number, FINAL, move, plan)

    def remove(self, number: int, plan: Plan = CALM) -> None:
        """Delete a job that waits."""

        def move(state: State, entry: str) -> None:
            job = self.ledger.places.get((state, entry))
            if self.spool.remove(state, entry):
                assert job is not None
                job.bare = True  # until all beside it is gone, too
                self._forget(state, entry)
                job.bare = False

        self._steer(number, (State.INCOMING, State.DEFERRED, State.HELD),
                    move, plan)

    def purge(self, number: int, plan: Plan = CALM) -> None:
        """Delete a final job."""

        def move(state: State, entry: str) -> None:
            self._forget(state, entry)
            self.spool.purge(state, entry)

        self._steer(number, FINAL, move, plan)

    def _forget(self, state: State, entry: str) -> None:
        """As spoolctl does."""
        job = self.ledger.places.get((state, entry))
        if job is not None:
            job.bare = True
        seen = view.view(state, entry)
        assert seen is not None
        retention.forget(self.spool, seen.state, seen.stem)


def is_put_back(place: Place) -> bool:
    """Whether a person moved it back and nobody has looked yet."""
    name = names.parse(place[1])
    return (place[0] is State.INCOMING and name is not None
            and not name.is_waiting_form())
