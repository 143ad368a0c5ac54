# SPDX-License-Identifier: MIT
"""Short commands that follow each other in a slot."""

import pathlib
from collections.abc import Callable

from support import Spoold, SpoolDir, document, toml_list, wait_until

Start = Callable[..., Spoold]
MANY = 60


def handler(name: str, script: str, **keys: object) -> str:
    """The table of a handler that is a shell script."""
    lines = [f"[handler.{name}]",
             f"command = {toml_list('sh', '-c', script, 'sh')}"]
    lines += [f"{key} = {value!r}" for key, value in keys.items()]
    return "\n".join([*lines, ""])


def submit(spool: SpoolDir, name: str, *args: object) -> None:
    """Many jobs that arrive together."""
    for number in range(MANY):
        spool.write(
            f"{name}{number:02}.job", document(name, *map(str, args))
        )
    for number in range(MANY):
        spool.publish(f"{name}{number:02}.job")


def test_a_chain_takes_one_slot(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """However many jobs a runner was given, no more of a handler run at
    once than its limit says, and each runs once."""
    order = tmp_path / "order"
    spool.configure(handler(
        "alone", 'mkdir "$1/lock" && echo "$SPOOL_JOB_NAME" >>"$1/order"'
        ' && rmdir "$1/lock"', concurrency=1, attempts=1,
    ))
    spoold()
    submit(spool, "alone", tmp_path)
    wait_until(lambda: spool.count("done") == MANY, what=spool.tree)
    assert len(order.read_text().split()) == MANY
    assert {job.name.runs for job in spool.jobs("done")} == {1}


def test_jobs_behind_a_slow_command_go_elsewhere(
    spool: SpoolDir, spoold: Start, tmp_path: pathlib.Path
) -> None:
    """One long command among short ones keeps nobody waiting who has
    another slot."""
    gate = tmp_path / "gate"
    spool.configure(handler(
        "mixed", 'if [ "$SPOOL_JOB_NAME" = mixed20.job ]; then'
        ' while [ ! -e "$1" ]; do sleep 0.02; done; fi', concurrency=2,
    ))
    spoold()
    submit(spool, "mixed", gate)
    wait_until(lambda: spool.count("done") == MANY - 1, what=spool.tree)
    assert spool.wait("mixed20.job", "active").name.runs == 1
    gate.touch()
    assert spool.wait("mixed20.job").name.runs == 1


def test_a_failure_ends_a_chain_and_loses_nothing(
    spool: SpoolDir, spoold: Start
) -> None:
    """Of short commands every third fails: each job has its own verdict,
    after as many runs as it may have."""
    spool.configure(handler(
        "third", 'n=${SPOOL_JOB_NAME#third}; n=${n%.job}; n=${n#0};'
        ' exit $((n % 3 ? 0 : 65))', concurrency=2,
    ))
    spoold()
    submit(spool, "third")
    wait_until(
        lambda: spool.count("done") + spool.count("failed") == MANY,
        what=spool.tree,
    )
    assert spool.count("failed") == MANY // 3
    assert {job.name.runs for job in spool.jobs("done", "failed")} == {1}


def test_a_stop_ends_chains(spool: SpoolDir, spoold: Start) -> None:
    """A stop waits for what runs, not for what waits behind it: that stays
    in incoming/, its runs not counted."""
    spool.configure(handler("nap", "sleep 0.01", concurrency=2))
    daemon = spoold()
    submit(spool, "nap")
    wait_until(lambda: spool.count("done") > 10)
    assert daemon.stop() == 0
    assert spool.count("done") + spool.count("incoming") == MANY
    assert {job.name.runs for job in spool.jobs("incoming")} <= {0}
