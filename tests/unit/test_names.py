# SPDX-License-Identifier: MIT
"""The grammar of job names."""

import os
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooler import names
from spooler.names import Name

NOW_NS = 1_795_316_400 * 10**9
ID = names.mint_id(NOW_NS, 12345)
OWNER = "0000a01"
CLAIM = OWNER + "0123456789abcdefghijklmnopqrstuv"[:names.TOKEN_CHARS]
TWIN = "0ab" + "v" * (names.TWIN_CHARS - 3)
#: As it is written: a due time is kept to the microsecond.
DUE = str(Name(5, ID, "x", due_ns=NOW_NS)).partition(".d")[2][:-2]
LATEST_NS = 7_258_118_400 * 10**9
HANDLER = "h" * names.HANDLER_MAX_CHARS
DROP = names.DROP_MAX_BYTES
DROP_JOB = names.DROP_DOCUMENT_MAX_BYTES
PAYLOAD = "p" * DROP
DOCUMENT = "d" * (DROP_JOB - 4) + ".job"
SLOTS = Name.__slots__

#: Any name a file can have, undecodable bytes included.
file_names = st.binary(min_size=1, max_size=60).map(
    lambda data: os.fsdecode(data.replace(b"/", b"_").replace(b"\0", b"_"))
)
handlers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", fullmatch=True)
verdicts = st.from_regex(r"[a-z]{1,4}[0-9]{0,3}", fullmatch=True)
claims = st.integers(0, 2**64).map(
    lambda number: names.b32(number, len(CLAIM))
)
twins = st.integers(0, 2**15).map(
    lambda number: names.b32(number, names.TWIN_CHARS)
)
every_name = st.builds(
    Name,
    priority=st.integers(0, 9),
    id=st.integers(0, 2**99).map(lambda number: names.b32(number, 20)),
    tail=file_names,
    handler=st.none() | st.just("") | handlers,
    runs=st.integers(0, names.MAX_RUNS),
    due_ns=st.none() | st.integers(0, LATEST_NS // 1000).map(
        lambda moment: moment * 1000
    ),
    claim=st.just("") | claims,
    verdict=st.just("") | verdicts,
    micros=st.none() | st.integers(0, names.MAX_MICROSECONDS),
    twin=st.just("") | twins,
    resubmitted=st.booleans(),
    requeued=st.booleans(),
)


def fields(name: Name) -> dict[str, object]:
    """What a name holds, comparable."""
    return {slot: getattr(name, slot) for slot in SLOTS}


def bytes_of(name: Name) -> int:
    """How long a name is on disk."""
    return len(os.fsencode(str(name)))


@given(st.integers(0, 2**65 - 1), st.integers(0, 2**65 - 1))
def test_numbers_sort_as_text(one: int, other: int) -> None:
    """Numbers written by b32 sort as the numbers do, and read back."""
    texts = names.b32(one, 13), names.b32(other, 13)
    assert (texts[0] < texts[1]) == (one < other)
    assert names.unb32(texts[0]) == one


@pytest.mark.parametrize("text", ["w", "A", "0 0", "-1", "é"])
def test_unb32_refuses_alien_digits(text: str) -> None:
    """A digit that b32 never writes is a ValueError."""
    with pytest.raises(ValueError):
        names.unb32(text)


@given(
    st.integers(0, 2**63), st.integers(0, 2**63),
    st.integers(0, 2**names.DICE_BITS - 1),
    st.integers(0, 2**names.DICE_BITS - 1),
)
def test_ids_sort_by_submission(
    one: int, other: int, dice: int, more: int
) -> None:
    """An id minted earlier sorts first, whatever the dice said."""
    early, late = sorted((one, other))
    first, second = names.mint_id(early, dice), names.mint_id(late, more)
    assert names.is_id(first) and names.is_id(second)
    assert names.submitted_ns(first) == early
    assert early == late or first < second


@pytest.mark.parametrize(
    "text",
    ["", ID[:-1], ID + "0", ID[:-1] + "w", ID[:5] + " " + ID[6:],
     ID.upper(), "." * 20],
)
def test_is_id_refuses(text: str) -> None:
    """Whatever is not 20 of our digits is no id."""
    assert not names.is_id(text)


@pytest.mark.parametrize("text", ["a", "9", "Mail-2_x", "h" * 32])
def test_is_handler_takes(text: str) -> None:
    """Letters, digits, - and _ make a handler's name, 32 at most."""
    assert names.is_handler(text)


@pytest.mark.parametrize(
    "text",
    ["", "h" * 33, "-a", "_a", "a.b", "a b", "a/b", "a\n", "é", "a,b", "٣"],
)
def test_is_handler_refuses(text: str) -> None:
    """No other character, start or length makes a handler's name."""
    assert not names.is_handler(text)


@given(every_name)
def test_round_trip(name: Name) -> None:
    """Every name that can be written is read back field by field."""
    read = names.parse(str(name))
    assert read is not None
    assert fields(read) == fields(name)


@given(st.text() | file_names)
def test_parse_takes_any_text(text: str) -> None:
    """No text makes parse raise, and what it takes it can write again."""
    read = names.parse(text)
    if read is not None:
        again = names.parse(str(read))
        assert again is not None and fields(again) == fields(read)


@given(every_name, st.integers(0, 2**32))
def test_fields_come_in_any_order(name: Name, seed: int) -> None:
    """The order of the fields does not matter to a reader."""
    head, _, tail = str(name).partition(",")
    stem, marks = head[:names.STEM_CHARS], head[names.STEM_CHARS + 1:]
    parts = marks.split(".") if marks else []
    random.Random(seed).shuffle(parts)
    read = names.parse(".".join([stem, *parts]) + "," + tail)
    assert read is not None and fields(read) == fields(name)


@pytest.mark.parametrize(
    "text",
    [
        "", ",", "photo.jpg", "a,b", f"4.{ID}", f"4.{ID},", f"{ID},x",
        f"x.{ID},x", f"44.{ID},x", f"4-{ID},x", f"4.{ID[:-1]},x",
        f"4.{ID}0,x", f"4.{ID[:-1]}W,x", f"4.{ID}.,x", f"4.{ID}.a1.,x",
        f"4.{ID}..a1,x", f"4.{ID}.a1.a2,x", f"4.{ID}.q1,x", f"4.{ID}.A1,x",
        f"4.{ID}.a,x", f"4.{ID}.a01,x", f"4.{ID}.a1000,x", f"4.{ID}.a-1,x",
        f"4.{ID}.a+1,x", f"4.{ID}.a1 ,x", f"4.{ID}.a٣,x",
        f"4.{ID}.h-x,x", f"4.{ID}.h{'h' * 33},x", f"4.{ID}.ha b,x",
        f"4.{ID}.d1,x", f"4.{ID}.d{DUE[:-1]}w,x", f"4.{ID}.d{DUE}0,x",
        f"4.{ID}.c,x", f"4.{ID}.c{CLAIM[:-1]},x", f"4.{ID}.c{CLAIM}0,x",
        f"4.{ID}.c{CLAIM[:-1]}z,x", f"4.{ID}.v,x", f"4.{ID}.v1,x",
        f"4.{ID}.vOK,x", f"4.{ID}.vexit1x,x", f"4.{ID}.vtimeouts,x",
        f"4.{ID}.r,x", f"4.{ID}.r1e3,x", f"4.{ID}.r{10**10},x",
        f"4.{ID}.z,x", f"4.{ID}.z{TWIN[1:]},x", f"4.{ID}.z{TWIN}0,x",
        f"4.{ID}.z{TWIN[1:]}w,x", f"4.{ID}.s1,x", f"4.{ID}.s.s,x",
        f".{ID},x",
    ],
)
def test_parse_refuses(text: str) -> None:
    """Whatever is not of the grammar is a dropped name, not a job name."""
    assert names.parse(text) is None


def test_every_field_is_read() -> None:
    """A name with every field tells each of them."""
    name = names.parse(
        f"0.{ID}.hmail.a12.d{DUE}.k{ID}.c{CLAIM}.vexit3.r456.z{TWIN}.s,"
        "a,b.job"
    )
    assert name is not None
    assert fields(name) == {
        "priority": 9, "id": ID, "tail": "a,b.job", "handler": "mail",
        "runs": 12, "due_ns": NOW_NS, "key": ID, "claim": CLAIM,
        "verdict": "exit3",
        "micros": 456, "twin": TWIN,
        "resubmitted": True, "requeued": False,
    }
    assert name.owner == OWNER
    assert name.stem == f"0.{ID}.z{TWIN}"


def test_a_job_sent_back_counts_anew_and_says_so() -> None:
    """Its runs are those since; the letter tells it from a new job."""
    name = names.parse(f"4.{ID}.a3.vexit1.r12,mail.job")
    assert name is not None and not name.requeued
    back = name.sent_back()
    assert str(back) == f"4.{ID}.b0,mail.job"
    again = names.parse(f"4.{ID}.b2.c{CLAIM},mail.job")
    assert again is not None and again.requeued and again.runs == 2
    assert str(again.waiting(2)) == f"4.{ID}.b2,mail.job"
    assert names.parse(f"4.{ID}.a1.b1,mail.job") is None


def test_running_order_is_name_order() -> None:
    """Names sort by priority, then by submission."""
    jobs = [
        Name(priority, names.mint_id(NOW_NS + second, 7), "x.job")
        for priority in (9, 5, 0) for second in (0, 1, 2)
    ]
    assert sorted(map(str, jobs)) == list(map(str, jobs))


@given(st.integers(0, LATEST_NS))
def test_a_due_time_is_kept_to_the_microsecond(due_ns: int) -> None:
    """No job becomes due too early, nor more than a microsecond late."""
    read = names.parse(str(Name(5, ID, "x", due_ns=due_ns)))
    assert read is not None and read.due_ns is not None
    assert 0 <= read.due_ns - due_ns < 1000


@given(st.integers(0, LATEST_NS), st.integers(0, LATEST_NS))
def test_due_times_sort_as_text(one: int, other: int) -> None:
    """Deferred names of one job sort by their due time."""
    early, late = sorted((one, other))
    assert str(Name(5, ID, "x", due_ns=early)) <= str(
        Name(5, ID, "x", due_ns=late)
    )


@pytest.mark.parametrize(
    "text, document, dropped, told",
    [
        (f"4.{ID},mail.job", True, None, "mail"),
        (f"4.{ID}.hmail,night.job", True, "night.job", "mail"),
        (f"4.{ID}.h,night.job", True, "night.job", ""),
        (f"4.{ID},photo.jpg", False, "photo.jpg", None),
        (f"4.{ID},a,b", False, "a,b", None),
        (f"4.{ID},.job", True, None, ""),
    ],
)
def test_kinds_of_job(
    text: str, document: bool, dropped: str | None, told: str | None
) -> None:
    """A name tells its kind, its producer's name for it and its handler."""
    name = names.parse(text)
    assert name is not None
    assert name.is_document is document
    assert name.dropped_name == dropped
    assert name.told_handler == told


@given(every_name, st.integers(0, names.MAX_RUNS))
def test_waiting_drops_the_marks_of_a_run(name: Name, runs: int) -> None:
    """A waiting name keeps who the job is and forgets how its run went."""
    back = name.waiting(runs)
    assert back.is_waiting_form() and back.runs == runs
    assert back.due_ns is None and back.owner == ""
    for slot in ("priority", "id", "tail", "handler", "twin"):
        assert getattr(back, slot) == getattr(name, slot)
    assert back.stem == name.stem


@pytest.mark.parametrize(
    "marks, waits",
    [("", True), (".a3", True), (f".d{DUE}", True), (".hx", True),
     (f".a1.c{CLAIM}", False), (".a1.vok", False), (".a1.r5", False),
     (".a1.r0", False), (f".z{TWIN}", True)],
)
def test_is_waiting_form(marks: str, waits: bool) -> None:
    """A claim, a verdict or a duration tells that the job has run."""
    name = names.parse(f"4.{ID}{marks},x")
    assert name is not None and name.is_waiting_form() is waits


@pytest.mark.parametrize(
    "name",
    ["a", "photo.jpg", "night.job", " ", "a b", "a\nb", "x.tmpx", "-rf",
     "\udcff\udcfe", "é" * (DROP // 2), PAYLOAD, DOCUMENT, ",", "tmp", "~a",
     f"4.{ID},photo.jpg"],
)
def test_legal_names(name: str) -> None:
    """A person may choose any short name that hides nothing."""
    assert names.why_illegal(name) is None


@pytest.mark.parametrize(
    "name, words",
    [
        (".hidden", "starts with a dot"),
        (".", "starts with a dot"),
        ("a~", "still being written"),
        ("a.tmp", "still being written"),
        ("a.part", "still being written"),
        (".a.swp", "starts with a dot"),
        ("a.swp", "still being written"),
        (f"4.{ID}.result", "record or output of a job"),
        ("p" * (DROP + 1), f"{DROP + 1} bytes, {DROP} is the limit"),
        ("\u00e9" * DROP, f"{2 * DROP} bytes, {DROP} is the limit"),
        ("\udcff" * (DROP + 1), f"{DROP + 1} bytes, {DROP} is the limit"),
        (f"d{DOCUMENT}", f"{DROP_JOB + 1} bytes, {DROP_JOB} is the limit"),
    ],
)
def test_illegal_names_say_why(name: str, words: str) -> None:
    """A name that is left alone is left alone for a reason one can read."""
    why = names.why_illegal(name)
    assert why is not None and words in why


@pytest.mark.parametrize("twin", ["", TWIN], ids=["alone", "twin"])
@pytest.mark.parametrize(
    "state, marks",
    [
        ("waiting", {"runs": names.MAX_RUNS}),
        ("active", {"runs": names.MAX_RUNS, "claim": CLAIM}),
        ("delayed", {"runs": names.MAX_RUNS, "due_ns": LATEST_NS}),
        ("deferred", {"runs": names.MAX_RUNS, "due_ns": LATEST_NS,
                      "verdict": "timeout"}),
        ("final", {"runs": names.MAX_RUNS, "verdict": "timeout",
                   "micros": names.MAX_MICROSECONDS}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize(
    "tail, handler", [(PAYLOAD, None), (DOCUMENT, HANDLER)],
    ids=["payload", "document"],
)
def test_longest_names_fit(
    tail: str, handler: str | None, state: str, marks: dict[str, int],
    twin: str,
) -> None:
    """The longest legal dropped name fits a directory in every state."""
    assert names.why_illegal(tail) is None
    name = Name(
        5, ID, tail, handler, twin=twin,
        **marks,  # type: ignore[arg-type]
    )
    assert names.parse(str(name)) is not None
    assert bytes_of(name) <= names.NAME_MAX_BYTES


@pytest.mark.parametrize(
    "entry",
    [
        f"4.{ID}," + "x" * 230,
        f"4.{ID}.hmail," + "x" * 220 + ".job",
        f"4.{ID}.h{HANDLER}.a998.z{TWIN}," + "d" * 180 + ".job",
    ],
    ids=["payload", "document", "every field"],
)
def test_a_name_too_long_to_be_claimed_is_illegal(entry: str) -> None:
    """A name of the grammar without room for a claim is left alone."""
    assert len(entry) <= names.NAME_MAX_BYTES  # it can be dropped
    assert names.why_illegal(entry) is not None


def test_sidecars_fit() -> None:
    """The longest sidecar's name, and its unfinished form, fit easily."""
    stem = Name(0, ID, "x", twin=TWIN).stem
    assert len(f"{stem}.result.new") < names.NAME_MAX_BYTES


@pytest.mark.parametrize("kind", names.SIDECARS)
@pytest.mark.parametrize("stem", [f"4.{ID}", f"0.{ID}.z{TWIN}"])
def test_stem_of_sidecar(stem: str, kind: str) -> None:
    """A sidecar's name tells whose it is and what it holds."""
    assert names.stem_of(f"{stem}.{kind}") == (stem, kind)


@pytest.mark.parametrize(
    "entry",
    ["", ".out", "x.out", f"4.{ID}", f"4.{ID}.log", f"4.{ID},x.out",
     f"4.{ID}.out.new", f"{OWNER}.out"],
)
def test_stem_of_others(entry: str) -> None:
    """A job, a capture file or anything else is no sidecar."""
    assert names.stem_of(entry) is None


def test_tied_constants() -> None:
    """Constants that follow from each other agree."""
    assert names.ID_CHARS == names.TIME_CHARS + names.DICE_CHARS
    assert len(names.DIGITS) == 32 and list(names.DIGITS) == sorted(
        names.DIGITS
    )
    assert names.STEM_CHARS == len(Name(5, ID, "x").stem)
    assert len(str(names.MAX_RUNS)) == 3
    assert len(str(names.MAX_MICROSECONDS)) == 10
    assert len(CLAIM) == names.OWNER_CHARS + names.TOKEN_CHARS
    assert names.TOKEN_CHARS * 5 >= 64  # bits of proof
    assert 0 <= names.DEFAULT_PRIORITY <= 9
    assert re.fullmatch(r"[0-9a-v]{20}", ID)


_PLAIN_OR_NOT = [
    "4.1hqhuo3smto000000c1p,mail.job",
    "0.00000000000000000000,a.job",
    "4.1hqhuo3smto000000c1p.a1,mail.job",
    "4.1hqhuo3smto000000c1p,mail.pdf",
    "x.1hqhuo3smto000000c1p,mail.job",
    "4-1hqhuo3smto000000c1p,mail.job",
    "4.1hqhuo3smto00000wc1p,mail.job",
    "4.1hqhuo3smto000000c1,mail.job",
    "4.1hqhuo3smto000000c1p,.job",
    "mail.job", "", ",", "4", "4.",
]


@pytest.mark.parametrize("text", _PLAIN_OR_NOT)
def test_a_plain_name_is_told_as_parse_tells_it(text: str) -> None:
    """The short cut finds the handler parse finds, or leaves it to parse."""
    name = names.parse(text)
    told = names.plain_handler(text)
    if told is not None:
        assert name is not None and name.told_handler == told
        assert str(name) == text and name.is_waiting_form()
    else:
        assert name is None or name.runs or not name.is_document


@given(st.lists(st.sampled_from(_PLAIN_OR_NOT) | st.builds(
    lambda at, char: _PLAIN_OR_NOT[0][:at] + char + _PLAIN_OR_NOT[0][at + 1:],
    st.integers(0, 30), st.sampled_from(".,0vwé\udcff/2x-"),
)))
def test_many_names_are_told_apart_as_each_is(listed: list[str]) -> None:
    """What is told of many names at once is what is told of each."""
    plain, others = names.plain_groups(listed)
    want: dict[str, list[str]] = {}
    for name in listed:
        handler = names.plain_handler(name)
        if handler is not None:
            want.setdefault(handler, []).append(name)
    assert {key: sorted(group) for key, group in plain.items()} == {
        key: sorted(group) for key, group in want.items()
    }
    rest = [name for name in listed if names.plain_handler(name) is None]
    assert sorted(others) == sorted(rest)
