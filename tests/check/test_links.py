# SPDX-License-Identifier: MIT
"""Links that a producer planted lead repair nowhere."""

import os
import pathlib
from typing import Any

import pytest
from check.healthy import HOUR_S, Healthy, findings, later, mend

from spooler import repair


@pytest.fixture
def outside(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make what a link may point to, all of it open to everybody."""
    path = tmp_path / "outside"
    (path / "inner").mkdir(parents=True)
    for name in "precious", "inner/more", "program":
        (path / name).write_bytes(name.encode())
        (path / name).chmod(0o666)
    (path / "inner").chmod(0o777)
    (path / "program").chmod(0o755)
    return path


def facts(path: pathlib.Path) -> dict[str, tuple[Any, ...]]:
    """Everything below a directory: mode, owner, inode and content."""
    found = {}
    for place in sorted(path.rglob("*")):
        status = place.stat()
        data = place.read_bytes() if place.is_file() else None
        found[str(place)] = (
            status.st_mode, status.st_uid, status.st_ino, data
        )
    return found


def names_of(spool: Healthy) -> list[str]:
    """Names that a producer might hope for."""
    done = next(spool.jobs("done"))
    held = next(spool.jobs("hold"))
    job_id = spool.id()
    return [
        "plain", f"{done.name.stem}.out", f"{done.name.stem}.result.new",
        done.entry, held.entry, f"4.{done.name.id},backup.job",
        f"4.{job_id},backup.job", f"5.{job_id},backup.job",
        f"4.{job_id}.a1.c{'0' * 20},backup.job", f"4.{job_id}.result",
    ]


@pytest.mark.parametrize("kind", ["link", "directory", "hard"])
def test_nothing_outside_is_touched(
    healthy: Healthy, outside: pathlib.Path, kind: str
) -> None:
    """Neither mode nor content nor existence of what a link points to."""
    target = outside / ("inner" if kind == "directory" else "precious")
    for state in "tmp", "incoming":
        for name in names_of(healthy):
            path = healthy.path / state / name
            if kind == "hard":
                path.hardlink_to(target)
            else:
                path.symlink_to(target)
    before, jobs = facts(outside), healthy.job_contents()
    with later(48 * HOUR_S):
        mend(healthy)
        assert mend(healthy) == []
    assert facts(outside) == before
    assert not jobs - healthy.job_contents()
    assert not [
        finding for finding in findings(healthy) if finding.number in (2, 6)
    ]


def test_one_file_dropped_twice_is_two_jobs(healthy: Healthy) -> None:
    """Alike names that are no job's names yet are not merged."""
    for name in "ab0123456789abcdefghij, one", "cd0123456789abcdefghij, two":
        (healthy.path / "incoming" / name).touch()
    one, two = (
        path for path in (healthy.path / "incoming").iterdir()
        if "0123456789abcdefghij" in path.name
    )
    two.unlink()
    two.hardlink_to(one)
    with later(120):
        assert mend(healthy) == []
    assert one.exists() and two.exists()


def test_a_configuration_with_another_name_is_left(
    healthy: Healthy, outside: pathlib.Path
) -> None:
    """A hard link in place of spool.toml gives no mode to its file."""
    config = healthy.path / "spool.toml"
    (outside / "precious").write_bytes(config.read_bytes())
    config.unlink()
    config.hardlink_to(outside / "precious")
    before = facts(outside)
    with later(120):
        mend(healthy)
    assert facts(outside) == before
    assert [finding.path for finding in findings(healthy)] == ["spool.toml"]


class Swapping:
    """The module os, for which a hostile user waited."""

    def __init__(self, path: pathlib.Path, victim: pathlib.Path) -> None:
        """Put *victim* in the place of *path* when that is opened."""
        self._path, self._victim = path, victim

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, name: str, *args: Any, **keys: Any) -> int:
        """Be quicker than whoever opens it."""
        if name == self._path.name:
            self._path.unlink()
            self._path.hardlink_to(self._victim)
        return os.open(name, *args, **keys)


def test_a_swapped_file_gets_no_mode_of_another(
    healthy: Healthy, outside: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mode that is set is that of the very file, or root would be his
    who can write to the spool's directory."""
    config = healthy.path / "spool.toml"
    config.chmod(0o4777)
    before = facts(outside)
    swap = Swapping(config, outside / "program")
    monkeypatch.setattr(repair, "os", swap)
    with later(120):
        mend(healthy)
    assert facts(outside) == before
