# SPDX-License-Identifier: MIT
"""Serve a path for as long as spoold lives, whatever spool lies there."""

import logging
import os
import signal
from collections.abc import Callable

from spooler import fsops
from spooler.config import Config
from spooler.daemon import Daemon
from spooler.errors import SpoolError
from spooler.notify import Notifier
from spooler.text import inert

log = logging.getLogger(__name__)

_AGAIN_S = 1.0
_STOPS = (signal.SIGTERM, signal.SIGINT)


def serve(path: str, load: Callable[[], Config], drain: bool) -> int:
    """
    Run the daemon, and anew when another spool is put in its place.

    Returns:
        The exit status.

    Raises:
        SpoolError: at the start there is no spool that can be served.
        OSError: at the start the spool is in trouble.
    """
    notifier = Notifier(dict(os.environ))
    daemon: Daemon | None = Daemon(path, load, drain, notifier)
    while True:
        if daemon is None:
            daemon = _daemon_later(path, load, drain, notifier)
            if daemon is None:
                return 0
        status = daemon.run()
        if status is not None:
            return status
        daemon = None


def _daemon_later(
    path: str, load: Callable[[], Config], drain: bool, notifier: Notifier
) -> Daemon | None:
    """Wait until the spool can be served; None: told to stop meanwhile."""
    said = ""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        while True:
            try:
                return Daemon(path, load, drain, notifier)
            except SpoolError as error:
                text = str(error)
            except OSError as error:
                text = fsops.why(error)
            if text != said:
                log.error("%s cannot be served yet: %s", inert(path), text)
                said = text
            notifier.alive()
            notifier.status(f"waits for a spool: {text}")
            # Nothing tells of a path that is mended.
            wait_s = min(_AGAIN_S, notifier.watchdog_s or _AGAIN_S)
            if signal.sigtimedwait(_STOPS, wait_s) is not None:
                log.info("spoold ends")
                return None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
