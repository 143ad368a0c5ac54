# SPDX-License-Identifier: MIT
"""Functions that are no tasks; some may be called by jobs, some not."""

import os
import time
from os import system  # noqa: F401 - what a job must not get at


def double(number: int) -> int:
    return 2 * number


def divide(a: int, b: int) -> float:
    return a / b


def _hidden() -> str:
    return "hidden"


class Till:
    total = 3

    @staticmethod
    def count(by: int) -> int:
        return Till.total * by


def first(job: object, text: str) -> str:
    return f"{getattr(job, 'handler')} {text}"


async def coroutine(text: str) -> str:
    return text.upper()


def a_set() -> set[int]:
    return {1}


def mark(path: str) -> None:
    with open(path, "a") as stream:
        stream.write("x")


def blocks(flag: str) -> str:
    with open(flag, "w") as stream:
        stream.write("x")
    while os.path.exists(flag):
        time.sleep(0.005)
    return "went"


def dies_once(flag: str) -> str:
    if not os.path.exists(flag):
        mark(flag)
        os._exit(3)
    return "lived"


inner = [lambda: 1]
