# SPDX-License-Identifier: MIT
"""What a Python handler returned or raised, as a verdict.  Pure."""

import json
import os
import traceback
from typing import Any

from spooler import settle
from spooler.errors import Defer, Fail
from spooler.handlers import LoadError
from spooler.jsonable import why_not_json
from spooler.text import inert

VALUE_MAX_BYTES = 1 << 20
TRACEBACK_MAX_CHARS = 64 << 10
_HERE = os.path.dirname(__file__)
_OUR_DIRECTORIES = _HERE, os.path.join(os.path.dirname(os.__file__), "asyncio")


class JobTimeout(BaseException):
    """
    Raised in a handler whose time is up.

    Not an Exception, so that ``except Exception`` does not swallow it.
    """


def checked(value: Any) -> Any:
    """Raise TypeError or ValueError for a value that is not JSON."""
    if value is None:
        return value
    why = why_not_json(value, "what it returned")
    if why is not None:
        raise TypeError(why)
    size = len(json.dumps(value, allow_nan=False))
    if size > VALUE_MAX_BYTES:
        raise ValueError(
            f"returned {size} bytes of JSON, {VALUE_MAX_BYTES} is the limit;"
            " write it to a file and return its name"
        )
    return value


def judge(
    error: BaseException, limit: float | None
) -> tuple[str, str, str, float | None, str | None]:
    """Effect, kind, text, delay and traceback for what a handler raised."""
    text = inert(str(error), 500)
    if isinstance(error, Defer):
        return settle.DEFER, "defer", text, error.delay_s, None
    if isinstance(error, Fail):
        cause = error.__cause__
        trace = None if cause is None else _trace(cause)
        return settle.FAIL, "fail", text, None, trace
    if isinstance(error, JobTimeout):
        text = f"timed out after {limit:g}s" if limit else "timed out"
        return settle.RETRY, "timeout", text, None, _trace(error)
    if isinstance(error, LoadError):
        cause = error.__cause__
        return settle.RETRY, "start", text, None, _trace(cause or error)
    kind = type(error).__name__
    text = f"{kind}: {text}" if text else kind
    return settle.RETRY, "error", text, None, _trace(error)


def _trace(error: BaseException) -> str:
    # Our own frames say nothing about the handler, nor do those of a loop.
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        directory = os.path.dirname(frames.tb_frame.f_code.co_filename)
        if directory not in _OUR_DIRECTORIES:
            break
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    return text[-TRACEBACK_MAX_CHARS:]
