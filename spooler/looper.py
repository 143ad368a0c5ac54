# SPDX-License-Identifier: MIT
"""The event loop of a worker process, for handlers that are coroutines."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any


class Looper:
    """
    Runs one coroutine after the other, in one loop.

    The loop stays, so that handlers can keep connections from job to job;
    the other tasks that a job began do not.
    """

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it to its end, and cancel what it left running."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            value = self._runner.run(coroutine)
            self._runner.run(_cancel_others())
            return value
        except BaseException as error:
            # Its time was up anywhere in the loop, which is then in no
            # state to go on; after any other error it is.
            if isinstance(error, Exception):
                self._runner.run(_cancel_others())
            else:
                runner, self._runner = self._runner, None
                runner.close()
            raise


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)


_looper = Looper()


def in_loop(
    function: Callable[..., Coroutine[Any, Any, Any]]
) -> Callable[..., Any]:
    """The function that runs a coroutine function in the process's loop."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return _looper.run(function(*args, **kwargs))

    return run
