# SPDX-License-Identifier: MIT
"""
spool.toml, read into frozen records.

Pure: text in, Config out.  Every key is one row of OPTIONS or
HANDLER_OPTIONS, which spool.toml(5) is held to by a test; an unknown key is
an error that names it and the nearest known one.
"""

import dataclasses
import difflib
import tomllib
from collections.abc import Callable, Collection
from typing import Any

from spooler import names, values
from spooler.errors import ConfigError
from spooler.text import inert

FORMAT = 1
CONFIG_NAME = "spool.toml"
#: Runs at once of a handler with ``asyncio`` and without ``concurrency``.
ASYNCIO_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class Handler:
    """
    What runs a job: one ``[handler.NAME]`` table.

    Attributes:
        name: 1..32 letters, digits, ``-`` and ``_``.
        command: argv; ``{file}`` ``{id}`` ``{name}`` are replaced.
        python: ``module:function``; exactly one of the two is given.
        asyncio: whether that is a coroutine function, many runs of which
            share one process.
        match: shell patterns of payload names.
        timeout_s: of one run; None: no limit.
        kill_after_s: from TERM to KILL.
        attempts: failed runs before ``failed/``.
        backoff_s: upper bound of the first wait between runs.
        max_backoff_s: upper bound of any wait.
        concurrency: runs at once; None: the daemon's workers, shared, or
            ASYNCIO_AT_ONCE.
        output_limit: bytes kept of each of stdout and stderr.
        memory: bytes a run may take; None: no limit.
        expires_s: after its submission no run begins later; None: ever.
        breaker: runs in a row that die until the handler pauses; 0: never.
        env: added to a command's environment.
        allow: functions that a job may name; see calls.py.
        delete_done: whether a done job is deleted; None: as the spool's.
    """

    name: str
    command: tuple[str, ...] = ()
    python: str | None = None
    asyncio: bool = False
    match: tuple[str, ...] = ()
    timeout_s: float | None = None
    kill_after_s: float = 5.0
    attempts: int = 3
    backoff_s: float = 10.0
    max_backoff_s: float = 3600.0
    concurrency: int | None = None
    output_limit: int = 16 << 20
    memory: int | None = None
    expires_s: float | None = None
    breaker: int = 10
    env: tuple[tuple[str, str], ...] = ()
    allow: tuple[str, ...] = ()
    delete_done: bool | None = None

    @property
    def kind(self) -> str:
        """``python``, ``asyncio`` or ``command``."""
        if self.asyncio:
            return "asyncio"
        return "python" if self.python else "command"

    @property
    def slots(self) -> int | None:
        """Runs at once of this handler alone; None: it shares them."""
        if self.concurrency is None and self.asyncio:
            return ASYNCIO_AT_ONCE
        return self.concurrency


@dataclasses.dataclass(frozen=True)
class Keep:
    """
    What is kept of finished jobs.

    Attributes:
        age_s: how long; None: ever.
        jobs: how many; 0: any number.
        size: bytes of disk; 0: any number.
    """

    age_s: float | None = None
    jobs: int = 0
    size: int = 0

    @property
    def limits(self) -> bool:
        """Whether anything is to be purged at all."""
        return bool(self.age_s or self.jobs or self.size)


@dataclasses.dataclass(frozen=True)
class Config:
    """
    A whole spool.toml.

    Attributes:
        format: version of the spool's layout.
        workers: jobs at once; 0: one per processor.
        default: handler of payloads no pattern matches.
        tasks: modules whose tasks are handlers; see taskload.py.
        durability: ``full`` or ``relaxed``.
        rescan_s: the longest a lost event can delay a job.
        stop_timeout_s: how long a stop waits for running jobs.
        max_size: bytes of a job file; a larger one is refused.
        max_pending: jobs that may wait; 0: any number.
        max_bytes: bytes that may wait; 0: any number.
        min_free: bytes of disk that submissions leave free.
        min_free_inodes: the same, of inodes.
        recycle_jobs: jobs after which a Python worker is replaced; 0: never.
        recycle_memory: bytes of memory after which it is; 0: never.
        delete_done: whether done jobs are deleted, and nothing kept of them.
        keep_done_s: how long a done job is kept; None: ever.
        keep_done_jobs: how many are; 0: any number.
        keep_done_size: bytes that they may take; 0: any number.
        keep_failed_s, keep_failed_jobs, keep_failed_size: the same of jobs
            that failed.
        handlers: by name.
    """

    format: int = FORMAT
    workers: int = 0
    default: str | None = None
    tasks: tuple[str, ...] = ()
    durability: str = "full"
    rescan_s: float = 5.0
    stop_timeout_s: float = 30.0
    max_size: int = 4 << 30
    max_pending: int = 0
    max_bytes: int = 0
    min_free: int = 8 << 20
    min_free_inodes: int = 100
    recycle_jobs: int = 0
    recycle_memory: int = 0
    delete_done: bool = False
    keep_done_s: float | None = None
    keep_done_jobs: int = 0
    keep_done_size: int = 0
    keep_failed_s: float | None = None
    keep_failed_jobs: int = 0
    keep_failed_size: int = 0
    handlers: dict[str, Handler] = dataclasses.field(default_factory=dict)

    def deletes(self, handler: Handler) -> bool:
        """Whether jobs that *handler* has done are deleted."""
        own = handler.delete_done
        return self.delete_done if own is None else own

    @property
    def keep_done(self) -> Keep:
        """What is kept of jobs that are done."""
        return Keep(
            self.keep_done_s, self.keep_done_jobs, self.keep_done_size
        )

    @property
    def keep_failed(self) -> Keep:
        """What is kept of jobs that failed."""
        return Keep(
            self.keep_failed_s, self.keep_failed_jobs, self.keep_failed_size
        )


#: key in the file -> (field of Config, reader).
OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "format": ("format", values.as_integer(1, 1_000_000)),
    "workers": ("workers", values.as_integer(0, 1024)),
    "default": ("default", values.as_text),
    "tasks": ("tasks", values.as_modules),
    "durability": ("durability", values.as_durability),
    "rescan": ("rescan_s", values.as_interval),
    "stop_timeout": ("stop_timeout_s", values.as_duration),
    "max_size": ("max_size", values.as_size),
    "max_pending": ("max_pending", values.as_integer(0, 1_000_000_000)),
    "max_bytes": ("max_bytes", values.as_size),
    "min_free": ("min_free", values.as_size),
    "min_free_inodes": (
        "min_free_inodes", values.as_integer(0, 1_000_000_000)
    ),
    "recycle_jobs": ("recycle_jobs", values.as_integer(0, 1_000_000_000)),
    "recycle_memory": ("recycle_memory", values.as_size),
    "delete_done": ("delete_done", values.as_flag),
    "keep_done": ("keep_done_s", values.as_timeout),
    "keep_done_jobs": ("keep_done_jobs", values.as_integer(0, 1_000_000_000)),
    "keep_done_size": ("keep_done_size", values.as_size),
    "keep_failed": ("keep_failed_s", values.as_timeout),
    "keep_failed_jobs": (
        "keep_failed_jobs", values.as_integer(0, 1_000_000_000)
    ),
    "keep_failed_size": ("keep_failed_size", values.as_size),
}

#: key in a [handler.NAME] table -> (field of Handler, reader).
HANDLER_OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "command": ("command", values.as_command),
    "python": ("python", values.as_python),
    "asyncio": ("asyncio", values.as_flag),
    "match": ("match", values.as_texts),
    "timeout": ("timeout_s", values.as_timeout),
    "kill_after": ("kill_after_s", values.as_duration),
    "attempts": ("attempts", values.as_integer(1, 99)),
    "backoff": ("backoff_s", values.as_duration),
    "max_backoff": ("max_backoff_s", values.as_duration),
    "concurrency": ("concurrency", values.as_integer(1, 10_000)),
    "output_limit": ("output_limit", values.as_size),
    "memory": ("memory", values.as_limit),
    "expires": ("expires_s", values.as_timeout),
    "breaker": ("breaker", values.as_integer(0, 1000)),
    "env": ("env", values.as_env),
    "allow": ("allow", values.as_allow),
    "delete_done": ("delete_done", values.as_flag),
}


def parse(
    text: str,
    where: str = CONFIG_NAME,
    executables: Collection[str] = (),
) -> Config:
    """
    Read the text of a spool.toml.

    Args:
        executables: names of handlers that are files, as ``default`` may
            name one.
        where: its name in error messages.

    Raises:
        ConfigError: it is not TOML, a key is unknown, a value is wrong, or
            the format is not one this version reads.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {error}") from None
    handlers_table = table.pop("handler", {})
    _check_format(table.get("format", FORMAT), where)
    fields = _read(table, OPTIONS, where, "", also=("handler",))
    if not isinstance(handlers_table, dict):
        raise ConfigError(f"{where}: write [handler.NAME]")
    handlers = {}
    for name, keys in handlers_table.items():
        handlers[name] = read_handler(name, keys, where)
    config = Config(**fields, handlers=handlers)
    if not config.tasks:
        insist_on_default(
            config.default, (*handlers, *executables), where
        )
    return config


def insist_on_default(
    default: str | None, known: Collection[str], where: str
) -> None:
    """Raise ConfigError unless the *default* is a handler."""
    if default is not None and default not in known:
        raise ConfigError(
            f"{where}: default = {_shown(default)} is not a handler"
            + _suggest(default, tuple(known))
        )


def _check_format(version: object, where: str) -> None:
    """Before all else: a newer format may have keys unknown to us."""
    if type(version) is int and version != FORMAT:
        raise ConfigError(
            f"{where}: format {version} is not known to this version, which"
            f" reads format {FORMAT}; upgrade spooler, change nothing"
        )


def read_handler(name: str, keys: Any, where: str) -> Handler:
    """Make a handler of its table; ConfigError says what is wrong."""
    label = f"[handler.{inert(name, 40)}]"
    if not names.is_handler(name):
        raise ConfigError(
            f"{where}: {label}: a handler's name is 1..32 letters, digits, -"
            " and _, a letter or digit first"
        )
    if not isinstance(keys, dict):
        raise ConfigError(f"{where}: write {label} and its keys below it")
    fields = _read(keys, HANDLER_OPTIONS, where, label + " ")
    if ("command" in fields) == ("python" in fields):
        raise ConfigError(
            f"{where}: {label} needs either command = [...] or"
            ' python = "module:function"'
        )
    if fields.get("asyncio") and "python" not in fields:
        raise ConfigError(
            f"{where}: {label} asyncio is for python handlers, this one has"
            " a command"
        )
    if fields.get("asyncio") and fields.get("memory"):
        raise ConfigError(
            f"{where}: {label} memory: runs with asyncio share one process;"
            " remove one of the two, or see recycle_memory"
        )
    return Handler(name=name, **fields)


def _read(
    table: dict[str, Any],
    options: dict[str, tuple[str, Callable[[Any], Any]]],
    where: str,
    label: str,
    also: tuple[str, ...] = (),
) -> dict[str, Any]:
    fields = {}
    for key, value in table.items():
        if key not in options:
            known = tuple(options) + also
            raise ConfigError(
                f"{where}: {label}unknown key {_shown(key)}"
                + _suggest(key, known)
            )
        field, reader = options[key]
        try:
            fields[field] = reader(value)
        except ValueError as error:
            raise ConfigError(f"{where}: {label}{key}: {error}") from None
    return fields


def _shown(text: str) -> str:
    return f"'{inert(text, 60)}'"


def _suggest(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f", did you mean '{close[0]}'?" if close else (
        f"; known are {', '.join(known)}" if known else ""
    )
