# SPDX-License-Identifier: MIT
"""What became of the jobs of this run: logged, counted, remembered."""

import logging
import time
from collections.abc import Callable, Iterable

from spooler import names, units, verdicts
from spooler.breaker import Breaker
from spooler.clock import base_ns, steady_ns
from spooler.config import Config
from spooler.labels import about, id_of, shown_name
from spooler.record import REASON_MAX_CHARS
from spooler.states import State

log = logging.getLogger(__name__)


class Ledger:
    """
    Books every verdict.

    Attributes:
        done, failed, deferred: counts since the start.
        breakers: by handler, of those that ever had a verdict to note.
    """

    def __init__(
        self, put_off: Callable[[str, int, int], None], config: Config
    ) -> None:
        self._put_off = put_off
        self.done = 0
        self.failed = 0
        self.deferred = 0
        self.breakers: dict[str, Breaker] = {}
        self.use(config)

    def use(self, config: Config) -> None:
        """Count deaths by *config* from now on, from zero."""
        self.breakers = {
            name: Breaker(handler.breaker)
            for name, handler in config.handlers.items()
        }

    def count(self, state: State) -> None:
        """Take note of one verdict."""
        if state is State.DONE:
            self.done += 1
        elif state is State.FAILED:
            self.failed += 1
        elif state is State.DEFERRED:
            self.deferred += 1

    @staticmethod
    def started(hint: str, handler: str | None, pid: int) -> None:
        """Log that a command runs."""
        log.debug(
            "%s: started pid=%d", id_of(hint), pid,
            extra=about(hint, State.ACTIVE, handler),
        )

    @staticmethod
    def gave_back(text: str) -> None:
        """Log that a job waits again, its run not counted."""
        log.info(
            "%s: given back", id_of(text), extra=about(text, State.INCOMING)
        )

    def survived(self, handler: str) -> None:
        """A run of *handler* ended well."""
        breaker = self.breakers.get(handler)
        if breaker is not None and breaker.deaths:
            if breaker.tripped:
                log.info("handler %s is well again", handler)
            breaker.saw("ok", "", 0.0)

    def forgive(self, handlers: Iterable[str]) -> None:
        """An operator lets *handlers* go on that died over and over."""
        for handler in handlers:
            breaker = self.breakers.get(handler)
            if breaker is not None and breaker.tripped:
                log.info("handler %s goes on: an operator said so", handler)
                breaker.saw("ok", "", 0.0)

    def died(self, handler: str, kind: str, text: str) -> None:
        """A run of *handler* ended with *kind*, which may be a death."""
        breaker = self.breakers.get(handler)
        now = time.monotonic()
        if breaker is not None and breaker.saw(kind, text, now):
            log.error(
                "handler %s pauses for %s: %d runs in a row died, the last:"
                " %s", handler, units.format_duration(breaker.wait_s(now)),
                breaker.deaths, text,
            )

    def book_done(
        self, hints: list[str], micros: list[int], handler: str
    ) -> None:
        """
        Book successes: the common case, thousands a second.

        Args:
            handler: of all of them; "": nobody knows.
        """
        if log.isEnabledFor(logging.DEBUG):
            for hint, took in zip(hints, micros):
                self.book(
                    State.DONE, hint, hint, took, "", handler or None
                )
            return
        self.done += len(hints)
        if handler:
            self.survived(handler)

    def book(
        self, state: State, hint: str, name: str | None, micros: int,
        text: str, handler: str | None = None, base: int | None = None,
    ) -> None:
        """
        Log a verdict, count it, and remember a due time.

        Args:
            base: base_ns() when it was filed; None: it is still the same.
        """
        if name is None:
            log.warning(
                "%s: moved by somebody else meanwhile", id_of(hint),
                extra=about(hint, State.GONE, handler),
            )
            return
        self.count(state)
        if state is State.DONE and handler is not None:
            self.survived(handler)
        if state is State.DONE and not log.isEnabledFor(logging.DEBUG):
            return  # the common case, thousands a second
        shown = shown_name(hint)
        text = text[:REASON_MAX_CHARS]
        took = units.format_duration(micros / 1e6)
        told = about(hint, state, handler)
        if state is State.DONE:
            log.debug(
                "%s: done in %s %s", id_of(hint), took, shown, extra=told
            )
            return
        parsed = names.parse(name)
        if state is State.FAILED:
            log.warning(
                "%s: failed: %s %s", id_of(hint), text, shown, extra=told
            )
        else:
            due_ns = parsed.due_ns if parsed is not None else None
            if base is None:
                base = base_ns()
            self._put_off(name, due_ns or 0, base)
            wait = ((due_ns or 0) - base - steady_ns()) / units.NS
            log.info(
                "%s: deferred for %s: %s %s", id_of(hint),
                units.format_duration(max(0.0, wait)), text, shown,
                extra=told,
            )
        if parsed is not None and handler is not None:
            kind, _ = verdicts.reason_of(parsed.verdict)
            self.died(handler, kind, text)
