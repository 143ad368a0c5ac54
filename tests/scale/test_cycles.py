# SPDX-License-Identifier: MIT
"""spoold stopped, started and reloaded under load, again and again."""

import contextlib
import itertools
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

from support import Spoold, SpoolDir, sized, wait_until

from spooler.client import Client
from spooler.errors import SpoolError

Start = Callable[..., Spoold]

CYCLES = sized(12, 200)
PRODUCERS = 2
CONFIG = """
stop_timeout = "20s"
[handler.mark]
python = "sample_handlers:mark"
attempts = 1
[handler.sleep]
command = ['sh', '-c', '''
echo "$SPOOL_JOB_ID $SPOOL_ATTEMPT $(date +%s%N)" >>STARTS; sleep 0.02''']
attempts = 1
"""


class Producers:
    """Threads that submit, a little faster than jobs are done."""

    def __init__(self, spool: SpoolDir, starts: pathlib.Path) -> None:
        self._spool = spool
        self._starts = str(starts)
        self.ids: list[str] = []
        self.refused = 0
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._submit, args=(number,))
            for number in range(PRODUCERS)
        ]

    def _submit(self, number: int) -> None:
        handlers = itertools.cycle(("mark", "sleep"))
        with Client(str(self._spool.path)) as client:
            while not self._over.wait(0.02):
                try:
                    job_id = client.submit(next(handlers), self._starts)
                except SpoolError:
                    self.refused += 1
                else:
                    self.ids.append(job_id)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Let them submit meanwhile."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()


class Cycles:
    """What is done to one spoold after another, and how long it took."""

    def __init__(self, spool: SpoolDir, start: Start) -> None:
        self._spool = spool
        self._start = start
        self.daemon = start("--workers", "2")
        self.pauses: list[tuple[int, int]] = []  #: wall clock, no job starts
        self.reloads: list[float] = []

    def settle(self) -> None:
        """Wait until a few more jobs were done."""
        before = self._spool.count("done")
        wait_until(lambda: self._spool.count("done") >= before + 6)

    def stop(self) -> None:
        """Stop it as systemd does, and start the next one."""
        told = time.time_ns()
        assert self.daemon.stop() == 0, self.daemon.log
        assert self.daemon.notify.count("STOPPING=1") == 1
        self.pauses.append((told, time.time_ns()))
        self.daemon = self._start("--workers", "2")

    def reload(self) -> None:
        """Let it read a good file."""
        ready = self.daemon.notify.count("READY=1")
        told = time.monotonic()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_ready(ready + 1)
        self.reloads.append(time.monotonic() - told)

    def reload_nonsense(self) -> None:
        """Let it read a bad file: it says so, and goes on as it was."""
        path: pathlib.Path = self._spool.path / "spool.toml"
        good = path.read_text(encoding="utf-8")
        said = self.daemon.log.count("not reloaded")
        self._spool.configure("[handler.mark]\npython = 7\n")
        self.reload()
        assert self.daemon.log.count("not reloaded") == said + 1
        path.write_text(good, encoding="utf-8")


def test_stop_and_reload_lose_nothing(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """Jobs submitted meanwhile are each run once, and none fails by it."""
    starts = tmp_path / "starts"
    spool.configure(CONFIG.replace("STARTS", str(starts)))
    cycles = Cycles(spool, spoold)
    producers = Producers(spool, starts)
    acts = (cycles.stop, cycles.reload, cycles.reload_nonsense)
    with producers.at_work():
        for act in itertools.islice(itertools.cycle(acts), CYCLES):
            cycles.settle()
            act()
    ids = sorted(producers.ids)
    wait_until(
        lambda: spool.count("done") + spool.count("failed") == len(ids),
        120, spool.tree,
    )
    assert sorted(job.name.id for job in spool.jobs("done")) == ids
    runs = [line.split() for line in starts.read_text().splitlines()]
    assert sorted(job_id for job_id, _, _ in runs) == ids
    assert {attempt for _, attempt, _ in runs} == {"1"}
    late = [
        (int(start) - told) / 1e6 for _, _, start in runs
        for told, ended in cycles.pauses if told < int(start) < ended
    ]
    print(
        f"scale cycles: {len(cycles.pauses)} stops and"
        f" {len(cycles.reloads)} reloads under load, {len(ids)} jobs: 0 lost,"
        f" 0 failed, 0 run twice, {producers.refused} refused; last start"
        f" {max(late, default=0):.0f} ms after a stop was told, slowest"
        f" reload {max(cycles.reloads) * 1e3:.0f} ms"
    )
