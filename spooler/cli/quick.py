# SPDX-License-Identifier: MIT
"""``spoolctl [-C SPOOL] submit [-p PRI] HANDLER [ARG...]``, and no more."""

import sys

from spooler import fsops, names
from spooler.cli import stdio
from spooler.errors import (
    EX_FAILED,
    EX_NOPERM,
    EX_USAGE,
    SpoolError,
    SubmitUnknown,
)
from spooler.place import spool_path


def submit(words: list[str]) -> int | None:
    """
    Do a plain submit.

    Returns:
        Its exit status; None if *words* ask for anything else.
    """
    chosen, priority = None, names.DEFAULT_PRIORITY
    if words[:1] == ["-C"] and len(words) > 1:
        chosen, words = words[1], words[2:]
    if words[:1] != ["submit"]:
        return None
    words = words[1:]
    if words[:1] == ["-p"] and len(words) > 1:
        if len(words[1]) != 1 or words[1] not in "0123456789":
            return None
        priority, words = int(words[1]), words[2:]
    if not words or any(word.startswith("-") for word in words):
        return None
    return submit_one(
        spool_path(chosen), words[0], tuple(words[1:]), priority
    )


def submit_one(
    path: str, handler: str, args: tuple[str, ...], priority: int
) -> int:
    """Submit, print the id or what is wrong; returns the exit status."""
    from spooler import client  # what the other verbs are spared

    try:
        with client.Client(path) as producer:
            job_id = producer.submit(handler, *args, priority=priority)
    except SubmitUnknown as error:
        print(error.job_id)
        say(str(error))
        return error.status
    except SpoolError as error:
        say(str(error))
        return error.status
    except ValueError as error:
        say(str(error))
        return EX_USAGE
    except PermissionError:
        say(f"{path}: you may not submit here; join the spool's group")
        return EX_NOPERM
    except OSError as error:
        say(fsops.why(error))
        return EX_FAILED
    try:
        print(job_id, flush=True)
    except BrokenPipeError:
        stdio.give_up()
    except OSError as error:
        stdio.give_up()
        say(f"{job_id}: submitted; the id cannot be told: {fsops.why(error)}")
        return EX_FAILED
    return 0


def say(text: str) -> None:
    """Talk to a person: on standard error, without escapes."""
    safe = "".join(c if c.isprintable() else "?" for c in text)
    print(f"spoolctl: {safe}", file=sys.stderr)
