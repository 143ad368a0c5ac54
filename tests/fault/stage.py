# SPDX-License-Identifier: MIT
"""
The process that the shim is loaded into: it forks what is to be struck.

It has imported all of the program before, so a run costs a fork and not the
start of an interpreter.  Requests and answers are lines of JSON.
"""

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from fault.control import Control

from spooler.cli import app, quick, requeue, rm, spoold  # noqa: F401
from spooler.cli import main as spoolctl
from spooler.client import Client
from spooler.errors import SpoolError, SubmitUnknown
from spooler.foster import become_subreaper
from spooler.leftover import children

_POLL_S = 0.002


class Ledger:
    """What a producer was told, a line each, where no fault can reach."""

    def __init__(self, path: str) -> None:
        """Append to *path*."""
        self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def tell(self, word: str, *keys: str) -> None:
        """Note the fate of one submission."""
        os.write(self._fd, f"{' '.join((word, *keys))}\n".encode())


class Minting(Client):
    """A client that tells which ids it minted."""

    def mint(self) -> str:
        """Remember the id."""
        minted = super().mint()
        self.minted.append(minted)
        return minted

    @property
    def minted(self) -> list[str]:
        """The ids minted since this was last cleared."""
        return self.__dict__.setdefault("_minted", [])


def _try(
    ledger: Ledger, client: Minting, submit: Callable[[], Any]
) -> bool:
    """Submit, and note what came of it; False if that is unknown."""
    client.minted.clear()
    try:
        submit()
    except SubmitUnknown:
        ledger.tell("unknown", *client.minted)
        return False
    except (SpoolError, OSError) as error:
        word = "refused"
        if isinstance(error, OSError) and len(client.minted) > 1:
            word = "unknown"  # as submit_many says of an OSError
        ledger.tell(word, *client.minted)
    else:
        ledger.tell("confirmed", *client.minted)
    return True


def _drop(spool: str, ledger: Ledger, name: str, data: bytes) -> None:
    """Drop a file as a shell user would."""
    path = os.path.join(spool, "tmp", name)
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        try:
            os.write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(path, os.path.join(spool, "incoming", name))
    except OSError:
        return
    ledger.tell("confirmed", name)


def produce(spool: str, ledger_path: str) -> None:
    """Submit one job of every kind."""
    ledger = Ledger(ledger_path)
    with Minting(spool) as client:
        for handler, body in (
            ("plain", b""), ("value", b"in"), ("nap", b"in"),
            ("say", b"heard\n"), ("flaky", b""), ("never", b""),
            ("broken", b""),
        ):
            _try(ledger, client, lambda: client.submit(handler, body=body))
        for handler, unique in (
            ("plain", "waiting"), ("flaky", "done"), ("never", "done"),
            ("plain", 3600),
        ):
            _try(ledger, client, lambda: client.submit_unique(
                handler, key=str(time.monotonic_ns()), unique=unique
            ))
    # Names of their own: a dropped file is known by nothing else.
    own = str(time.monotonic_ns())
    bad = b"Handler: plain\nNo-Such: field\n\n"
    _drop(spool, ledger, f"{own}-torn.job", bad)
    _drop(spool, ledger, f"{own}-stray.dat", b"data")


def submit(spool: str, ledger_path: str) -> None:
    """Submit in every way there is."""
    ledger = Ledger(ledger_path)
    source = os.path.join(os.path.dirname(ledger_path), "blob.dat")
    try:
        client = Minting(spool)
    except (OSError, SpoolError):
        return
    _try(ledger, client, lambda: client.submit("plain", body=b"x" * 99))
    once = client.mint()

    def again() -> None:
        client.minted.append(once)
        client.submit("plain", job_id=once)

    for _ in range(3):
        if _try(ledger, client, again):
            break
    _try(ledger, client, lambda: client.submit_many(
        ("plain", (), b"many") for _ in range(3)
    ))
    for unique in ("waiting", 3600):
        _try(ledger, client, lambda: client.submit_unique(
            "plain", key=str(time.monotonic_ns()), unique=unique
        ))
    _try(ledger, client, lambda: client.submit_file(source))
    client.durable = False
    _try(ledger, client, lambda: client.submit("plain"))
    client.close()


def _spoold(control: Control, request: dict[str, Any]) -> None:
    os.setsid()
    control.set("daemon", os.getpid())
    sys.argv = ["spoold", "--drain", request["spool"]]
    spoold.main()


def _ctl(request: dict[str, Any]) -> None:
    out = os.open(
        request["out"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600
    )
    os.dup2(out, 1)
    sys.argv = ["spoolctl", "-C", request["spool"], *request["args"]]
    spoolctl()


def _child(control: Control, request: dict[str, Any]) -> None:
    log = os.open(
        request["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600
    )
    null = os.open("/dev/null", os.O_RDONLY)
    for fd, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(fd, target)
    if request["verb"] == "spoold":
        _spoold(control, request)
    elif request["verb"] == "ctl":
        _ctl(request)
    elif request["verb"] == "produce":
        produce(request["spool"], request["ledger"])
    else:
        submit(request["spool"], request["ledger"])


def run(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """Fork, wait for the end, lift the fault when its time is over."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            _child(control, request)
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 0
        except BaseException:
            traceback.print_exc()
        with contextlib.suppress(Exception):
            sys.stderr.flush()
            sys.stdout.flush()
        os._exit(status)
    started = time.monotonic()
    struck = None
    while True:
        now = time.monotonic()
        if control.get("fired") and struck is None:
            struck = now
        lift_s = request.get("lift_s")
        if struck is not None and lift_s and now > struck + lift_s:
            control.lift()
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return {"code": code, "seconds": now - started}
        if now > started + request["limit_s"]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return {"code": None, "seconds": now - started}
        time.sleep(_POLL_S)


def clear(limit_s: float) -> list[str]:
    """Wait for all we inherited to end; names what had to be killed."""
    left = []
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return left
        if time.monotonic() > deadline:
            for pid in children():
                with contextlib.suppress(OSError):
                    with open(f"/proc/{pid}/cmdline", "rb") as stream:
                        left.append(repr(stream.read()))
                    os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def main() -> None:
    """Serve requests until the harness closes its end."""
    control = Control(os.environ["FAULT_CONTROL"])
    become_subreaper()
    for line in sys.stdin:
        request = json.loads(line)
        if request["verb"] == "clear":
            answer: dict[str, Any] = {"left": clear(request["limit_s"])}
        else:
            answer = run(control, request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
