# SPDX-License-Identifier: MIT
"""The texts for systemd."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
from spooler.cli import unit
from support import ROOT, SPOOLCTL, SPOOLD


def told(*options: str, **environ: str) -> str:
    """What ``spoolctl unit`` prints."""
    done = subprocess.run(
        [sys.executable, SPOOLCTL, "unit", *options], capture_output=True,
        text=True, env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def line(text: str, key: str) -> str:
    """The last value of an option."""
    return re.findall(rf"^{key}=(.*)$", text, re.M)[-1]


@pytest.mark.parametrize("option", [
    "", "--user", "--sysusers", "--tmpfiles", "--no-network",
])
def test_nothing_is_left_to_fill_in(option: str) -> None:
    """Every text is whole."""
    text = told(*filter(None, [option]))
    assert text.startswith("#") and text.endswith("\n")
    assert not re.search(r"@[A-Z_]+@", text)


def test_a_checkout_is_run_by_the_python_that_prints() -> None:
    """Its programs' first line would find whatever Python comes first."""
    text = told()
    assert line(text, "ExecStart").split() == [
        sys.executable, SPOOLD, "/var/spool/spooler/%i"
    ]


def test_what_the_sandbox_hides_is_shown() -> None:
    """An installation in a home directory or /tmp is bound read-only."""
    assert unit.hidden_paths([
        "/usr/bin", "/home/a/venv/bin", "/home/a/venv", "/root", "/roots/x",
        "/tmp/x", "/var/tmp/y/../z", "/home/a/venv2", "/homes/a",
    ]) == ["/home/a/venv", "/home/a/venv2", "/tmp/x", "/var/tmp/z"]


@pytest.mark.parametrize(("path", "written"), [
    ("/opt/spooler/bin/spoold", "/opt/spooler/bin/spoold"),
    ("/opt/a b/x", '"/opt/a b/x"'),
    ("/opt/50%/x", "/opt/50%%/x"),
    ("/opt/$x", '"/opt/$$x"'),
    ('/opt/"\\', '"/opt/\\"\\\\"'),
])
def test_a_path_is_one_word(path: str, written: str) -> None:
    """systemd reads the path that was meant."""
    assert unit.quote(path) == written


def test_a_user_has_a_unit_without_a_sandbox(
    tmp_path: pathlib.Path
) -> None:
    """For a spool where spoolctl looks for it, and by no other user."""
    text = told("--user", XDG_STATE_HOME=str(tmp_path))
    assert line(text, "ExecStart").endswith(f" {tmp_path}/spooler/%i")
    text = told("--user", XDG_STATE_HOME="")
    assert line(text, "ExecStart").endswith(" %h/.local/state/spooler/%i")
    assert not re.search(r"^(User|Protect\w+|Private\w+)=", text, re.M)


@pytest.mark.parametrize(("version", "known"), [
    ("systemd 252 (252.38)", False), ("systemd 254 (254.1)", True),
    ("nonsense", False),
])
def test_only_what_this_systemd_knows(
    tmp_path: pathlib.Path, version: str, known: bool
) -> None:
    """An older one would complain of DelegateSubgroup."""
    fake = tmp_path / "systemctl"
    fake.write_text(f"#!/bin/sh\necho '{version}'\n")
    fake.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert ("\nDelegateSubgroup=spoold\n" in told(PATH=path)) is known


def test_texts_are_installed_with_the_package() -> None:
    """setup.cfg names the directory they are in."""
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    listed = re.search(r"package_data\]\nspooler =\n((?:    .*\n)+)", text)
    assert listed and "data/*" in listed[1].split()
