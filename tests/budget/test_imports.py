# SPDX-License-Identifier: MIT
"""A command imports no more modules than the budget has."""

import functools
import importlib.util
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
from support import SPOOLCTL, SPOOLD, SpoolDir, environment

BUDGET = tomllib.loads(
    (pathlib.Path(__file__).parent / "budget.toml").read_text("utf-8")
)["imports"]
CONFIG = 'workers = 1\n[handler.noop]\ncommand = ["true"]\n'
PROGRAMS = {
    "submit": [SPOOLCTL, "-C", "{spool}", "submit", "noop", "x"],
    "submit-options": [
        SPOOLCTL, "-C", "{spool}", "submit", "noop", "--in", "5m",
    ],
    "ls": [SPOOLCTL, "-C", "{spool}", "ls"],
    "ls-options": [SPOOLCTL, "-C", "{spool}", "ls", "-n", "3"],
    "status": [SPOOLCTL, "-C", "{spool}", "status"],
    "spoold": [SPOOLD, "--drain", "{spool}"],
}
TIMEOUT_S = 60
#: Own time in microseconds, and the module.
_TIMED = re.compile(r"import time: +(\d+) \| +\d+ \| +(\S+)$")


def _imported(argv: list[str]) -> dict[str, int]:
    """Every module that a program of ours imports: name -> own time, us."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *argv], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env=environment(None), timeout=TIMEOUT_S,
    )
    found = {}
    for line in done.stderr.splitlines():
        timed = _TIMED.match(line)
        # What is tried and not found is timed as well.
        if timed and _exists(timed[2].split(".")[0]):
            found[timed[2]] = int(timed[1])
    assert found, done.stderr
    return found


@functools.cache
def _exists(package: str) -> bool:
    return package in sys.modules or (
        importlib.util.find_spec(package) is not None
    )


def _whose(name: str) -> str:
    package = name.split(".")[0]
    if package == "spooler":
        return "ours"
    return "stdlib" if package in sys.stdlib_module_names else "other"


@pytest.fixture
def bare() -> set[str]:
    """What the interpreter itself imports."""
    return set(_imported(["-c", "pass"]))


def test_every_program_has_a_budget() -> None:
    """What the budget names is started here, and the other way round."""
    assert set(BUDGET) == set(PROGRAMS)


@pytest.mark.parametrize("program", list(PROGRAMS))
def test_modules_of_a_command(
    spool: SpoolDir, bare: set[str], program: str
) -> None:
    """A command imports no more modules of ours, of the standard library
    and of others than its lines allow, and none that it must never."""
    spool.configure(CONFIG)
    argv = [
        word.replace("{spool}", str(spool.path))
        for word in PROGRAMS[program]
    ]
    found = {
        name: own for name, own in _imported(argv).items()
        if name not in bare
    }
    budget = dict(BUDGET[program])
    never, why = budget.pop("never")
    taken = sorted({name.split(".")[0] for name in found} & set(never))
    assert not taken, f"{program} imports {taken} ({why})"
    for whose, (most, why) in budget.items():
        names = sorted(
            (name for name in found if _whose(name) == whose),
            key=lambda name: -found[name],
        )
        assert len(names) <= most, (
            f"{program} imports {len(names)} modules, {whose}, budget {most}"
            f" ({why}); the dearest first: {names}"
        )
    assert any(_whose(name) == "ours" for name in found)
