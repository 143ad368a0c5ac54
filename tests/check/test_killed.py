# SPDX-License-Identifier: MIT
"""Repair killed before each of its changes, and run again."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from check.healthy import HOUR_S, Healthy, findings, later, mend
from check.seeds import SEEDS

from spooler import fsops, record, repair

#: Of several ways to break one mode or name, one.
MODES = (
    "root-of-group", "active-writable", "done-writable", "tmp-listed-by-all",
    "incoming-not-sticky", "config-of-all", "handlers-of-all",
)
_CHANGES = {
    "rename", "link", "unlink", "rmdir", "mkdir", "fsync", "write", "fchmod",
    "chmod", "fchown", "chown", "ftruncate", "symlink",
}


class Killed(BaseException):
    """What would have been the end of the process."""


class Strike:
    """Counts the calls that change something, and dies before one."""

    def __init__(self, at: int) -> None:
        """Die before call number *at*."""
        self.at = at
        self.count = 0
        self.what = ""

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Count a call; once dead, nothing more is done."""
        def struck(*args: Any, **keys: Any) -> Any:
            self.count += 1
            if self.count >= self.at:
                self.what = self.what or f"{call.__name__}{args}"
                raise Killed
            return call(*args, **keys)
        return struck

    def open(self, path: Any, flags: int, *args: Any, **keys: Any) -> int:
        """Count those that make a file."""
        call: Callable[..., int] = os.open
        if flags & os.O_CREAT:
            call = self.wrap(os.open)
        return call(path, flags, *args, **keys)

    def __getattr__(self, name: str) -> Any:
        """Stand in for the module os."""
        found = getattr(os, name)
        return self.wrap(found) if name in _CHANGES else found


@contextlib.contextmanager
def killed_at(at: int) -> Iterator[Strike]:
    """Die before the change number *at* that repair makes."""
    strike = Strike(at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fsops, "os", strike)
        patch.setattr(repair, "os", strike)
        patch.setattr(fsops, "_renameat2", strike.wrap(fsops._renameat2))
        yield strike


def broken(path: pathlib.Path) -> Healthy:
    """A spool with all at once that repair mends."""
    spool = Healthy(path)
    for name, seed in SEEDS.items():
        if seed.mended and (seed.number != 1 or name in MODES):
            if not name.startswith("unfinished-"):
                seed.sow(spool)
    return spool


def state(spool: Healthy) -> dict[str, Any]:
    """What lies where, without inodes and the times in records."""
    out: dict[str, Any] = {}
    for path, (_, mode, uid, held) in spool.tree().items():
        if path.endswith(".result"):
            read = record.decode(held)
            kinds = read and [(run.kind, run.run) for run in read.runs]
            held = read and (read.id, kinds)
        out[path] = mode, uid, held
    return out


def test_repair_may_be_killed_anywhere(tmp_path: pathlib.Path) -> None:
    """Killed before any change, a second repair ends where one would."""
    with later(48 * HOUR_S):
        spool = broken(tmp_path / "whole")
        with killed_at(1 << 30) as strike:
            mend(spool)
        assert findings(spool) == []
        expected, total = state(spool), strike.count
        spool.close()
        assert total > 40
        for at in range(1, total + 1):
            spool = broken(tmp_path / "spool")
            contents = spool.job_contents()
            with killed_at(at) as strike, pytest.raises(Killed):
                mend(spool)
            what = f"killed at {at}: {strike.what}"
            assert not contents - spool.job_contents(), what
            mend(spool)
            assert not contents - spool.job_contents(), what
            assert state(spool) == expected, what
            assert mend(spool) == [], what
            spool.close()
            shutil.rmtree(spool.path)
    print(f"check: repair killed before each of {total} changes, 0 harmed")
