# SPDX-License-Identifier: MIT
"""What a worker is doing, in shared memory."""

import os
from collections.abc import Iterator

import pytest
from spooler import board
from spooler.board import BOARD_BYTES, Board

NAME = "4.1hqn0000000000000001,mail.job"


@pytest.fixture
def pair() -> Iterator[tuple[Board, Board]]:
    """Make both sides of one board: the worker's and the daemon's."""
    fd = Board.create()
    sides = Board(fd), Board(fd)
    os.close(fd)
    yield sides
    for side in sides:
        side.close()


def test_a_new_board_is_idle(pair: tuple[Board, Board]) -> None:
    """Before the first job nothing runs and nobody was asked to stop."""
    for side in pair:
        assert side.read() is None
        assert not side.stopping()


def test_the_daemon_sees_the_job(pair: tuple[Board, Board]) -> None:
    """The daemon reads which job the worker took up, and when."""
    worker, daemon = pair
    worker.begin(NAME, 123, 456)
    assert daemon.read() == (NAME, 123, 456)
    worker.begin(NAME + "x", 2**63, 2**63)
    assert daemon.read() == (NAME + "x", 2**63, 2**63)
    worker.begin("short", 1)
    assert daemon.read() == ("short", 1, 0)


def test_the_end_of_a_job(pair: tuple[Board, Board]) -> None:
    """After the end of a job the worker is idle for the daemon too."""
    worker, daemon = pair
    worker.begin(NAME, 1)
    worker.end()
    assert daemon.read() is None


@pytest.mark.parametrize(
    "name",
    ["x", "é" * 127, "\udcff" * 255, "a\nb", "\0" * 10, "x" * 255],
    ids=["short", "accents", "bytes", "newline", "zeros", "long"],
)
def test_any_name_passes(pair: tuple[Board, Board], name: str) -> None:
    """The longest name and undecodable bytes are read as written."""
    worker, daemon = pair
    worker.begin(name, 1)
    assert daemon.read() == (name, 1, 0)


def test_stop_is_seen_by_both(pair: tuple[Board, Board]) -> None:
    """Either side's stop is seen by the other, in the midst of a job."""
    worker, daemon = pair
    worker.begin("x" * 255, 1)
    daemon.stop()
    assert worker.stopping() and daemon.stopping()
    assert daemon.read() == ("x" * 255, 1, 0)
    worker.end()
    assert worker.stopping()


def test_a_half_written_board_is_not_read(
    pair: tuple[Board, Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker killed while it wrote leaves nothing that could be read."""
    worker, daemon = pair
    worker.begin("before", 1)

    class Killed:
        """A page of which nothing but whole words was stored."""

        def __setitem__(self, *_: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(worker, "_page", Killed())
    with pytest.raises(KeyboardInterrupt):
        worker.begin("after", 2)
    monkeypatch.undo()
    assert daemon.read() is None
    assert not daemon.stopping()
    worker.begin("later", 3)
    assert daemon.read() == ("later", 3, 0)


def test_a_reader_takes_no_half_of_each(
    pair: tuple[Board, Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board that changes while it is read is read again, whichever part
    of it was read before."""
    worker, daemon = pair
    words = daemon._words
    for last in range(1, 12):
        worker.begin("first", 1)
        left = [last]

        class Racing:
            """Words between which the worker goes on to its next job."""

            def __getitem__(self, at: int) -> int:
                word = words[at]
                if left[0]:
                    left[0] -= 1
                    worker.begin("x" * left[0] + "job", left[0], left[0])
                return word

        monkeypatch.setattr(daemon, "_words", Racing())
        assert daemon.read() == ("job", 0, 0)
        monkeypatch.undo()


def test_it_is_one_page_of_no_file(pair: tuple[Board, Board]) -> None:
    """The memory has no name on disk and holds the longest name."""
    fd = Board.create()
    try:
        assert os.fstat(fd).st_size == BOARD_BYTES
        assert os.fstat(fd).st_nlink == 0
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
    assert board._NAME_AT + 255 < board._TOLD_AT
