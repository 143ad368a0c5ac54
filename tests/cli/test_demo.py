# SPDX-License-Identifier: MIT
"""spoolctl demo: the tour, for real."""

import pathlib

from .harness import Cli


def test_the_tour(cli: Cli, tmp_path: pathlib.Path) -> None:
    """The demo ends as promised, exits 0, and leaves nothing behind."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = cli("demo", env={"TMPDIR": str(temporary)})
    assert "All ended as promised." in done.lines
    assert done.err == ""
    assert list(temporary.iterdir()) == []
    for word in ("SIGKILL", "busy", "no credentials", "uploaded report.pdf"):
        assert word in done.out, word
    assert not cli.listed("incoming"), "it has a spool of its own"
