# SPDX-License-Identifier: MIT
"""Serve a path for as long as spoold lives, whatever spool lies there."""

import logging
import signal
from collections.abc import Callable

from spooler import fsops
from spooler.config import Config
from spooler.daemon import Daemon
from spooler.errors import SpoolError
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
    daemon: Daemon | None = Daemon(path, load, drain)
    while True:
        if daemon is None:
            daemon = _daemon_later(path, load, drain)
            if daemon is None:
                return 0
        status = daemon.run()
        if status is not None:
            return status
        daemon = None


def _daemon_later(
    path: str, load: Callable[[], Config], drain: bool
) -> Daemon | None:
    """Wait until the spool can be served; None: told to stop meanwhile."""
    said = ""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        while True:
            try:
                return Daemon(path, load, drain)
            except SpoolError as error:
                text = str(error)
            except OSError as error:
                text = fsops.why(error)
            if text != said:
                log.error("%s cannot be served yet: %s", inert(path), text)
                said = text
            # Nothing tells of a path that is mended.
            if signal.sigtimedwait(_STOPS, _AGAIN_S) is not None:
                log.info("spoold ends")
                return None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
