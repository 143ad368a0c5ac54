# SPDX-License-Identifier: MIT
"""The loop of a command runner: what spoold says, and what ended."""

import os
import selectors
import signal
import time
from typing import Any

from spooler.cmdrunner import Runner
from spooler.foster import become_subreaper
from spooler.worker import PAY_EVERY_S, Link


def run(link: Link, messages: list[dict[str, Any]]) -> None:
    """Serve the daemon until it says stop or is gone."""
    wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    become_subreaper()
    selector = selectors.DefaultSelector()
    selector.register(link.socket, selectors.EVENT_READ)
    selector.register(wake_r, selectors.EVENT_READ)
    runner = Runner(link)
    link.report("ready")
    stopping = False
    while True:
        for message in messages:
            if "jobs" in message:
                runner.take_up(
                    message["jobs"], message["handler"], message["chain"]
                )
                runner.reap()
            elif "ended" in message:
                runner.adopt(message["ended"])
            elif "kill" in message:
                runner.kill(message["kill"])
            elif "stop" in message:
                stopping = True
                runner.stop()
            elif "abort" in message:
                stopping = True
                runner.stop()
                runner.abort()
        messages = []
        wait = runner.tick(time.monotonic())
        if not link.pay() or not runner.file():
            wait = min(wait or PAY_EVERY_S, PAY_EVERY_S)
        link.flush()
        if stopping and not len(runner) and not link.owed:
            break
        for key, _ in selector.select(wait):
            if key.fd == wake_r:
                os.read(wake_r, 4096)
                continue
            received = link.receive()
            if received is None:
                runner.close(orphaned=True)
                return
            messages += received
        runner.reap()
    runner.close(orphaned=False)
