# SPDX-License-Identifier: MIT
"""
A process that lives on while its clock jumps: a request, an answer.

It submits as one client, and forks runs of spoolctl.
"""

import json
import os
import sys
import tempfile
import time
from typing import Any

from spooler import cli
from spooler.cli import app, check, ls  # noqa: F401
from spooler.cli import show, status, submit, wait  # noqa: F401
from spooler.client import Client


def _submit(client: Client, request: dict[str, Any]) -> dict[str, Any]:
    due_ns = None
    if request["in_s"] is not None:
        due_ns = time.time_ns() + round(request["in_s"] * 1e9)
    ids = [
        client.submit(request["handler"], *request["args"], due_ns=due_ns)
        for _ in range(request["count"])
    ]
    return {"ids": ids, "due_ns": due_ns}


def _spoolctl(words: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out:
        pid = os.fork()
        if pid == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            sys.argv = ["spoolctl", "-C", sys.argv[1], *words]
            cli.main()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        return {"code": code, "out": out.read().decode()}


def main() -> None:
    """Do what standard input asks for."""
    with Client(sys.argv[1], durable=False) as client:
        for line in sys.stdin:
            request = json.loads(line)
            if "words" in request:
                answer = _spoolctl(request["words"])
            else:
                answer = _submit(client, request)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
