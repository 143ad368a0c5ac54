# SPDX-License-Identifier: MIT
"""A handler that is given its arguments alone, and can end in every way."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from spooler import Defer, Fail


def _print() -> None:
    print("out")
    os.write(1, b"raw\n")
    print("err", file=sys.stderr)


def _raise() -> None:
    raise KeyError("the cause")


def _fail() -> None:
    raise Fail("wrong address")


def _defer() -> None:
    raise Defer("greylisted", 1000)


def _exit() -> None:
    sys.exit(3)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _print_and_raise() -> None:
    _print()
    _raise()


def _litter() -> None:
    os.umask(0)
    os.chdir("/")
    # Would end the worker in the run of another job.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0.2)


def _look() -> list[object]:
    umask, rings_in = os.umask(0), signal.getitimer(signal.ITIMER_REAL)[0]
    return [umask, os.getcwd() == "/", rings_in > 0]


def _close() -> None:
    sys.stdout.close()
    os.write(2, b"closed\n")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sleep() -> None:
    time.sleep(1000)


def _linger() -> None:
    time.sleep(0.4)


WAYS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "value": lambda: {"a": [1, "é", None]},
    "zero": lambda: 0,
    "not JSON": lambda: {1, 2},
    "print": _print,
    "raise": _raise,
    "fail": _fail,
    "defer": _defer,
    "exit": _exit,
    "interrupt": _interrupt,
    "print and raise": _print_and_raise,
    "litter": _litter,
    "look": _look,
    "linger": _linger,
    "close": _close,
    "print again": _print,
    "kill": _kill,
    "sleep": _sleep,
}


def act(way: str, *args: str) -> Any:
    """End in the *way* told."""
    if way == "args":
        return args
    if way == "caller":
        return sys._getframe(1).f_code.co_filename
    return WAYS[way]()
