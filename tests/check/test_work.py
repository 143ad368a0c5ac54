# SPDX-License-Identifier: MIT
"""Check beside a spoold that works."""

from collections import Counter
from collections.abc import Callable

from check.healthy import findings, opened
from support import Spoold, SpoolDir, sized, wait_until

from spooler import check
from spooler.client import Client

Start = Callable[..., Spoold]
LOOKS = sized(200, 2000)
CONFIG = """
rescan = "200ms"
[handler.square]
python = "spooler.tour:square"
[handler.shout]
python = "sample_handlers:shout"
[handler.flaky]
command = ["sh", "-c", '''
head -c $(($$ % 40)) /dev/zero; head -c $(($$ % 7)) /dev/zero >&2
exit $(($$ % 3))''']
attempts = 5
backoff = "2ms"
max_backoff = "20ms"
[handler.later]
command = ["sh", "-c", '''
head -c $((SPOOL_ATTEMPT * 7 % 5)) /dev/zero
[ $SPOOL_ATTEMPT -ge 5 ] || exit 75''']
backoff = "1ms"
max_backoff = "5ms"
[handler.words]
python = "spooler.tour:words"
match = ["*.txt"]
"""


def feed(spool: SpoolDir, client: Client, number: int) -> None:
    """Submit some of everything."""
    client.submit("square", str(number))
    if number % 3 == 0:
        client.submit("flaky")
    if number % 5 == 0:
        client.submit("later", priority=7)
        client.submit("shout", str(number))
    if number % 10 == 0:
        spool.drop(f"{number}.txt", b"some words")
        spool.drop(f"{number}.odd", b"of no handler")
        spool.drop_job(f"{number}", "square", "7", Tag="kept")


def test_no_false_alarm_beside_a_spoold_at_work(
    spool: SpoolDir, spoold: Start
) -> None:
    """Whatever runs, fails, waits or is dropped, nothing is called wrong."""
    spool.configure(CONFIG)
    daemon = spoold()
    alarms: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    with opened(spool) as (whole, is_dead), Client(
        str(spool.path), durable=False
    ) as client:
        for number in range(LOOKS):
            feed(spool, client, number)
            alarms.update(
                f"I{found.number} {found.path}: {found.what}"
                for found in check.check(whole, is_dead) if found.number < 8
            )
        wait_until(lambda: spool.count("done") > LOOKS / 2)
        wait_until(lambda: spool.count("failed") > 0)
        for job in spool.jobs():
            moved[job.state] += 1
            moved["again"] += job.name.runs > 1
    print(
        f"check: {LOOKS} looks beside a spoold with {moved['done']} done,"
        f" {moved['failed']} failed, {moved['again']} run again:"
        f" {sum(alarms.values())} false alarms"
    )
    assert not alarms
    assert moved["again"] > 0
    daemon.stop()
    assert findings(spool) == []
