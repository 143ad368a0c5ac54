# SPDX-License-Identifier: MIT
"""
The plain forms of what scripts and people call most, and no more.

``submit [-p PRI] [--relaxed] HANDLER [ARG...]``, ``status [--json]`` and
``ls [-q | -w | --json] [STATE...]`` are done here, without importing a command
line library, which would cost more than all the rest.  They end up in the same
functions; what is typed in any other way is for app.py.
"""

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


def run(words: list[str]) -> int | None:
    """
    Do what a plain command line says.

    Returns:
        Its exit status; None if *words* ask for anything else.
    """
    chosen = None
    if words[:1] == ["-C"] and len(words) > 1:
        chosen, words = words[1], words[2:]
    verb = _VERBS.get(words[0]) if words else None
    return None if verb is None else verb(chosen, words[1:])


def _submit(chosen: str | None, words: list[str]) -> int | None:
    priority, durable = names.DEFAULT_PRIORITY, True
    while words and words[0].startswith("-"):
        if words[0] == "--relaxed":
            durable, words = False, words[1:]
        elif words[0] == "-p" and words[1:2] and words[1] in _PRIORITIES:
            priority, words = int(words[1]), words[2:]
        else:
            return None
    if not words or any(word.startswith("-") for word in words):
        return None
    return submit_one(
        spool_path(chosen), words[0], tuple(words[1:]), priority, durable
    )


def _ls(chosen: str | None, words: list[str]) -> int | None:
    how = [word for word in words if word.startswith("-")]
    if len(how) > 1 or not set(how) <= set(_FORMS):
        return None
    states = tuple(word for word in words if word not in how)
    forms = {_FORMS[word] for word in how}
    from spooler.cli import guard, out, table  # what a submit is spared

    out.use_color()
    path = spool_path(chosen)
    return guard.guarded(lambda: table.show(
        path, states, quiet="quiet" in forms, wide="wide" in forms,
        as_json="json" in forms,
    ))


def _status(chosen: str | None, words: list[str]) -> int | None:
    if words not in ([], ["--json"]):
        return None
    from spooler.cli import guard, out, wellbeing

    out.use_color()
    path = spool_path(chosen)
    return guard.guarded(lambda: wellbeing.show(path, bool(words)))


_PRIORITIES = tuple("0123456789")
#: Options of ls that are understood here, alone, and what they ask for.
_FORMS = {
    "-q": "quiet", "--quiet": "quiet", "-w": "wide", "--wide": "wide",
    "--json": "json",
}
_VERBS = {"submit": _submit, "ls": _ls, "status": _status}


def submit_one(
    path: str, handler: str, args: tuple[str, ...], priority: int,
    durable: bool,
) -> int:
    """Submit, print the id or what is wrong; returns the exit status."""
    from spooler import client  # what the other verbs are spared

    try:
        with client.Client(path, durable) as producer:
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
