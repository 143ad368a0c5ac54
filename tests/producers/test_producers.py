# SPDX-License-Identifier: MIT
"""Producers without our programs, compiled and run, and their jobs, too."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from support import SpoolDir, run_spoold

HERE = pathlib.Path(__file__).parent
TIMEOUT_S = 100
CONFIG = """\
[handler.greet]
command = ["echo", "hello"]
[handler.count]
command = ["wc", "-w"]
match = ["*.txt"]
"""

#: Language -> its file, the program that is needed, and what runs it.
LANGUAGES = {
    "sh": ("producer.sh", "sh", ["sh", "{file}"]),
    "python": ("producer.py", sys.executable, [sys.executable, "{file}"]),
    "c": ("producer.c", "cc", ["{program}"]),
    "go": ("producer.go", "go", ["{program}"]),
    "node": ("producer.js", "node", ["node", "{file}"]),
    "perl": ("producer.pl", "perl", ["perl", "{file}"]),
    "ruby": ("producer.rb", "ruby", ["ruby", "-w", "{file}"]),
}
COMPILERS = {
    "c": ["cc", "-Wall", "-Wextra", "-Werror", "-o", "{program}", "{file}"],
    "go": ["go", "build", "-o", "{program}", "{file}"],
}


def _built(language: str, where: pathlib.Path) -> list[str]:
    """What runs the producer of a language, compiled if need be."""
    name, needed, argv = LANGUAGES[language]
    if shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed: {name} was not run")
    places = {"file": HERE / name, "program": where / "producer"}
    compiler = [word.format(**places) for word in COMPILERS.get(language, ())]
    if compiler:
        _run(compiler, where)
    return [word.format(**places) for word in argv]


def _run(argv: list[str], where: pathlib.Path) -> None:
    """Run it where nothing is readable for others unless it says so."""
    done = subprocess.run(
        argv, cwd=where, text=True,
        umask=0o077, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "GOCACHE": str(where / "go"), "GOFLAGS": "",
             "GO111MODULE": "off"},
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_producer(
    language: str, spool: SpoolDir, tmp_path: pathlib.Path
) -> None:
    """A document and a payload are dropped, can be read, and are run."""
    _run([*_built(language, tmp_path), str(spool.path)], tmp_path)
    document, payload = f"from-{language}.job", f"from-{language}.txt"
    assert spool.listed("incoming") == [document, payload]
    assert spool.listed("tmp") == []
    for dropped in (document, payload):
        mode = (spool.path / "incoming" / dropped).stat().st_mode
        assert mode & 0o777 == 0o640
    spool.configure(CONFIG)
    drained = run_spoold(spool.path, "--drain")
    assert drained.returncode == 0, drained.stderr
    assert spool.wait(document).out == b"hello Ann\n"
    assert spool.wait(payload).out == b"3\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_flushed(
    language: str, spool: SpoolDir, tmp_path: pathlib.Path
) -> None:
    """What is dropped was flushed before its rename."""
    argv = _built(language, tmp_path)
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: flushes were not looked for")
    log = tmp_path / "log"
    calls = "fsync,rename,renameat,renameat2"
    _run(
        ["strace", "-f", "-qq", "-e", "signal=none", "-e", f"trace={calls}",
         "-o", str(log), *argv, str(spool.path)], tmp_path,
    )
    made = re.findall(
        r"\b(fsync|rename)(?:at|at2)?\(.* = 0$", log.read_text(), re.M
    )
    assert made.count("rename") == 2
    for before in " ".join(made).split("rename")[:2]:
        assert "fsync" in before


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - set(COMPILERS)))
def test_no_spool(language: str, tmp_path: pathlib.Path) -> None:
    """A producer that cannot drop says so by its exit status."""
    done = subprocess.run(
        [*_built(language, tmp_path), str(tmp_path)], capture_output=True,
        cwd=tmp_path,
    )
    assert done.returncode != 0


def test_every_file_is_run() -> None:
    """No producer lies here untried."""
    files = {path.name for path in HERE.glob("producer.*")}
    assert files == {name for name, _, _ in LANGUAGES.values()}
