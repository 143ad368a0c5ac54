# SPDX-License-Identifier: MIT
"""Find the handler of a job: told by its name, or routed by it.  Pure."""

import fnmatch
import re

from spooler.config import Config, Handler
from spooler.names import Name


class Router:
    """Finds the handler of a payload by its name."""

    def __init__(self, config: Config) -> None:
        self._handlers = config.handlers
        self._default = config.default
        self._patterns = [
            (re.compile(fnmatch.translate(pattern)), handler.name)
            for handler in config.handlers.values()
            for pattern in handler.match
        ]

    def route(self, tail: str) -> str | None:
        """First handler, in the file's order, with a matching pattern."""
        for pattern, name in self._patterns:
            if pattern.match(tail):
                return name
        return self._default

    def handler_of(self, name: Name) -> str | None:
        """The handler's name for a job, told by its name or routed."""
        told = name.told_handler
        return self.route(name.tail) if told is None else told or None

    def configured(self, name: Name) -> Handler | None:
        """The handler itself; None if the configuration has none for it."""
        return self._handlers.get(self.handler_of(name) or "")
