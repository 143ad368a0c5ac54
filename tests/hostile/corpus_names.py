# SPDX-License-Identifier: MIT
"""Hostile names: on payloads and documents that are legal but for them."""

import itertools
import time
from collections.abc import Iterator

from hostile.kinds import BAD, GONE, LEFT, RAN, UNKNOWN, WAITS, Kind, filed
from hostile.kinds import note as document

from spooler import names

_dice = itertools.count(1)

#: Payloads that any shell, log, terminal or program may trip over.
_PAYLOADS = {
    "option": b"-rf",
    "long option": b"--help",
    "end of options": b"--",
    "spaces": b" a  b ",
    "newline and a word for systemd": b"a\nREADY=1",
    "newline and a log line": b"b\nMay  1 00:00:00 host sshd[1]: accepted",
    "carriage return": b"c\rspoold ends",
    "level prefix": b"<0>panic",
    "escape sequence": b"\x1b[2J\x1b[31mred",
    "title sequence": b"\x1b]0;title\x07",
    "C1 byte": b"\x9b31m",
    "C1 in UTF-8": "\x9b31mred".encode(),
    "delete": b"\x7f\x08\x08",
    "all controls": bytes(range(1, 32)),
    "not UTF-8": b"\xff\xfe\xfd",
    "cut UTF-8": b"abc\xe2\x82",
    "overlong UTF-8": b"\xc0\xae\xc0\xaf",
    "surrogate in UTF-8": b"\xed\xa0\x80",
    "bidi override": "\u202egnp.exe".encode(),
    "line separator": "a\u2028b".encode(),
    "zero width": "a\u200b\ufeffb".encode(),
    "no-break space": "\u00a0".encode(),
    "NFC": "caf\u00e9".encode(),
    "NFD twin": "cafe\u0301".encode(),
    "combining pile": ("z" + "\u0334" * 90).encode(),
    "format": b"%s%n%x%(message)s{}",
    "placeholders": b"{file}{id}{name}{0.__class__}",
    "substitution": b"$(touch RAN)`touch RAN`",
    "command": b"a;touch RAN",
    "glob": b"*",
    "brace": b"{",
    "quotes": b"'\"",
    "backslash": b"a\\x1b\\n",
    "tab": b"a\tb",
    "reserved elsewhere": b"CON",
    "null": b"null",
    "zero": b"0",
    "comma": b",",
    "commas": b"a,b,c.job,d",
    "suffix in capitals": b"x.JOB",
    "the lock": b"daemon.lock",
    "the socket": b"control",
    "the configuration": b"spool.toml",
    "a directory of the spool": b"active",
    "a record in the making": b"x.result.new",
    "a record of nobody": b"x.result",
    "rank only": b"4.,x",
    "an id too short": b"4.1hqij41n1bqt42uq3gn,x",
    "an id in capitals": b"4.1HQIJ41N1BQT42UQ3GN5,x",
    "a rank of two digits": b"44.1hqij41n1bqt42uq3gn5,x",
    "a rank that is none": "\u0664.1hqij41n1bqt42uq3gn5,y".encode(),
    "no tail": b"4.1hqij41n1bqt42uq3gn5,",
    "no comma": b"4.1hqij41n1bqt42uq3gn5",
    "200 bytes": b"n" * 200,
    "100 two-byte letters": "\u00e9".encode() * 100,
}

#: Names that are no job's.
_LEFT = {
    "hidden": b".hidden",
    "dots": b"...",
    "like the parent": b"..x",
    "NFS rename": b".nfs000001",
    "suffix alone": b".job",
    "backup": b"x~",
    "temporary": b"x.tmp",
    "partial": b"x.part",
    "swap": b"x.swp",
    "temporary document": b"x.job.tmp",
    "201 bytes": b"n" * 201,
    "255 bytes": b"n" * 255,
    "161 bytes of document": b"n" * 157 + b".job",
    "255 bytes not UTF-8": b"\xff" * 255,
    "a tail of 201 bytes": b"4.1hqij41n1bqt42uq3gn6," + b"n" * 201,
}

#: Fields a producer may write, and what becomes of a job that has them.
_FIELDS = {
    "nothing else": ("", RAN),
    "a claim": (".a1.c{owner}{token}", RAN),
    "a verdict": (".a1.vok.r1", RAN),
    "runs used up": (".a999", RAN),
    "a twin": (".zabc", RAN),
    "fields in another order": (".zabc.a1", RAN),
    "zero runs": (".a0", RAN),
    "every field": (
        ".hnote.a7.d00000000000.c{owner}{token}.vfail65.r9999999999.zvvv.s",
        RAN,
    ),
    "submitted again": (".s", RAN),
    "due in 1970": (".d00000000000", RAN),
    "due in a century": (".d{far}", WAITS),
    "due never": (".dvvvvvvvvvvv", WAITS),
    "another handler": (".hgate", BAD),
    "no handler": (".h", BAD),
    "an unknown handler": (".hnosuch", UNKNOWN),
}
#: What looks like fields and is none: the whole is a dropped name.
_NO_FIELDS = {
    "a field twice": ".a1.a2",
    "an unknown field": ".q1",
    "an empty field": "..a1",
    "a handler that is a path": ".h-rf",
    "runs that overflow": ".a1000",
    "a verdict too long": ".vnonsense",
    "a negative number": ".a-1",
    "a due time too long": ".d000000000000",
    "a claim too short": ".cabc",
    "digits of another script": ".a\u0661",
}


def _mint() -> str:
    return names.mint_id(time.time_ns(), next(_dice))


def _payload(label: str, name: bytes, fate: str) -> Kind:
    return Kind(label, name, filed(b"payload " + label.encode()), fate)


def _document(
    label: str, name: str, fate: str, tail: str | None = None
) -> Kind:
    mark = f"names: {label}"
    return Kind(
        label, f"{name}{'' if tail is None else f',{tail}'}".encode(),
        filed(document(mark)), fate, mark, tail,
    )


def dropped() -> Iterator[Kind]:
    """Names of payloads."""
    for label, name in _PAYLOADS.items():
        yield _payload(label, name, RAN)
    for label, name in _LEFT.items():
        yield _payload(label, name, LEFT)


def minted() -> Iterator[Kind]:
    """Names that imitate the grammar."""
    known = {
        "owner": "abcde00", "token": "0" * names.TOKEN_CHARS,
        "far": names.b32(5 * 10 ** 15, names.DUE_CHARS),
    }
    for number, (label, (fields, fate)) in enumerate(_FIELDS.items()):
        head = f"4.{_mint()}{fields.format(**known)}"
        tail = f"m{number}.job" if ".h" in fields else "note.job"
        yield _document(label, head, fate, tail)
    for number, (label, fields) in enumerate(_NO_FIELDS.items()):
        yield _document(label, f"4.{_mint()}{fields},n{number}.job", RAN)
    yield _document("the first id", f"0.{'0' * 20}", RAN, "note.job")
    yield _document("the last id", f"9.{'v' * 20}", RAN, "note.job")
    yield Kind(
        "a payload with a handler", f"4.{_mint()}.hnote,h.txt".encode(),
        filed(b"payload for note"), RAN, tail="h.txt",
    )
    yield _document("no handler's name", f"4.{_mint()}", BAD, ".job")
    yield _document(
        "a name with a path", f"4.{_mint()}", UNKNOWN, "..%2fx.job"
    )


def copied(victims: dict[str, str]) -> Iterator[Kind]:
    """
    Names that claim the ids of others' jobs.

    Args:
        victims: names of other jobs, by the directory they lie in.
    """
    for state, name in victims.items():
        stem, job_id = name[:names.STEM_CHARS], name[2:names.STEM_CHARS]
        for label, head, fate in (
            ("its id", f"{stem}.hnote", RAN),
            ("its id first", f"0.{job_id}.hnote", RAN),
            ("its id and a verdict", f"{stem}.hnote.vok", RAN),
            ("its id again", f"{stem}.hnote.s", GONE),
        ):
            tail = f"{label.replace(' ', '-')}-{state}.job"
            yield _document(f"{label} ({state})", head, fate, tail)
        for kind in names.SIDECARS:
            yield _payload(
                f"its {kind} ({state})", f"{stem}.{kind}".encode(), LEFT
            )
        yield _payload(
            f"its twin's record ({state})", f"{stem}.zabc.result".encode(),
            LEFT,
        )
