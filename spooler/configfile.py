# SPDX-License-Identifier: MIT
"""Read a spool's configuration from its files."""

import dataclasses
import os
import shlex

from spooler import config, names
from spooler.config import Config, Handler
from spooler.errors import ConfigError
from spooler.text import inert

HANDLERS_DIR = "handlers.d"
#: The name of the handler that ``spoold --handler`` makes.
AD_HOC = "default"


def load(
    spool_path: str,
    file: str | None = None,
    ad_hoc: str | None = None,
    workers: int | None = None,
) -> Config:
    """
    Read ``spool.toml`` and ``handlers.d/``.

    Args:
        file: another file than the spool's own.
        ad_hoc: a command, in words as a shell would split them, to be the
            handler of every payload that no pattern matches.
        workers: over the file's.

    Raises:
        ConfigError: a file cannot be read or understood.
    """
    path = file or os.path.join(spool_path, config.CONFIG_NAME)
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        if file is not None or not os.path.isdir(spool_path):
            raise ConfigError(
                f"{inert(path)}: no such file; 'spoolctl init"
                f" {inert(spool_path)}' makes a spool and its configuration"
            ) from None
        text = ""
    except UnicodeDecodeError:
        raise ConfigError(f"{inert(path)}: not UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{inert(path)}: {error.strerror}") from None
    directory = os.path.join(spool_path, HANDLERS_DIR)
    executables = _executables(directory)
    read = config.parse(text, inert(path), executables)
    handlers = dict(read.handlers)
    for name, handler in executables.items():
        if name in handlers:
            raise ConfigError(
                f"{inert(directory)}/{name}: [handler.{name}] is in"
                " spool.toml too; remove one"
            )
        handlers[name] = handler
    default = read.default
    if ad_hoc is not None:
        handlers[AD_HOC] = Handler(AD_HOC, command=_words(ad_hoc))
        default = AD_HOC
    return dataclasses.replace(
        read, handlers=handlers, default=default,
        workers=read.workers if workers is None else workers,
    )


def _words(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(f"--handler: {error}") from None
    if not words:
        raise ConfigError("--handler: no command")
    return words


def _executables(directory: str) -> dict[str, Handler]:
    """Every executable of handlers.d is a handler of its own name."""
    try:
        entries = sorted(os.listdir(directory))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{inert(directory)}: {error.strerror}") from None
    out = {}
    for entry in entries:
        path = os.path.join(directory, entry)
        # As run-parts: a name with a dot is a backup or a package's leaving.
        if not names.is_handler(entry) or not os.access(path, os.X_OK):
            continue
        if not os.path.isdir(path):
            out[entry] = Handler(entry, command=(os.path.abspath(path),))
    return out


def problems(read: Config) -> list[str]:
    """
    What is well-formed and will still not work: missing programs.

    For ``spoold -t``; a running daemon finds out job by job.
    """
    import shutil  # what every listing is spared

    out = []
    for handler in read.handlers.values():
        if handler.command and shutil.which(handler.command[0]) is None:
            out.append(
                f"[handler.{handler.name}] command: no program"
                f" '{inert(handler.command[0])}'"
            )
    return out
