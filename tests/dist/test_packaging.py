# SPDX-License-Identifier: MIT
"""sdist and wheel are whole, and what they install works from anywhere."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from spooler.cli import completion
from support import ROOT

pytestmark = pytest.mark.timeout(600)

#: All that an installation is made of; the rest of a checkout is not copied.
SOURCES = ("README.rst", "setup.cfg", "setup.py", "bin", "man", "spooler")
PAGES = sorted(path.name for path in (ROOT / "man").iterdir())
#: Where a shell looks, below the prefix.
SCRIPTS = {
    "bash": "share/bash-completion/completions/spoolctl.bash",
    "zsh": "share/zsh/site-functions/_spoolctl",
    "fish": "share/fish/vendor_completions.d/spoolctl.fish",
}


def run(*argv: object, cwd: pathlib.Path) -> str:
    """Run a program that must succeed, with nothing of ours in its way."""
    environ = {
        name: value for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "SPOOL_DIR", "MANPATH")
    }
    done = subprocess.run(
        [*map(str, argv)], cwd=cwd, env=environ, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout}"
    return done.stdout


def venv(path: pathlib.Path, *wanted: object) -> pathlib.Path:
    """Make an environment with some packages in it."""
    run(sys.executable, "-m", "venv", path, cwd=path.parent)
    run(
        path / "bin" / "python", "-m", "pip", "install", "--quiet",
        "--disable-pip-version-check", *wanted, cwd=path.parent,
    )
    return path


@dataclasses.dataclass(frozen=True)
class Built:
    """What was built."""

    sdist: pathlib.Path
    wheel: pathlib.Path
    second: pathlib.Path  #: the wheel of the sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build a copy of the checkout, and then what was built of it."""
    where = tmp_path_factory.mktemp("build")
    tools = venv(where / "tools", "build", "setuptools", "wheel")
    checkout = where / "checkout"
    checkout.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, checkout / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        else:
            shutil.copy(source, checkout)

    def build(kind: str, source: pathlib.Path, out: str) -> pathlib.Path:
        run(
            tools / "bin" / "python", "-m", "build", "--no-isolation",
            f"--{kind}", "--outdir", where / out, source, cwd=where,
        )
        (only,) = (where / out).iterdir()
        return only

    sdist = build("sdist", checkout, "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(where / "unpacked")
    (unpacked,) = (where / "unpacked").iterdir()
    return Built(
        sdist, build("wheel", checkout, "wheel"),
        build("wheel", unpacked, "second"),
    )


@pytest.fixture(scope="module")
def prefix(
    built: Built, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """Install the wheel as a person would under /opt."""
    place = tmp_path_factory.mktemp("opt") / "spooler"
    return venv(place, built.wheel)


def _contents(wheel: pathlib.Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_same_wheel(built: Built) -> None:
    """The wheel of the sdist holds what the wheel of the checkout holds."""
    assert _contents(built.second) == _contents(built.wheel)


def test_nothing_is_missing(built: Built) -> None:
    """Sdist and wheel hold every file of the package, pages and programs."""
    wanted = {
        str(path.relative_to(ROOT)) for name in ("spooler", "man")
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {"bin/spoold", "bin/spoolctl"}
    with tarfile.open(built.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert not {*wanted, "setup.py", "setup.cfg", "README.rst"} - held
    names = set(_contents(built.wheel))
    for name in wanted:
        if not name.startswith("spooler/"):
            name = f"/{os.path.basename(name)}"
        assert any(path.endswith(name) for path in names), name


def test_runs(prefix: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """An installed spoolctl and spoold make a spool, and run its jobs."""
    python, programs = prefix / "bin" / "python", prefix / "bin"
    queue = tmp_path / "queue"
    run(python, programs / "spoolctl", "init", queue, cwd=tmp_path)
    with open(queue / "spool.toml", "a", encoding="utf-8") as stream:
        stream.write('[handler.say]\ncommand = ["echo"]\n')
        stream.write('[handler.add]\npython = "operator:add"\n')
    spoolctl = python, programs / "spoolctl", "-C", queue
    said = run(*spoolctl, "submit", "say", "hello", cwd=tmp_path).strip()
    added = run(*spoolctl, "submit", "add", "a", "b", cwd=tmp_path).strip()
    run(python, programs / "spoold", "--drain", queue, cwd=tmp_path)
    assert run(*spoolctl, "log", said, cwd=tmp_path) == "hello\n"
    assert "value:     ab" in run(*spoolctl, "show", added, cwd=tmp_path)


def test_first_lines(prefix: pathlib.Path) -> None:
    """The installed programs are for the Python they were installed with."""
    for program in ("spoold", "spoolctl"):
        path = prefix / "bin" / program
        head = path.read_text(encoding="utf-8")[:400]
        assert str(prefix / "bin" / "python") in head
        assert path.stat().st_mode & 0o111 == 0o111


def test_completion(prefix: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The scripts that complete lie where shells look, and are printed."""
    python, program = prefix / "bin" / "python", prefix / "bin" / "spoolctl"
    assert set(SCRIPTS) == set(completion.SCRIPTS)
    for shell, place in SCRIPTS.items():
        printed = run(python, program, "completion", shell, cwd=tmp_path)
        assert printed == completion.script(shell)
        assert (prefix / place).read_text(encoding="utf-8") == printed


@pytest.mark.parametrize("page", PAGES)
def test_page(
    page: str, prefix: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """man finds every page once the programs are on the path."""
    name, _, number = page.rpartition(".")
    path = prefix / "share" / "man" / f"man{number}" / page
    assert path.read_bytes() == (ROOT / "man" / page).read_bytes()
    if shutil.which("man") is None:
        pytest.skip("man is not installed: it was not asked for the page")
    search = f"PATH={prefix / 'bin'}:{os.environ['PATH']}"
    found = run("env", search, "man", "-w", number, name, cwd=tmp_path)
    assert pathlib.Path(found.strip()).resolve() == path.resolve()
