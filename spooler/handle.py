# SPDX-License-Identifier: MIT
"""
A job from the outside: what submit returns, and what an id stands for.

It holds an id and a path, and nothing else that matters; another process,
or the same one after a restart, attaches to the job by its id.
"""

from __future__ import annotations

from spooler import names, outbox
from spooler.generics import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Generator
    from typing import Any, TypeVar

    from spooler.ending import Ending
    from spooler.spool import Spool

    V = TypeVar("V", covariant=True)  # so that jobs go into one list
else:
    V = None


class Job(Generic[V]):
    """
    One job of a spool.

    Attributes:
        id: never used twice; write it down to attach later.
        spool: absolute path of the spool.
        existing: it was there before the submit that returned it, whose
            key it holds: see ``unique`` of Task.options.
    """

    def __init__(
        self, job_id: str, spool: str, expected: bool = False,
        existing: bool = False,
    ) -> None:
        """
        Use attach for a job that is submitted already.

        Args:
            expected: it is going to be submitted with this very id.
        """
        self.id = job_id
        self.spool = spool
        self.existing = existing
        self._ending: Ending | None = None
        self._expected = False
        if expected:
            watcher = outbox.watchers.get(spool)
            if watcher is not None:
                watcher.expect(job_id)
                self._expected = True

    def __del__(self) -> None:
        if self._expected:
            watcher = outbox.watchers.get(self.spool)
            if watcher is not None:
                watcher.forget(self.id)

    @classmethod
    def attach(
        cls, job_id: str, spool: str | os.PathLike[str] | None = None
    ) -> Job[Any]:
        """
        The job of an *id* that was written down.

        Args:
            spool: its path; None: as spoolctl chooses.

        Raises:
            ValueError: *job_id* is not a whole id.
        """
        if type(job_id) is not str or not names.is_id(job_id):
            raise ValueError(f"{job_id!r} is not a job id")
        return Job(job_id, outbox.path_of(spool))

    def __repr__(self) -> str:
        return f"<spooler.Job {self.id} of {self.spool}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Job):
            return NotImplemented
        return (self.id, self.spool) == (other.id, other.spool)

    def __hash__(self) -> int:
        return hash(self.id)

    def status(self) -> str:
        """
        Its state: ``incoming deferred held active done failed``.

        Raises:
            JobLost: there is no such job.
            SpoolError, OSError: the spool cannot be read.
        """
        from spooler import ending
        from spooler.errors import JobLost

        with self._open() as spool:
            found = ending.find(spool, self.id)
        if found is None:
            raise JobLost(f"{self.id}: no such job in {self.spool}")
        return found[0].word

    def done(self) -> bool:
        """Whether it has ended, well or not; raises as status."""
        return self._ending is not None or self.status() in (
            "done", "failed"
        )

    def wait(self, timeout: float | None = None) -> bool:
        """
        Wait until it has ended, well or not.

        Args:
            timeout: seconds; None: as long as it takes.

        Returns:
            Whether it has.

        Raises:
            JobLost: it was removed.
            SpoolError, OSError: the spool cannot be read.
        """
        ended = self._end(timeout)
        if ended is not None and ended.state is None:
            ended.value()
        return ended is not None

    def result(self, timeout: float | None = None) -> V:
        """
        Wait until it has ended, and take what its handler returned.

        Raises:
            TimeoutError: it has not ended in time.
            JobFailed: it did not succeed; the cause has the traceback of
                what was raised, but for Fail and where nothing was.
            JobLost: it was removed, or its record is torn.
            SpoolError, OSError: the spool cannot be read.
        """
        ended = self._end(timeout)
        if ended is None:
            raise TimeoutError(f"{self.id}: not within {timeout:g}s")
        value: V = ended.value()
        return value

    def cancel(self) -> bool:
        """
        Remove it, if it still waits.

        Returns:
            Whether it was removed; False if it runs or has ended.

        Raises:
            SpoolError, OSError: the spool cannot be changed.
        """
        from spooler import ending, retention
        from spooler.states import sources

        with self._open() as spool:
            while True:
                found = ending.find(spool, self.id)
                if found is None or found[0] not in sources("remove"):
                    return False
                state, entry = found
                if spool.remove(state, entry):
                    stem = entry[:names.STEM_CHARS]
                    retention.forget(spool, state, stem)
                    break
                # RACE: it was claimed, or became due; look where it is.
        watcher = outbox.watchers.get(self.spool)
        if watcher is not None:
            watcher.lose(self.id)
        return True

    def __await__(self) -> Generator[Any, None, V]:
        return self.result_async().__await__()

    async def wait_async(self, timeout: float | None = None) -> bool:
        """The same as wait, for asyncio."""
        ended = await self._end_async(timeout)
        if ended is not None and ended.state is None:
            ended.value()
        return ended is not None

    async def result_async(self, timeout: float | None = None) -> V:
        """The same as result, for asyncio; ``await job`` does it."""
        ended = await self._end_async(timeout)
        if ended is None:
            raise TimeoutError(f"{self.id}: not within {timeout:g}s")
        value: V = ended.value()
        return value

    def _open(self) -> Spool:
        from spooler.spool import Spool

        return Spool(self.spool)

    def _end(self, timeout: float | None) -> Ending | None:
        if self._ending is not None:
            return self._ending
        watcher = outbox.watchers.get(self.spool)
        hurry = timeout is not None and timeout <= 0
        if hurry or watcher is None or not watcher.expects(self.id):
            # It may be there already: no watch is needed then.
            if self._look() is not None or hurry:
                return self._ending
        import threading

        from spooler import waiting

        rung = threading.Event()

        def tell(ended: Ending) -> None:
            self._ending = ended
            rung.set()

        added = waiting.add(self.spool, self.id, tell)
        try:
            rung.wait(timeout)
        finally:
            added.discard(self.id, tell)
        return self._ending

    def _look(self) -> Ending | None:
        from spooler import ending

        with self._open() as spool:
            found = ending.find(spool, self.id)
            if found is None:
                self._ending = ending.lost(self.id)
            elif found[0] in ending.FINAL:
                # RACE: None if it was sent back meanwhile.
                self._ending = ending.read(spool, *found)
        return self._ending

    async def _end_async(self, timeout: float | None) -> Ending | None:
        if self._ending is not None:
            return self._ending
        import asyncio

        from spooler import waiting

        loop = asyncio.get_running_loop()
        rung: asyncio.Future[None] = loop.create_future()

        def ring() -> None:
            if not rung.done():
                rung.set_result(None)

        def tell(ended: Ending) -> None:
            self._ending = ended
            loop.call_soon_threadsafe(ring)

        added = waiting.add(self.spool, self.id, tell)
        try:
            await asyncio.wait_for(rung, timeout)
        except TimeoutError:
            pass
        finally:
            added.discard(self.id, tell)
        return self._ending
