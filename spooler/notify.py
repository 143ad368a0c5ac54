# SPDX-License-Identifier: MIT
"""Tell systemd how the daemon is: sd_notify(3), without its library."""

import os
import socket
import time

_EXTEND_S = 20.0  #: asked for at a time; longer than a turn ever takes


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
        self._wanted = ""  #: what the status line is to be
        self._status_at = 0.0
        self._alive_at = 0.0
        self._extend_at = 0.0

    @property
    def listened_to(self) -> bool:
        """Whether there is anybody to tell."""
        return self._socket is not None

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
        self._wanted = text
        if text != self._status and now >= self._status_at:
            self._status = text
            self._status_at = now + 1.0
            self.send(f"STATUS={text}")

    def wait_s(self) -> float | None:
        """Seconds until something is to be sent; None: nothing is."""
        waits = []
        if self.watchdog_s:
            waits.append(self.watchdog_s)
        if self._socket is not None and self._wanted != self._status:
            waits.append(max(0.0, self._status_at - time.monotonic()))
        return min(waits, default=None)

    def alive(self) -> None:
        """Send a sign of life where systemd expects them."""
        now = time.monotonic()
        if self.watchdog_s and now >= self._alive_at:
            # Twice as often as wait_s brings us here: no flood under load,
            # and still in time.
            self._alive_at = now + self.watchdog_s / 2
            self.send("WATCHDOG=1")

    def extend(self) -> None:
        """Ask for more time to start or to stop, for there is progress."""
        now = time.monotonic()
        if now >= self._extend_at:
            self._extend_at = now + _EXTEND_S / 10
            self.send(f"EXTEND_TIMEOUT_USEC={int(_EXTEND_S * 1e6)}")

    def stopping(self) -> None:
        """Say that a stop began, and that it may take its time."""
        self.send("STOPPING=1")
        self._extend_at = 0.0
        self.extend()

    def reloading(self) -> None:
        """Say that a reload began; READY=1 ends it."""
        usec = time.monotonic_ns() // 1000
        self.send("RELOADING=1", f"MONOTONIC_USEC={usec}")
