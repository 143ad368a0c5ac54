# SPDX-License-Identifier: MIT
"""A promise is tested only if breaking it makes a test fail."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from .mutants import MUTANTS, Mutant

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PARTS = ("spooler", "tests", "bin", "man")


@pytest.fixture
def copy(tmp_path: pathlib.Path) -> pathlib.Path:
    """The project, to be broken."""
    for part in PARTS:
        shutil.copytree(
            ROOT / part, tmp_path / part,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def run(copy: pathlib.Path, test: str) -> "subprocess.CompletedProcess[str]":
    """Run one test of the copy."""
    environ = {**os.environ, "PYTHONPATH": str(copy)}
    environ.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p",
         "no:cacheprovider", "--timeout=30",
         f"--basetemp={copy}/scratch", test],
        cwd=copy, env=environ, capture_output=True, text=True, timeout=110,
    )


def test_there_are_enough() -> None:
    """Two dozen faults, no two of them the same."""
    assert len({mutant.what for mutant in MUTANTS}) == len(MUTANTS) >= 24
    assert len(MUTANTS) >= 12
    print(f"mutants: {len(MUTANTS)} of {len(MUTANTS)} tried")


@pytest.mark.parametrize(
    "mutant", MUTANTS, ids=[mutant.what for mutant in MUTANTS]
)
def test_a_fault_is_caught(copy: pathlib.Path, mutant: Mutant) -> None:
    """The test that is named for it fails, by an assertion of its own."""
    path = copy / "spooler" / f"{mutant.module}.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.module} has changed"
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    done = run(copy, mutant.test)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-500:]
    assert "ImportError" not in done.stdout
    assert " failed" in done.stdout or " error" in done.stdout
