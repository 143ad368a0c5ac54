# SPDX-License-Identifier: MIT
"""Violations that are easy to overlook; as the table in ``seeds``."""

from check.healthy import DUE_NS, LIVE, claim
from check.seeds import Seed
from check.sow import (
    Sow,
    bad_record,
    directory_as_job,
    form,
    handler,
    linked,
    mode,
    record_is,
    unfinished,
    unreadable,
    wrong_size,
)


def _linked(name: str) -> Seed:
    return Seed(
        1, linked(name), "is a link", "put there what it points to", False,
        f"rm {{path}} && mv ../elsewhere-{name} {name}",
    )


def _handler(sow: Sow, mended: bool, root: bool = False) -> Seed:
    return Seed(
        1, sow, "others than its owner can change what runs",
        "chown {uid} {path}; chmod go-w {path}", mended, root=root,
    )


def _listed(name: str, bits: int) -> Seed:
    return Seed(
        1, mode(name, bits), "others can list it", f"chmod go-r {name}", True
    )


def _directory(sow: Sow) -> Seed:
    return Seed(
        2, sow, "is no job and belongs to none", "move it out of the spool",
        False, "mv {path} ../moved",
    )


def _form(sow: Sow, what: str, mended: bool) -> Seed:
    return Seed(
        3, sow, what, "mv it to incoming/ to run it anew", mended,
        "mv {path} incoming/",
    )


def _early(sow: Sow, what: str, state: str = "deferred") -> Seed:
    """A record of runs before the last."""
    typed = f"rm -f {state}/4.{{id}}.result {state}/4.{{id}}.out"
    return Seed(
        7, sow, what,
        "rm the job's record and output there: it runs again anyway", False,
        typed,
    )


def _final(sow: Sow, what: str) -> Seed:
    return Seed(
        7, sow, what, "requeue the job to run it again", False,
        "spoolctl -C . requeue {id}",
    )


MORE: dict[str, Seed] = {
    "config-linked": _linked("spool.toml"),
    "handlers-linked": _linked("handlers.d"),
    "handler-of-all": _handler(handler(0o777), True),
    "handler-of-group": _handler(handler(0o775), True),
    "handler-of-another": _handler(handler(0o755, 65534), False, root=True),
    "handler-linked": _handler(handler(0o757, link=True), False),
    "done-listed": _listed("done", 0o755),
    "failed-listed-by-group": _listed("failed", 0o750),
    "run-listed": _listed("run", 0o704),
    "directory-as-job": _directory(
        directory_as_job("done", runs=1, verdict="ok")),
    "directory-as-no-job": _directory(directory_as_job("failed")),
    "directory-as-record": _directory(record_is("directory")),
    "active-due": _form(
        form("active", runs=1, claim=claim(LIVE), due_ns=DUE_NS),
        "is active, but its name carries a due time", False),
    "active-with-verdict": _form(
        form("active", runs=2, claim=claim(LIVE), verdict="exit1"),
        "is active, but its name carries a verdict", False),
    "active-with-length": _form(
        form("active", runs=2, claim=claim(LIVE), micros=7),
        "is active, but its name carries a verdict", False),
    "deferred-with-ok": _form(
        form("deferred", runs=1, due_ns=DUE_NS, verdict="ok"),
        "is deferred, but has the verdict ok", True),
    "record-link": _final(record_is("link"), "is torn or altered"),
    "out-untold": _final(
        wrong_size("done", "out", 4, told=0), "has 4 bytes where its record"),
    "deferred-record-cut": _early(
        bad_record(lambda data: data[:-9], "deferred"), "is torn or altered"),
    "held-record-empty": _early(
        bad_record(lambda _: b"", "hold"), "is torn or altered", "hold"),
    "deferred-out-short": _early(
        wrong_size("deferred", "out", 1), "has 1 bytes where its record"),
    "dropped-shut": Seed(
        8, unreadable(0, None, None), "is not readable by spoold (mode 0000",
        "chmod u+r {path}", False),
    "dropped-by-a-stranger": Seed(
        8, unreadable(0o640, 0, 0), "is not readable by spoold (mode 0640",
        "chmod o+r {path}", False, root=True),
    "unfinished-directory": Seed(
        9, unfinished("directory"), "was left unfinished",
        "rm -r it: it was never submitted", False, "rm -r {path}"),
}
