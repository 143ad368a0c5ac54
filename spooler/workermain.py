# SPDX-License-Identifier: MIT
"""The program of a worker process: set it up, then serve the daemon."""

import ctypes
import gc
import os
import signal
import socket
import sys
from typing import Any

from spooler import cmdloop, fsops, pyrunner
from spooler.wire import Unpacker
from spooler.worker import RECEIVE_BYTES, UMASK, Link

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """
    Ask the kernel to kill this process when the daemon dies.

    Its jobs are then free for recovery at once, and none runs on unseen.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)  # RACE: it died before the call


def main() -> None:
    """``python -m spooler.workermain KIND SOCKET_FD BOARD_FD PARENT_PID``."""
    kind, sock_fd, board_fd, parent = sys.argv[1], *map(int, sys.argv[2:5])
    if kind != "command":
        die_with_parent(parent)  # cmdloop ends its commands first
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2:
            try:
                os.set_inheritable(fd, False)  # nothing of ours reaches a job
            except OSError:
                pass  # the descriptor of the listing itself
    os.umask(UMASK)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=sock_fd)
    unpacker = Unpacker()
    messages: list[dict[str, Any]] = []
    while not messages:
        data = sock.recv(RECEIVE_BYTES)
        if not data:
            return
        messages = unpacker.feed(data)
    link = Link(sock, messages.pop(0))
    link.unpacker = unpacker
    gc.collect()
    gc.freeze()
    if kind == "python":
        pyrunner.run(link, board_fd, messages)
    elif kind == "asyncio":
        from spooler import asyncrunner  # the others need no asyncio

        asyncrunner.run(link, board_fd, messages)
    else:
        cmdloop.run(link, messages)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        # The spool is in trouble: the daemon sees the exit, says so and
        # starts another worker once the trouble is over.
        print(f"worker: {fsops.why(error)}", file=sys.stderr)
        sys.exit(1)
