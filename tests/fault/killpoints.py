# SPDX-License-Identifier: MIT
"""
The harness: a spool, something struck at its k-th call, and the truth.

A *point* is one call that touches the spool, made by any process of a run.
At each the run is killed or the call fails; then spoold runs once more, with
no faults, and what lies on disk is held to what producers were told.
"""

import collections
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from fault import control
from fault.control import Control

from spooler import check, layout, names
from spooler.spool import Spool
from spooler.states import FLOW, State

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIMIT_S = 25.0  #: after which a run counts as hung
#: The value that a job of each kind ends with, and what it printed.
_GOOD: dict[str, tuple[Any, bytes]] = {
    "plain.job": (None, b""),
    "value.job": ({"body": "in"}, b"printed\n"),
    "nap.job": ({"body": "in"}, b"napped\n"),
    "say.job": (8, b"heard\n"),
    "flaky.job": (7, b""),
    "blob.dat": (None, b""),
}
_BAD = {
    "never.job": "fail", "broken.job": "exit3", "torn.job": "bad",
    "stray.dat": "noroute",
}
_CONFIG = """\
format = 1
workers = 1
stop_timeout = "5s"
[handler.plain]
python = "fault.handlers:plain"
match = ["blob.dat"]
attempts = {attempts}
backoff = "10ms"
[handler.value]
python = "fault.handlers:value"
attempts = {attempts}
backoff = "10ms"
[handler.nap]
python = "fault.handlers:nap"
asyncio = true
attempts = {attempts}
backoff = "10ms"
[handler.flaky]
python = "fault.handlers:flaky"
attempts = {flaky}
backoff = "10ms"
[handler.never]
python = "fault.handlers:never"
attempts = {attempts}
backoff = "10ms"
[handler.say]
command = ["sh", "-c", '''
echo $SPOOL_JOB_ID >>{starts}; echo 8 >$SPOOL_RESULT; exec cat
''']
attempts = {attempts}
backoff = "10ms"
[handler.broken]
command = ["sh", "-c", "echo $SPOOL_JOB_ID >>{starts}; exit 3"]
attempts = 2
backoff = "10ms"
"""


def build(directory: pathlib.Path) -> pathlib.Path | None:
    """Compile the shim; None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    shim = directory / "shim.so"
    subprocess.run(
        [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", str(shim),
         str(HERE / "shim.c"), "-ldl"],
        check=True, timeout=60,
    )
    return shim


class Place:
    """A fresh spool, and beside it what producers and handlers tell."""

    def __init__(self, path: pathlib.Path, attempts: int) -> None:
        """Make it below *path*."""
        self.path = path
        self.spool = path / "spool"
        self.ledger = path / "ledger"
        self.starts = path / "starts"
        self.log = path / "log"
        self.out = path / "out"
        self.counts = True  #: whether every start is counted in the name
        path.mkdir()
        layout.create(str(self.spool))
        (self.spool / "spool.toml").write_text(_CONFIG.format(
            attempts=attempts, flaky=max(2, attempts), starts=self.starts,
        ))
        self.starts.touch()
        self.ledger.touch()
        # What submit_file copies; the name of a payload is kept.
        (path / "blob.dat").write_bytes(b"blob")

    def told(self, word: str) -> list[str]:
        """The ids, or dropped names, that a producer was told *word* of."""
        out = []
        for line in self.ledger.read_text().splitlines():
            told, *keys = line.split()
            if told == word:
                out += keys
        return out

    def jobs(self) -> Iterator[tuple[State, str, names.Name]]:
        """Every job file in the spool."""
        for state in FLOW:
            for entry in os.listdir(self.spool / state.value):
                name = names.parse(entry)
                if name is not None and "," in entry:
                    yield state, entry, name

    def running(self) -> list[str]:
        """What is wrong at an instant when nothing runs and all may."""
        with Spool(str(self.spool)) as spool:
            return [
                f"I{found.number} {found.path}: {found.what}"
                for found in check.check(spool, lambda _: False)
            ]

    def judge(self, also: frozenset[str] = frozenset()) -> list[str]:
        """
        Tell what is wrong now that all is over.

        Args:
            also: verdicts that a good job may have as well.
        """
        wrong = []
        with Spool(str(self.spool)) as spool:
            for found in check.check(spool, lambda _: True):
                wrong.append(f"I{found.number} {found.path}: {found.what}")
        places = collections.defaultdict(list)
        for state, entry, name in self.jobs():
            places[name.id].append(f"{state.value}/{entry}")
            if "-" in name.tail:
                places[name.tail].append(f"{state.value}/{entry}")
            wrong += self._verdict(state, entry, name, also)
        for key in self.told("confirmed"):
            if not places.get(key):
                wrong.append(f"LOST {key}")
        for key in self.told("refused"):
            known = set(self.told("confirmed") + self.told("unknown"))
            if key not in known and places.get(key):
                wrong.append(f"REFUSED but there: {places[key]}")
        for key, found_at in places.items():
            if len(found_at) > 1:
                wrong.append(f"TWICE {found_at}")
        return wrong + self._litter()

    def _verdict(
        self, state: State, entry: str, name: names.Name,
        also: frozenset[str],
    ) -> list[str]:
        where = f"{state.value}/{entry}"
        tail = name.tail.rpartition("-")[2]
        if state not in (State.DONE, State.FAILED):
            return [f"STUCK {where}"]
        if not self.counts:
            return []  # sent back by hand: what was counted is forgotten
        starts = self.starts.read_text().split().count(name.id)
        if starts > name.runs:
            return [f"{starts} STARTS, {name.runs} counted: {where}"]
        if state is State.FAILED:
            wanted = {_BAD.get(tail, ""), *also}
            if tail in _GOOD and also == {"lost"}:
                wanted.clear()  # it had attempts enough
            if name.verdict not in wanted:
                return [f"VERDICT {where}: {self._record(state, name)}"]
            # The run that judged it bad did not start; those before may have.
            if name.verdict == "bad" and starts >= name.runs:
                return [f"BAD but started: {where}"]
            return []
        if tail in _BAD:
            return [f"DONE but bad: {where}"]
        if not starts:
            return [f"DONE but never started: {where}"]
        value, out = _GOOD[tail]
        record = self._record(state, name)
        output = self.spool / state.value / f"{name.stem}.out"
        data = output.read_bytes() if output.exists() else b""
        if data != out:
            return [f"OUTPUT {data!r}: {where}"]
        if (record.get("value") if record else None) != value:
            return [f"VALUE {record}: {where}"]
        if record and [run["run"] for run in record["runs"]] != sorted(
            {run["run"] for run in record["runs"]}
        ):
            return [f"RUNS {record}: {where}"]
        return []

    def _record(self, state: State, name: names.Name) -> Any:
        path = self.spool / state.value / f"{name.stem}.result"
        return json.loads(path.read_bytes()) if path.exists() else None

    def _litter(self) -> list[str]:
        """What lies about that belongs to nothing."""
        beside = {
            (state, name.stem) for state, _, name in self.jobs()
        }
        wrong = []
        for state in FLOW:
            for entry in os.listdir(self.spool / state.value):
                split = names.stem_of(entry.removesuffix(".new"))
                if state is State.INCOMING or (
                    "," in entry and names.parse(entry) is not None
                ):
                    continue
                if (
                    split is None or entry.endswith(".new")
                    or (state, split[0]) not in beside
                ):
                    wrong.append(f"LITTER {state.value}/{entry}")
        for private in ("work", "locks"):
            for entry in os.listdir(self.spool / "run" / private):
                wrong.append(f"LITTER run/{private}/{entry}")
        return wrong


class Stage:
    """Runs producers and daemons with the shim in them."""

    def __init__(self, shim: pathlib.Path, directory: pathlib.Path) -> None:
        """Start the process that forks them."""
        self.control = Control(str(directory / "control"))
        self._directory = directory
        self._places = 0
        environ = dict(
            os.environ, LD_PRELOAD=str(shim),
            FAULT_CONTROL=self.control.path,
            PYTHONPATH=os.pathsep.join((str(ROOT), str(HERE.parent))),
            PYTHONDONTWRITEBYTECODE="1",
        )
        environ.pop("NOTIFY_SOCKET", None)
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "stage.py")], text=True, env=environ,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1,
        )

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @contextlib.contextmanager
    def place(self, attempts: int = 9) -> Iterator[Place]:
        """Make a fresh spool, and remove it."""
        self._places += 1
        place = Place(self._directory / f"place{self._places}", attempts)
        try:
            yield place
        finally:
            if not os.environ.get("SPOOL_FAULT_KEEP"):
                shutil.rmtree(place.path)

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def run(
        self, verb: str, place: Place, lift_s: float | None = None,
        args: tuple[str, ...] = (), **rule: int,
    ) -> int | None:
        """Run one process tree under a rule; None: it hung."""
        self.control.arm(str(place.spool), **rule)
        answer = self._ask(
            verb=verb, spool=str(place.spool), ledger=str(place.ledger),
            log=str(place.log), limit_s=LIMIT_S, lift_s=lift_s,
            args=args, out=str(place.out),
        )
        self.control.lift()
        code = answer["code"]
        assert code is None or isinstance(code, int)
        return code

    @property
    def fired(self) -> bool:
        """Whether the last run came to its point."""
        return self.control.get("fired") > 0

    def clear(self) -> list[str]:
        """Whatever outlived its daemon must end by itself."""
        left = self._ask(verb="clear", limit_s=5.0)["left"]
        return [f"LEFT BEHIND {item}" for item in left]

    def finish(
        self, place: Place, also: frozenset[str] = frozenset()
    ) -> list[str]:
        """Run spoold with no faults, and judge."""
        wrong = []
        for _ in range(2):
            code = self.run("spoold", place)
            if code not in (0, 1):
                wrong.append(f"RECOVERY ended with {code}")
            wrong += self.clear()
            found = place.judge(also)
            if not all(text.startswith("LITTER") for text in found):
                break
            # A start cannot tidy behind workers that outlived their daemon
            # for a moment; the next one does.
        return wrong + found


class Tally:
    """Counts points, and keeps what went wrong at them."""

    def __init__(self, kind: str) -> None:
        """Begin at nothing."""
        self.kind = kind
        self.points = self.fired = 0
        self.wrong: list[str] = []

    def add(self, point: str, fired: bool, wrong: list[str]) -> None:
        """Take note of one point."""
        self.points += 1
        self.fired += fired
        if wrong:
            self.wrong.append(f"{point}: {'; '.join(wrong)}")

    def report(self) -> None:
        """Print the counts; fail if anything was wrong."""
        print(
            f"{self.kind}: {self.points} points, {self.fired} struck,"
            f" {len(self.wrong)} violations"
        )
        assert self.fired, "no point was ever reached"
        shown = "\n".join(self.wrong[:20])
        assert not self.wrong, f"{len(self.wrong)} violations:\n{shown}"


def count(stage: Stage, verb: str, mask: int = control.CHANGE) -> int:
    """The number of points of a run without faults, which must be right."""
    with stage.place() as place:
        if verb == "spoold":
            stage.run("produce", place)
        code = stage.run(verb, place, mask=mask)
        assert code in (0, 1), place.log.read_text()
        number = stage.control.get("count")
        wrong = stage.clear()
        if verb != "spoold":
            wrong += stage.finish(place)
        else:
            wrong += place.judge()
        assert not wrong, "\n".join(wrong)
    return number


def scratch() -> pathlib.Path:
    """Make a directory; in memory if there is one, to sync is nothing."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return pathlib.Path(tempfile.mkdtemp(prefix="spool-fault.", dir=base))
