# SPDX-License-Identifier: MIT
"""
Every violation in one table.

A row tells how the spool is broken, which invariant must be named with
which words, what a person is to do about it, and whether repair mends it.
"""

import dataclasses
import stat

from check.healthy import DEAD, DUE_NS, FORGOTTEN, LIVE, claim
from check.sow import (
    Sow,
    bad_record,
    dropped,
    dropped_fields,
    form,
    future_version,
    interrupted,
    lonely,
    mode,
    one_inode,
    others_record,
    owner,
    special,
    stray,
    stray_directory,
    stray_fields,
    twice,
    unfinished,
    unreadable,
    wrong_size,
)


@dataclasses.dataclass(frozen=True)
class Seed:
    """
    One violation.

    Attributes:
        number: of the invariant.
        sow: breaks the spool; returns the path that must be named.
        what: a part of what must be said to be wrong.
        todo: what must be said is to be done, exactly.
        mended: whether repair mends it; else it is left as it was.
        typed: what a person does, who is told *todo*; "": *todo* itself is
            a command.  ``{path}`` and ``{id}`` stand for those of the file.
        root: only root can break a spool so.
    """

    number: int
    sow: Sow
    what: str
    todo: str
    mended: bool
    typed: str = ""
    root: bool = False


def _mode(name: str, bits: int, what: str, todo: str) -> Seed:
    return Seed(1, mode(name, bits), what, todo, True)


def _owner(name: str, more: str = "") -> Seed:
    what = "others than its owner" if more else "belongs to uid 65534"
    return Seed(
        1, owner(name), what, f"chown 0 {name}{more}", False, root=True
    )


def _stray(sow: Sow) -> Seed:
    return Seed(
        2, sow, "is no job and belongs to none", "move it out of the spool",
        False, "mv {path} ../moved",
    )


def _form(sow: Sow, what: str) -> Seed:
    return Seed(
        3, sow, what, "mv it to incoming/ to run it anew", True,
        "mv {path} incoming/",
    )


def _twice(sow: Sow, what: str, mended: bool = False) -> Seed:
    return Seed(
        4, sow, f"is also {what}/",
        "show tells them apart; rm the one not wanted", mended, "rm {path}",
    )


def _dead(sow: Sow) -> Seed:
    return Seed(
        5, sow, "was interrupted: its spoold is dead",
        "start spoold, which recovers it", True, "spoold --drain .",
    )


def _lonely(sow: Sow) -> Seed:
    return Seed(
        6, sow, "belongs to no job", "rm it, or keep it: nothing reads it",
        True, "rm {path}",
    )


def _torn(sow: Sow, what: str) -> Seed:
    return Seed(
        7, sow, what, "requeue the job to run it again", False,
        "spoolctl -C . requeue {id}",
    )


def _named(sow: Sow, what: str) -> Seed:
    return Seed(
        8, sow, f"{what}; it is left alone", "rename it, or move it away",
        False, "mv {path} ../moved",
    )


def _special(kind: int) -> Seed:
    return Seed(
        8, special(kind), "is not a regular file",
        "move it away; it would fail", False, "mv {path} ../moved",
    )


LIST, WRITE = "others can list it", "others than its owner can write"
STICKY = "producers can remove each other's files"
NO_CLAIM, A_CLAIM = "name carries no claim", "is not active, but its name"
NO_DUE, A_DUE = "carries no due time", "is final, but its name carries a due"
NO_VERDICT = "is final, but its name carries no verdict"
OK = {"runs": 1, "verdict": "ok"}
FAILED = {"runs": 1, "verdict": "exit1"}
ACTIVE = {"runs": 1, "claim": claim(LIVE)}
LOST = claim(DEAD)

SEEDS: dict[str, Seed] = {
    "root-of-all": _mode(".", 0o777, WRITE, "chmod go-w ."),
    "root-of-group": _mode(".", 0o775, WRITE, "chmod go-w ."),
    "active-writable": _mode("active", 0o720, WRITE, "chmod go-w active"),
    "deferred-writable": _mode(
        "deferred", 0o702, WRITE, "chmod go-w deferred"),
    "hold-writable": _mode("hold", 0o730, WRITE, "chmod go-w hold"),
    "done-writable": _mode("done", 0o1703, WRITE, "chmod go-w done"),
    "failed-writable": _mode("failed", 0o722, WRITE, "chmod go-w failed"),
    "run-writable": _mode("run", 0o723, WRITE, "chmod go-w run"),
    "tmp-listed-by-all": _mode("tmp", 0o3737, LIST, "chmod go-r tmp"),
    "tmp-listed-by-group": _mode("tmp", 0o740, LIST, "chmod go-r tmp"),
    "incoming-listed": _mode(
        "incoming", 0o3770, LIST, "chmod go-r incoming"),
    "incoming-not-sticky": _mode(
        "incoming", 0o2733, STICKY, "chmod +t incoming"),
    "tmp-not-sticky": _mode("tmp", 0o730, STICKY, "chmod +t tmp"),
    "config-of-all": Seed(
        1, mode("spool.toml", 0o666), "can change what runs",
        "chown {uid} spool.toml; chmod go-w spool.toml", True),
    "config-of-group": Seed(
        1, mode("spool.toml", 0o664), "can change what runs",
        "chown {uid} spool.toml; chmod go-w spool.toml", True),
    "handlers-of-all": Seed(
        1, mode("handlers.d", 0o777), "can change what runs",
        "chown {uid} handlers.d; chmod go-w handlers.d", True),
    "done-of-another": _owner("done"),
    "incoming-of-another": _owner("incoming"),
    "run-of-another": _owner("run"),
    "config-of-another": _owner("spool.toml", "; chmod go-w spool.toml"),
    "handlers-of-another": _owner("handlers.d", "; chmod go-w handlers.d"),
    "stray-in-done": _stray(stray("done", "notes")),
    "stray-with-comma": _stray(stray("failed", "a,b")),
    "stray-dot": _stray(stray("deferred", ".x.swp")),
    "stray-document": _stray(stray("hold", "a.job")),
    "stray-in-active": _stray(stray("active", "scan of today.pdf")),
    "stray-with-escape": _stray(stray("done", "\x1b[31m\n")),
    "stray-dash": _stray(stray("failed", "-rf")),
    "stray-new": _stray(stray("done", "a.new")),
    "stray-capture": _stray(stray("active", "alive.out")),
    "stray-elsewhere": _stray(stray("done", "alive00.out")),
    "stray-directory": _stray(stray_directory("failed")),
    "stray-kind": _stray(stray_fields("done", ".log")),
    "stray-new-kind": _stray(stray_fields("failed", ".log.new")),
    "stray-both-runs": _stray(stray_fields("done", ".a1.b1.vok,x")),
    "stray-field": _stray(stray_fields("hold", ".q7,x.job")),
    "stray-no-tail": _stray(stray_fields("deferred", ".d10000000000,")),
    "stray-upper-case": _stray(stray("done", f"4.{'A' * 20}.a1.vok,x")),
    "active-unclaimed": _form(form("active"), NO_CLAIM),
    "active-no-runs": dataclasses.replace(
        _form(form("active", claim=claim(LIVE)), NO_CLAIM), mended=False),
    "deferred-never-due": _form(
        form("deferred", told=True, runs=1, verdict="exit1"), NO_DUE),
    "deferred-fresh": _form(form("deferred"), NO_DUE),
    "deferred-claimed": _form(
        form("deferred", runs=1, due_ns=DUE_NS, claim=LOST), A_CLAIM),
    "held-claimed": _form(form("hold", runs=1, claim=LOST), A_CLAIM),
    "held-claimed-due": _form(
        form("hold", runs=1, claim=LOST, due_ns=DUE_NS, verdict="exit1"),
        A_CLAIM),
    "done-no-verdict": _form(form("done", runs=1), NO_VERDICT),
    "done-no-runs": _form(form("done", verdict="ok"), NO_VERDICT),
    "done-fresh": _form(form("done"), NO_VERDICT),
    "done-with-exit": _form(
        form("done", told=True, micros=9, **FAILED), "has the verdict exit1"),
    "done-due": _form(form("done", due_ns=DUE_NS, **OK), A_DUE),
    "done-claimed": _form(form("done", claim=LOST, **OK), A_CLAIM),
    "failed-no-verdict": _form(form("failed", runs=3), NO_VERDICT),
    "failed-with-ok": _form(
        form("failed", told=True, **OK), "has the verdict ok"),
    "failed-due": _form(form("failed", due_ns=DUE_NS, **FAILED), A_DUE),
    "failed-claimed": _form(form("failed", claim=LOST, **FAILED), A_CLAIM),
    "waits-twice": _twice(twice("incoming", "incoming"), "incoming"),
    "held-and-waits": _twice(twice("hold", "incoming"), "incoming"),
    "held-and-deferred": _twice(twice("hold", "deferred"), "deferred"),
    "waits-and-runs": _twice(twice("incoming", "active"), "active"),
    "waits-and-done": _twice(twice("incoming", "done"), "done"),
    "deferred-and-done": _twice(twice("deferred", "done"), "done"),
    "done-and-failed": _twice(twice("done", "failed"), "failed"),
    "one-inode-runs": _twice(one_inode("incoming", "active"), "active", True),
    "one-inode-held": _twice(one_inode("hold", "incoming"), "incoming", True),
    "one-inode-retry": _twice(
        one_inode("incoming", "deferred"), "deferred", True),
    "one-inode-done": _twice(one_inode("active", "done"), "done", True),
    "one-inode-both": _twice(one_inode("done", "failed"), "failed", True),
    "dead-instance": _dead(interrupted(DEAD)),
    "forgotten-instance": _dead(interrupted(FORGOTTEN)),
    "dead-last-run": _dead(interrupted(DEAD, "once.job")),
    "lonely-result": _lonely(lonely("done", "result")),
    "lonely-out": _lonely(lonely("failed", "out")),
    "lonely-err": _lonely(lonely("done", "err")),
    "lonely-deferred": _lonely(lonely("deferred", "out")),
    "lonely-deferred-result": _lonely(lonely("deferred", "result")),
    "lonely-held": _lonely(lonely("hold", "result")),
    "lonely-twin": _lonely(lonely("done", "out", twin="0c3")),
    "record-altered": _torn(
        bad_record(lambda data: data.replace(b"ended", b"began")), "altered"),
    "record-cut": _torn(bad_record(lambda data: data[:-9]), "torn"),
    "record-longer": _torn(
        bad_record(lambda data: data + b"\n", "done"), "torn"),
    "record-empty": _torn(bad_record(lambda _: b"", "done"), "torn"),
    "record-zeros": _torn(
        bad_record(lambda data: bytes(len(data))), "torn"),
    "record-no-record": _torn(bad_record(lambda _: b"{}\n"), "torn"),
    "record-of-tomorrow": _torn(bad_record(future_version), "torn"),
    "record-of-another": Seed(
        7, others_record("failed"), "is another job's", "rm it", False,
        "rm {path}"),
    "done-of-anothers": Seed(
        7, others_record("done"), "is another job's", "rm it", False,
        "rm {path}"),
    "out-short": _torn(wrong_size("done", "out", 3), "has 3 bytes where"),
    "out-long": _torn(wrong_size("failed", "out", 9), "record says 5"),
    "err-short": _torn(wrong_size("failed", "err", 0), "has 0 bytes where"),
    "err-missing": _torn(wrong_size("done", "err", None), "has 0 bytes"),
    "dropped-directory": Seed(
        8, special(stat.S_IFDIR), "is a directory; it is left alone",
        "move it away", False, "mv {path} ../moved"),
    "dropped-pipe": _special(stat.S_IFIFO),
    "dropped-link": _special(stat.S_IFLNK),
    "dropped-socket": _special(stat.S_IFSOCK),
    "dropped-dot": _named(dropped(".hidden"), "name starts with a dot"),
    "dropped-tilde": _named(dropped("draft~"), "still being written"),
    "dropped-part": _named(dropped("big.iso.part"), "still being written"),
    "dropped-swp": _named(dropped("x.swp"), "still being written"),
    "dropped-tmp": _named(dropped("x\n.tmp"), "still being written"),
    "dropped-long": _named(dropped("x" * 201), "201 bytes, 200 is the limit"),
    "dropped-long-job": _named(
        dropped("x" * 157 + ".job"), "161 bytes, 160 is the limit"),
    "dropped-long-tail": _named(
        dropped_fields(f",{'x' * 201}"), "of 201 bytes, 200 is the limit"),
    "dropped-record": _named(
        dropped_fields(".result"),
        "is the record or output of a job, not a job"),
    "dropped-for-itself": Seed(
        8, unreadable(0o600, 0, None), "is not readable by spoold (mode 0600",
        "chmod g+r {path}", False, root=True),
    "unfinished": Seed(
        9, unfinished(), "was left unfinished",
        "rm it: it was never submitted", True, "rm {path}"),
    "unfinished-link": Seed(
        9, unfinished("link"), "was left unfinished",
        "rm it: it was never submitted", True, "rm {path}"),
}
