# SPDX-License-Identifier: MIT
"""
Count the e-mail addresses in texts, exactly, though workers are killed.

A worked example.  ``crunch`` counts in one text, many at once; ``tally``
adds up, one at a time.  A run of either may be cut short anywhere and made
again, so nothing is added twice: each count is known by the id of the job
that made it, which stays the same however often that job runs.
"""

import json
import os
import pathlib
import re

from spooler import JobContext, task

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)
_WORD = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)
_LOCAL = _WORD | {".", "+"}


def count_fast(text: str) -> int:
    """Count by a regular expression."""
    return len(ADDRESS.findall(text))


def count_slow(text: str) -> int:
    """Count character by character; agrees with the fast way."""
    count, free = 0, 0  # what lies before *free* belongs to an address
    for at, char in enumerate(text):
        if char != "@" or at == free or text[at - 1] not in _LOCAL:
            continue
        end, labels = at + 1, 0
        while True:
            start = end
            while end < len(text) and text[end] in _WORD:
                end += 1
            if end == start:
                end = start - 1  # a dot without a label behind it
                break
            labels += 1
            if end == len(text) or text[end] != ".":
                break
            end += 1
        if labels >= 2:
            count, free = count + 1, end
    return count


# A death is nobody's fault here: tried again at once, and often.
@task(attempts=99, backoff=0, breaker=0)
def crunch(job: JobContext, text: str, way: str, book: str) -> int:
    """Count the addresses in *text*, and have them added to *book*."""
    count = {"fast": count_fast, "slow": count_slow}[way](text)
    # RACE: killed behind this line it is submitted again; tally knows it.
    tally.submit(job.id, count, book)
    return count


@task(attempts=99, backoff=0, breaker=0, concurrency=1)
def tally(source: str, count: int, book: str) -> int:
    """Add the count that the job *source* made, once; returns the total."""
    path = pathlib.Path(book)
    try:
        counts = json.loads(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        counts = {}
    if source not in counts:
        counts[source] = count
        part = path.with_suffix(".part")
        part.write_text(json.dumps(counts), encoding="ascii")
        os.replace(part, path)  # all of it or nothing, wherever it is cut
    return sum(counts.values())
