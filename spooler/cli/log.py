# SPDX-License-Identifier: MIT
"""Print what a job wrote."""

import os
import sys

import click

from spooler import listing, view
from spooler.cli.select import named_jobs
from spooler.cli.words import Job
from spooler.doorbell import Doorbell
from spooler.spool import Spool
from spooler.states import FLOW, State
from spooler.text import inert_bytes
from spooler.view import JobView

_CHUNK_BYTES = 1 << 16
_KINDS = ("out", "err")
#: Between looks at a running job's output: nothing rings for each line.
_LOOK_S = 0.1


@click.command("log")
@click.argument("job", type=Job(), metavar="JOB")
@click.option("-f", "--follow", is_flag=True,
              help="Go on until the job is done or failed.")
@click.pass_obj
def command(path: str, job: str, follow: bool) -> int:
    """
    Print the captured output of JOB's last run.

    Its standard output goes to ours, its standard error to ours; on a
    terminal control characters are shown as escapes.
    """
    with Spool(path) as spool:
        doorbell = Doorbell(spool, FLOW) if follow else None
        tail = _Tail(spool)
        try:
            (found,) = named_jobs(spool, (job,))
            tail.look(found)
            if doorbell is not None:
                found = _follow(spool, doorbell, tail, found)
        except KeyboardInterrupt:
            if not follow:
                raise
        finally:
            tail.close()
            if doorbell is not None:
                doorbell.close()
        if not tail.wrote:
            click.echo(f"{found.id}: wrote nothing", err=True)
    return 0


def _follow(
    spool: Spool, doorbell: Doorbell, tail: "_Tail", job: JobView
) -> JobView:
    """Print what is written until the job is done or failed."""
    while job.state not in (State.DONE, State.FAILED):
        moved = {
            seen.id: seen for seen in doorbell.listen(_LOOK_S)
            if seen.id == job.id or seen.dropped_name == job.entry
        }
        if not doorbell.works:
            moved = {
                seen.id: seen for seen in listing.jobs(spool).values()
                if seen.id == job.id
            }
        tail.look(job)  # what was written before it moved
        for seen in moved.values():
            job = seen
        tail.look(job)
    return job


class _Tail:
    """
    What a job has written and we have not yet printed.

    Attributes:
        wrote: whether there ever was anything.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._run = -1
        self._fds: dict[str, int] = {}
        self._lent: set[str] = set()
        self._pending: dict[str, bytes] = {}
        self.wrote = False

    def look(self, job: JobView) -> None:
        """Print what is new of the run that *job* is in, or was in last."""
        run = job.name.runs if job.name is not None else 0
        if run != self._run and job.state in (
            State.ACTIVE, State.DEFERRED, State.DONE, State.FAILED
        ):
            if self._run != -1 and job.state is State.ACTIVE:
                self.close()  # another run: its output is another file
            self._run = run
        for kind in _KINDS:
            if kind in self._lent and job.state is not State.ACTIVE:
                self._keep_own(job, kind)
            if kind not in self._fds and not self._open(job, kind):
                continue
            self._copy(kind)

    def _open(self, job: JobView, kind: str) -> bool:
        if job.name is None or job.state is not State.ACTIVE:
            fd = view.output_fd(self._spool, job, kind)
        else:
            # Not what an earlier run left in deferred/.
            fd = view.open_output(
                self._spool, State.ACTIVE, f"{job.stem}.{kind}"
            )
            if fd is None:
                # A Python worker's own file, until the run ends.
                fd = view.open_output(
                    self._spool, State.ACTIVE, f"{job.name.owner}.{kind}"
                )
                if fd is not None:
                    self._lent.add(kind)
        if fd is None:
            return False
        self._fds[kind] = fd
        return True

    def _keep_own(self, job: JobView, kind: str) -> None:
        """Let go of a worker's file that the job wrote nothing to."""
        self._lent.discard(kind)
        fd = view.output_fd(self._spool, job, kind)
        if fd is not None:
            own = os.path.sameopenfile(fd, self._fds[kind])
            os.close(fd)
            if own:
                return
        os.close(self._fds.pop(kind))

    def _copy(self, kind: str) -> None:
        stream = sys.stdout if kind == "out" else sys.stderr
        to_person = stream.isatty()
        while chunk := os.read(self._fds[kind], _CHUNK_BYTES):
            self.wrote = True
            if to_person:
                chunk = self._inert(kind, chunk)
            stream.buffer.write(chunk)
        stream.flush()

    def _inert(self, kind: str, chunk: bytes) -> bytes:
        """Escape all but newlines and tabs; a cut character waits."""
        data = self._pending.pop(kind, b"") + chunk
        whole = data.rpartition(b"\n")
        if whole[1] and len(whole[2]) < 4:
            self._pending[kind] = whole[2]
            data = whole[0] + whole[1]
        lines = [
            "\t".join(map(inert_bytes, line.split(b"\t")))
            for line in data.split(b"\n")
        ]
        return "\n".join(lines).encode()

    def close(self) -> None:
        """Close its files, and print what was held back of them."""
        for kind, rest in self._pending.items():
            stream = sys.stdout if kind == "out" else sys.stderr
            stream.write(inert_bytes(rest))
        self._pending.clear()
        while self._fds:
            os.close(self._fds.popitem()[1])
