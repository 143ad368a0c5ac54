# SPDX-License-Identifier: MIT
"""
Which of many coroutines has the event loop, for the daemon to see.

A job that keeps the loop to itself stops all the others in its process; who
ends that process must know which one it was.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from spooler.board import Board

#: The hint of the job that runs, and the tasks that it began.
Whose = tuple[str, "set[asyncio.Task[Any]]"]

current: contextvars.ContextVar[Whose | None] = contextvars.ContextVar(
    "spooler_job", default=None
)


class _Steps(Coroutine[Any, Any, Any]):
    """A coroutine, each step of which is put on the board."""

    def __init__(
        self, inner: Coroutine[Any, Any, Any], board: Board, hint: str
    ) -> None:
        self._inner = inner
        self._board = board
        self._hint = hint

    def send(self, value: Any) -> Any:
        """Do the next step."""
        self._board.begin(self._hint, time.monotonic_ns())
        try:
            return self._inner.send(value)
        finally:
            self._board.end()

    def throw(self, *error: Any) -> Any:
        """Do the next step, which begins with an error."""
        self._board.begin(self._hint, time.monotonic_ns())
        try:
            return self._inner.throw(*error)
        finally:
            self._board.end()

    def close(self) -> None:
        """End it."""
        self._inner.close()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # cr_frame and the like


def factory(board: Board) -> Callable[..., "asyncio.Task[Any]"]:
    """What an event loop is to make its tasks with."""

    def make(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **how: Any
    ) -> "asyncio.Task[Any]":
        context = how.get("context")
        whose = current.get() if context is None else context.get(current)
        if whose is None:
            return asyncio.Task(coroutine, loop=loop, **how)
        hint, tasks = whose
        task: asyncio.Task[Any] = asyncio.Task(
            _Steps(coroutine, board, hint), loop=loop, **how
        )
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    return make
