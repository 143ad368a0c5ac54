# SPDX-License-Identifier: MIT
"""Tell systemd how the daemon is: sd_notify(3), without its library."""

import os
import socket
import time


class Notifier:
    """
    Sends states to the socket systemd named; does nothing without one.

    Attributes:
        watchdog_s: how often systemd expects a sign of life; None: never.
    """

    def __init__(self, environ: dict[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_s: float | None = None
        if environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            if environ.get("WATCHDOG_USEC", "").isdigit():
                self.watchdog_s = int(environ["WATCHDOG_USEC"]) / 2e6
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._status = ""
        self._status_at = 0.0

    def send(self, *lines: str) -> None:
        """Send lines like ``READY=1``; each must be free of newlines."""
        if self._socket is not None:
            try:
                self._socket.sendto(
                    "\n".join(lines).encode("utf-8", "replace"),
                    socket.MSG_DONTWAIT, self._address,
                )
            except OSError:
                pass  # the manager restarts or is gone; not our failure

    def status(self, text: str) -> None:
        """Send the status line if it changed, once a second at most."""
        now = time.monotonic()
        if text != self._status and now >= self._status_at:
            self._status = text
            self._status_at = now + 1.0
            self.send(f"STATUS={text}")

    def reloading(self) -> None:
        """Say that a reload began; READY=1 ends it."""
        usec = time.monotonic_ns() // 1000
        self.send("RELOADING=1", f"MONOTONIC_USEC={usec}")
