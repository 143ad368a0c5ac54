# SPDX-License-Identifier: MIT
"""
The grammar of job names: all that scheduling needs, without an open.

    NAME  = RANK "." ID *("." FIELD) "," TAIL
    RANK  = one digit, 9 - priority, so that names sort in running order
    ID    = 20 digits of 0-9a-v: 13 for the time of submission in ns, 7 dice
    FIELD = h HANDLER | a RUNS | b RUNS | d DUE | k KEY | c OWNER TOKEN
          | v VERDICT | r MICROSECONDS | z TWIN | s
    TAIL  = HANDLER ".job", or the name a producer chose, any bytes

Pure: text in, text out; clock and dice are arguments.  Names are ``str``
with undecodable bytes as surrogates (os.fsdecode), lengths are in bytes.
Imports nothing, because a producer imports it.  Source of the form:
maildir(5) and its info suffix.
"""

DIGITS = "0123456789abcdefghijklmnopqrstuv"
TIME_CHARS = 13
DICE_CHARS = 7
DICE_BITS = DICE_CHARS * 5
ID_CHARS = TIME_CHARS + DICE_CHARS
STEM_CHARS = 2 + ID_CHARS  #: RANK "." ID, which also names the sidecars
INSTANCE_CHARS = 5
OWNER_CHARS = INSTANCE_CHARS + 2  #: daemon instance and worker
TOKEN_CHARS = 13  #: 65 random bits
TWIN_CHARS = 3
DUE_CHARS = 11  #: microseconds
KEY_CHARS = 20  #: 100 bits of a digest
NAME_MAX_BYTES = 255
DROP_MAX_BYTES = 200
DROP_DOCUMENT_MAX_BYTES = 160  #: leaves room for the handler in the name
HANDLER_MAX_CHARS = 32
MAX_RUNS = 999
MAX_MICROSECONDS = 9_999_999_999  #: longer runs are told by the record
DEFAULT_PRIORITY = 5
DOCUMENT_SUFFIX = ".job"
UNFINISHED_SUFFIXES = ("~", ".tmp", ".part", ".swp")

_HANDLER_CHARS = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)


def b32(number: int, width: int) -> str:
    """Write *number* in *width* digits that sort as the number does."""
    out = []
    for _ in range(width):
        out.append(DIGITS[number & 31])
        number >>= 5
    return "".join(reversed(out))


def unb32(text: str) -> int:
    """Read what b32 wrote.  ValueError if a digit is not one of ours."""
    number = 0
    for char in text:
        number = number << 5 | DIGITS.index(char)
    return number


def mint_id(now_ns: int, dice: int) -> str:
    """
    Make an id from a wall clock in ns and DICE_BITS random bits.

    Ids of one producer sort by submission if *now_ns* grows strictly.
    """
    return b32(now_ns, TIME_CHARS) + b32(dice, DICE_CHARS)


def is_id(text: str) -> bool:
    """Tell whether *text* is a whole id."""
    return len(text) == ID_CHARS and not text.strip(DIGITS)


def submitted_ns(job_id: str) -> int:
    """The wall clock, in ns, at which *job_id* was minted."""
    return unb32(job_id[:TIME_CHARS])


def is_handler(text: str) -> bool:
    """Tell whether *text* can be a handler's name."""
    return (
        0 < len(text) <= HANDLER_MAX_CHARS
        and text[0] not in "_-"
        and not text.strip(_HANDLER_CHARS)
    )


class Name:
    """
    One job name, taken apart.  Treat as frozen; ``but`` makes another.

    Attributes:
        priority: 0..9, 9 runs first.
        id: 20 digits.
        tail: what follows the comma.
        handler: of a dropped document; "" if that could not be told; None
            where the tail tells (minted) or routes (payload).
        runs: how often it was claimed, this time included.
        requeued: a person sent it back; the runs are those since.
        due_ns: wall clock before which it must not start, or None.
        key: that it may hold, see keys.py, else "".
        claim: OWNER TOKEN while active, else "".
        verdict: word of the last run's outcome, else "".
        micros: length of the last run in microseconds, or None.
        twin: tells apart two jobs that claim one id, else "".
        resubmitted: submitted again under an id whose first try was not
            confirmed: it may be here already.
    """

    __slots__ = (
        "priority", "id", "tail", "handler", "runs", "requeued", "due_ns",
        "key", "claim", "verdict", "micros", "twin", "resubmitted",
    )

    def __init__(
        self,
        priority: int,
        id: str,
        tail: str,
        handler: str | None = None,
        runs: int = 0,
        due_ns: int | None = None,
        claim: str = "",
        verdict: str = "",
        micros: int | None = None,
        twin: str = "",
        resubmitted: bool = False,
        requeued: bool = False,
        key: str = "",
    ) -> None:
        self.priority = priority
        self.id = id
        self.tail = tail
        self.handler = handler
        self.runs = runs
        self.requeued = requeued
        self.due_ns = due_ns
        self.key = key
        self.claim = claim
        self.verdict = verdict
        self.micros = micros
        self.twin = twin
        self.resubmitted = resubmitted

    def __str__(self) -> str:
        out = [f"{9 - self.priority}.{self.id}"]
        if self.handler is not None:
            out.append(f".h{self.handler}")
        if self.requeued:
            out.append(f".b{self.runs}")
        elif self.runs:
            out.append(f".a{self.runs}")
        if self.due_ns is not None:
            # Rounded up: never due too early.
            out.append(f".d{b32(-(-self.due_ns // 1000), DUE_CHARS)}")
        if self.key:
            out.append(f".k{self.key}")
        if self.claim:
            out.append(f".c{self.claim}")
        if self.verdict:
            out.append(f".v{self.verdict}")
        if self.micros is not None:
            out.append(f".r{self.micros}")
        if self.twin:
            out.append(f".z{self.twin}")
        if self.resubmitted:
            out.append(".s")
        out.append(f",{self.tail}")
        return "".join(out)

    @property
    def owner(self) -> str:
        """Who claimed it: daemon instance and worker; "" if nobody."""
        return self.claim[:OWNER_CHARS]

    @property
    def stem(self) -> str:
        """What its sidecars' names begin with."""
        twin = f".z{self.twin}" if self.twin else ""
        return f"{9 - self.priority}.{self.id}{twin}"

    @property
    def is_document(self) -> bool:
        """Whether it is a job document rather than a payload."""
        return self.tail.endswith(DOCUMENT_SUFFIX)

    @property
    def dropped_name(self) -> str | None:
        """The name its producer chose, or None if our submit minted it."""
        if self.handler is None and self.is_document:
            return None
        return self.tail

    @property
    def told_handler(self) -> str | None:
        """The handler its name tells; None: routed by its tail."""
        if self.handler is not None:
            return self.handler
        if self.is_document:
            return self.tail[: -len(DOCUMENT_SUFFIX)]
        return None

    def waiting(self, runs: int) -> "Name":
        """The same job as it lies in ``incoming/``, claimed *runs* times."""
        return Name(
            self.priority, self.id, self.tail, self.handler, runs,
            twin=self.twin, requeued=self.requeued, key=self.key,
        )

    def sent_back(self) -> "Name":
        """The same job as a person sends it back: its runs forgotten."""
        back = self.waiting(0)
        back.requeued, back.key = True, ""
        return back

    def is_waiting_form(self) -> bool:
        """False if it carries the marks of a run: moved back by hand."""
        return not (self.claim or self.verdict or self.micros is not None)


def parse(name: str) -> Name | None:
    """Take *name* apart; None if it is not of the grammar (a dropped name)."""
    head, _, tail = name.partition(",")
    job_id = head[2:STEM_CHARS]
    if (
        not tail
        or head[:1] not in "0123456789"
        or head[1:2] != "."
        or not is_id(job_id)
    ):
        return None
    parsed = Name(9 - int(head[0]), job_id, tail)
    rest = head[STEM_CHARS:]
    if rest:
        if rest[0] != ".":
            return None
        seen = ""
        for field in rest[1:].split("."):
            key = field[:1]
            if not key or key in seen or not _set(parsed, key, field[1:]):
                return None
            seen += "ab" if key in "ab" else key
    return parsed


def _set(name: Name, key: str, value: str) -> bool:
    """Set one field; False if it is not of the grammar."""
    if key in ("a", "b"):
        if not _is_number(value, 3):
            return False
        name.runs = int(value)
        name.requeued = key == "b"
    elif key == "h":
        if value and not is_handler(value):
            return False
        name.handler = value
    elif key == "d":
        if len(value) != DUE_CHARS or value.strip(DIGITS):
            return False
        name.due_ns = unb32(value) * 1000
    elif key == "k":
        if len(value) != KEY_CHARS or value.strip(DIGITS):
            return False
        name.key = value
    elif key == "c":
        if len(value) != OWNER_CHARS + TOKEN_CHARS or value.strip(DIGITS):
            return False
        name.claim = value
    elif key == "v":
        word = value.rstrip("0123456789")
        if not word or word.strip("abcdefghijklmnopqrstuvwxyz"):
            return False
        if len(value) > 7:
            return False
        name.verdict = value
    elif key == "r":
        if not _is_number(value, 10):
            return False
        name.micros = int(value)
    elif key == "z":
        if len(value) != TWIN_CHARS or value.strip(DIGITS):
            return False
        name.twin = value
    elif key == "s":
        if value:
            return False
        name.resubmitted = True
    else:
        return False
    return True


def _is_number(text: str, digits: int) -> bool:
    return (
        0 < len(text) <= digits
        and not text.strip("0123456789")
        and (text[0] != "0" or text == "0")
    )


def plain_handler(name: str) -> str | None:
    """
    The handler of a name with nothing else to tell: ``RANK.ID,HANDLER.job``.

    A million such names are told apart in a second; parse takes several.

    Returns:
        None if the name has fields or another tail, or is malformed.
    """
    if (
        name[STEM_CHARS:STEM_CHARS + 1] == ","
        and name[-4:] == DOCUMENT_SUFFIX
        and name[1] == "."
        and name[0] in "0123456789"
        and not name[2:STEM_CHARS].strip(DIGITS)
    ):
        return name[STEM_CHARS + 1:-4]
    return None


def plain_groups(
    listed: list[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """
    Tell apart many names as plain_handler does each, in a few large steps.

    Returns:
        The plain ones by handler, and all others.
    """
    groups: dict[str, list[str]] = {}
    for name in listed:
        groups.setdefault(name[STEM_CHARS:], []).append(name)
    plain: dict[str, list[str]] = {}
    others: list[str] = []
    for tail, group in groups.items():
        if tail[:1] != "," or tail[-4:] != DOCUMENT_SUFFIX:
            others += group
        elif (
            # Each text is as long as all names here.
            "".join([name[0] for name in group]).strip("0123456789")
            or "".join([name[1] for name in group]).strip(".")
            or "".join([name[2:STEM_CHARS] for name in group]).strip(DIGITS)
        ):
            for name in group:
                handler = plain_handler(name)
                if handler is None:
                    others.append(name)
                else:
                    plain.setdefault(handler, []).append(name)
        else:
            plain.setdefault(tail[1:-4], []).extend(group)
    return plain, others


def why_illegal(name: str) -> str | None:
    """
    Say why a *name* in ``incoming/`` is left alone; None if it is legal.

    The limits leave room for what a claim and a verdict add.
    """
    parsed = parse(name)
    tail = name if parsed is None else parsed.tail
    if parsed is None:
        if stem_of(name) is not None:
            return "is the record or output of a job, not a job"
        if name.startswith("."):
            return "name starts with a dot"
        if name.endswith(UNFINISHED_SUFFIXES):
            return "name ends like a file still being written"
    limit = DROP_MAX_BYTES
    if tail.endswith(DOCUMENT_SUFFIX) or (
        parsed is not None and parsed.handler is not None
    ):
        limit = DROP_DOCUMENT_MAX_BYTES
    if parsed is not None and parsed.key:
        limit = HANDLER_MAX_CHARS + len(DOCUMENT_SUFFIX)  # as minted
    size = len(tail.encode("utf-8", "surrogateescape"))
    if size > limit:
        return f"name of {size} bytes, {limit} is the limit"
    return None


def stem_of(sidecar: str) -> tuple[str, str] | None:
    """Split a sidecar's name into stem and kind; None if it is none."""
    stem, _, kind = sidecar.rpartition(".")
    if kind not in SIDECARS or "," in sidecar:
        return None
    if parse(stem + ",x") is None:
        return None
    return stem, kind


#: What may lie beside a job: the record of its runs, and what the last run
#: wrote on standard output and standard error.
SIDECARS = ("result", "out", "err")
