# SPDX-License-Identifier: MIT
"""
What a command is given, and what its end means.

Pure but for reading one result file: argument vector, environment, and the
verdict for an exit code.
"""

import errno
import json
import os
import shutil
import signal
import stat
from typing import Any

from spooler import fsops, progress, settle
from spooler.leftover import INSTANCE_VARIABLE, JOB_VARIABLE, SPOOL_VARIABLE
from spooler.names import INSTANCE_CHARS
from spooler.worker import Task

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LIMIT = 'ulimit -d "$1" && shift && exec "$@"'
_ENTER = 'echo 0 >"$1/cgroup.procs" && shift && ' + _LIMIT
_EXIT_DEFER = (75, 111)
_EXIT_FAIL = (65, 100)
_VALUE_MAX_BYTES = 1 << 20
RESULT = "result"  #: the file in the work directory that SPOOL_RESULT names
_SIGNALS = frozenset(map(int, signal.Signals))


def argv(task: Task, file: str) -> list[str]:
    """
    The argument vector: the handler's words, then the job's arguments.

    ``{file}``, ``{id}`` and ``{name}`` are replaced in the handler's words
    alone; no shell sees any of it.
    """
    words = {
        "{file}": file, "{id}": task.name.id,
        "{name}": task.name.dropped_name or task.name.id,
    }
    out = [
        _replaced(word, words) if "{" in word else word
        for word in task.handler.command
    ]
    document = task.job.document
    if document is not None:
        out += [
            arg if isinstance(arg, str) else json.dumps(arg)
            for arg in document.args
        ]
    return out


def limited(
    words: list[str], memory: int | None, group: str | None
) -> list[str]:
    """
    The same command, to be run with at most *memory* bytes of its own.

    posix_spawn cannot set a limit, so a shell does; it reads a text of ours,
    and the command's words are its arguments.

    Args:
        group: path of the control group to run in, or None.

    Raises:
        FileNotFoundError: there is no such command.
    """
    if memory is None:
        return words
    found = shutil.which(words[0])
    if found is None:
        raise FileNotFoundError(
            errno.ENOENT, os.strerror(errno.ENOENT), words[0]
        )
    kibibytes = str(max(1, memory >> 10))
    rest = [kibibytes, found, *words[1:]]
    if group is None:
        return ["/bin/sh", "-c", _LIMIT, "sh", *rest]
    return ["/bin/sh", "-c", _ENTER, "sh", group, *rest]


def environ(task: Task, file: str, work: str) -> dict[str, str]:
    """The whole environment: nothing of the daemon's own gets through."""
    name = task.name
    out = {
        "PATH": _PATH,
        "LANG": "C.UTF-8",
        "HOME": work,
        SPOOL_VARIABLE: os.path.dirname(os.path.dirname(file)),
        **dict(task.handler.env),
        JOB_VARIABLE: name.id,
        INSTANCE_VARIABLE: name.claim[:INSTANCE_CHARS],
        "SPOOL_JOB_NAME": name.dropped_name or "",
        "SPOOL_HANDLER": task.handler.name,
        "SPOOL_ATTEMPT": str(name.runs),
        "SPOOL_MAX_ATTEMPTS": str(task.max_attempts),
        "SPOOL_JOB_FILE": file,
        "SPOOL_RESULT": os.path.join(work, RESULT),
        "SPOOL_PROGRESS": os.path.join(work, progress.FILE),
        "SPOOL_PRIORITY": str(name.priority),
    }
    document = task.job.document
    if document is not None:
        if document.traceparent:
            out["TRACEPARENT"] = document.traceparent
        for field, value in document.extra.items():
            out["SPOOL_" + field.upper().replace("-", "_")] = value
    return out


def _replaced(word: str, words: dict[str, str]) -> str:
    """Replace each {word} once; what is put in is not looked at again."""
    out, rest = "", word
    while rest:
        at = rest.find("{")
        if at < 0:
            break
        out, rest = out + rest[:at], rest[at:]
        for key, value in words.items():
            if rest.startswith(key):
                out, rest = out + value, rest[len(key):]
                break
        else:
            out, rest = out + "{", rest[1:]
    return out + rest


def verdict(
    code: int, ended_by: str | None, limit: float | None, last: str
) -> tuple[str, str, int | None, str]:
    """Effect, kind, status and text for an exit code as subprocess has it."""
    if ended_by == "killed":
        return settle.FAIL, "killed", None, "killed by an operator"
    if ended_by == "timeout":
        text = f"timed out after {limit:g}s" if limit else "timed out"
        return settle.RETRY, "timeout", None, text
    if code < 0:
        text = signal.Signals(-code).name if -code in _SIGNALS else ""
        return settle.RETRY, "signal", -code, text
    if code == 0:
        return settle.DONE, "ok", None, ""
    if code in _EXIT_DEFER:
        return settle.DEFER, "exit", code, last
    if code in _EXIT_FAIL:
        return settle.FAIL, "exit", code, last
    return settle.RETRY, "exit", code, last


def result(work_fd: int) -> Any:
    """
    The value a command left in the file that SPOOL_RESULT names.

    JSON if it is JSON, else text; None if there is none, or too much.
    OSError if that cannot be told now.
    """
    try:
        data = fsops.read_file(work_fd, RESULT, _VALUE_MAX_BYTES + 1)
    except OSError as error:
        if fsops.is_temporary(error) or is_readable(work_fd, RESULT):
            raise
        return None  # it is a link, or the command took our rights to it
    if not data or len(data) > _VALUE_MAX_BYTES:
        return None
    try:
        value = json.loads(data)
        json.dumps(value, allow_nan=False)
        return value
    except (ValueError, RecursionError):
        return data.decode("utf-8", "backslashreplace").rstrip("\n")


def is_readable(dir_fd: int, name: str) -> bool:
    """Whether by its owner and mode we may read a file or directory."""
    try:
        status = fsops.status(dir_fd, name)
    except OSError:
        return False
    wanted = 0o500 if stat.S_ISDIR(status.st_mode) else 0o400
    return (
        stat.S_IFMT(status.st_mode) in (stat.S_IFREG, stat.S_IFDIR)
        and status.st_uid == os.geteuid()
        and status.st_mode & wanted == wanted
    )
