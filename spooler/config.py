# SPDX-License-Identifier: MIT
"""
spool.toml, read into frozen records.

Pure: text in, Config out.  Every key is one row of OPTIONS or
HANDLER_OPTIONS, which spool.toml(5) is held to by a test; an unknown key is
an error that names it and the nearest known one.
"""

import dataclasses
import difflib
import shlex
import tomllib
from collections.abc import Callable, Collection
from typing import Any

from spooler import names, units
from spooler.errors import ConfigError
from spooler.text import inert

FORMAT = 1
CONFIG_NAME = "spool.toml"
_MEMORY_MIN = 1 << 20
_DURATION_MAX_S = 100 * 365 * 86400
DURABILITIES = ("full", "relaxed")


@dataclasses.dataclass(frozen=True)
class Handler:
    """
    What runs a job: one ``[handler.NAME]`` table.

    Attributes:
        name: 1..32 letters, digits, ``-`` and ``_``.
        command: argv; ``{file}`` ``{id}`` ``{name}`` are replaced.
        python: ``module:function``; exactly one of the two is given.
        match: shell patterns of payload names.
        timeout_s: of one run; None: no limit.
        kill_after_s: from TERM to KILL.
        attempts: failed runs before ``failed/``.
        backoff_s: upper bound of the first wait between runs.
        max_backoff_s: upper bound of any wait.
        concurrency: runs at once; None: the daemon's workers, shared.
        output_limit: bytes kept of each of stdout and stderr.
        memory: bytes a run may take; None: no limit.
        expires_s: after its submission no run begins later; None: ever.
        breaker: runs in a row that die until the handler pauses; 0: never.
        env: added to a command's environment.
    """

    name: str
    command: tuple[str, ...] = ()
    python: str | None = None
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

    @property
    def kind(self) -> str:
        """``python`` or ``command``."""
        return "python" if self.python else "command"


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
    keep_done_s: float | None = None
    keep_done_jobs: int = 0
    keep_done_size: int = 0
    keep_failed_s: float | None = None
    keep_failed_jobs: int = 0
    keep_failed_size: int = 0
    handlers: dict[str, Handler] = dataclasses.field(default_factory=dict)

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


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"is a whole number {low}..{high}")
        return value

    return read


def _duration(value: Any) -> float:
    if isinstance(value, str):
        return units.parse_duration(value)
    if type(value) in (int, float) and 0 <= value < _DURATION_MAX_S:
        return float(value)
    raise ValueError('is a duration like "90s"')


def _interval(value: Any) -> float:
    seconds = _duration(value)
    if seconds < 0.1:
        raise ValueError("is at least 100ms")
    return seconds


def _timeout(value: Any) -> float | None:
    return _duration(value) or None


def _size(value: Any) -> int:
    if isinstance(value, str):
        return units.parse_size(value)
    if type(value) is int and value >= 0:
        return value
    raise ValueError('is a size like "16MiB"')


def _limit(value: Any) -> int | None:
    size = _size(value)
    if 0 < size < _MEMORY_MIN:
        raise ValueError("is at least 1MiB, or 0 for no limit")
    return size or None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("is a text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("is a list of texts")
    return tuple(map(_text, value))


def _command(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(
            "is a list of arguments, no shell reads it; write"
            f" {_toml_list(shlex.split(value))}"
        )
    command = _texts(value)
    if not command:
        raise ValueError("is empty")
    return command


def _toml_list(items: list[str]) -> str:
    return "[" + ", ".join(f'"{inert(item)}"' for item in items) + "]"


def _python(value: Any) -> str:
    text = _text(value)
    module, colon, function = text.partition(":")
    parts = module.split(".") + function.split(".")
    if not colon or not all(part.isidentifier() for part in parts):
        raise ValueError('is "module:function"')
    return text


def _durability(value: Any) -> str:
    if value not in DURABILITIES:
        raise ValueError(f"is one of {', '.join(DURABILITIES)}")
    return str(value)


def _env(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(
        isinstance(item, str) and "\0" not in item for item in value.values()
    ):
        raise ValueError('is a table of texts, { NAME = "value" }')
    for name in value:
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{_shown(name)} cannot be a variable's name")
    return tuple(value.items())


#: key in the file -> (field of Config, reader).
OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "format": ("format", _integer(1, 1_000_000)),
    "workers": ("workers", _integer(0, 1024)),
    "default": ("default", _text),
    "durability": ("durability", _durability),
    "rescan": ("rescan_s", _interval),
    "stop_timeout": ("stop_timeout_s", _duration),
    "max_size": ("max_size", _size),
    "max_pending": ("max_pending", _integer(0, 1_000_000_000)),
    "max_bytes": ("max_bytes", _size),
    "min_free": ("min_free", _size),
    "min_free_inodes": ("min_free_inodes", _integer(0, 1_000_000_000)),
    "recycle_jobs": ("recycle_jobs", _integer(0, 1_000_000_000)),
    "recycle_memory": ("recycle_memory", _size),
    "keep_done": ("keep_done_s", _timeout),
    "keep_done_jobs": ("keep_done_jobs", _integer(0, 1_000_000_000)),
    "keep_done_size": ("keep_done_size", _size),
    "keep_failed": ("keep_failed_s", _timeout),
    "keep_failed_jobs": ("keep_failed_jobs", _integer(0, 1_000_000_000)),
    "keep_failed_size": ("keep_failed_size", _size),
}

#: key in a [handler.NAME] table -> (field of Handler, reader).
HANDLER_OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "command": ("command", _command),
    "python": ("python", _python),
    "match": ("match", _texts),
    "timeout": ("timeout_s", _timeout),
    "kill_after": ("kill_after_s", _duration),
    "attempts": ("attempts", _integer(1, 99)),
    "backoff": ("backoff_s", _duration),
    "max_backoff": ("max_backoff_s", _duration),
    "concurrency": ("concurrency", _integer(1, 10_000)),
    "output_limit": ("output_limit", _size),
    "memory": ("memory", _limit),
    "expires": ("expires_s", _timeout),
    "breaker": ("breaker", _integer(0, 1000)),
    "env": ("env", _env),
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
        handlers[name] = _handler(name, keys, where)
    config = Config(**fields, handlers=handlers)
    known = (*handlers, *executables)
    if config.default is not None and config.default not in known:
        raise ConfigError(
            f"{where}: default = {_shown(config.default)} is not a handler"
            + _suggest(config.default, known)
        )
    return config


def _check_format(version: object, where: str) -> None:
    """Before all else: a newer format may have keys unknown to us."""
    if type(version) is int and version != FORMAT:
        raise ConfigError(
            f"{where}: format {version} is not known to this version, which"
            f" reads format {FORMAT}; upgrade spooler, change nothing"
        )


def _handler(name: str, keys: Any, where: str) -> Handler:
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
