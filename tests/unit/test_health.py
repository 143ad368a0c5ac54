# SPDX-License-Identifier: MIT
"""What the daemon says of trouble, its own and what workers told of."""

import errno
import time

from spooler.health import TROUBLE_WAIT_S, Health


def test_trouble_that_nobody_repeats_is_over() -> None:
    """A healed disk is not called ill until the next job comes along."""
    health = Health()
    assert health.trouble is None and health.may_claim()
    health.told("disk full", errno.ENOSPC)
    assert health.trouble == "disk full"
    assert not health.may_claim() and health.may_work()
    health._told_until -= 3 * TROUBLE_WAIT_S
    assert health.trouble is None and health.may_claim()


def test_a_verdict_that_was_filed_ends_what_workers_told() -> None:
    """The disk took a verdict, so it takes verdicts."""
    health = Health()
    health.told("I/O error", errno.EIO)
    health.took()
    assert health.trouble is None


def test_trouble_of_our_own_holds_until_our_work_goes_through() -> None:
    """Time alone does not make the daemon's own work go through."""
    health = Health()
    health.fails(OSError(errno.EROFS, "Read-only file system"))
    assert health.hurt and not health.may_work()
    wait_s = health.wait_s()
    assert wait_s is not None and 0 < wait_s <= TROUBLE_WAIT_S
    health._own_until = time.monotonic()
    assert health.may_work() and health.trouble == "Read-only file system"
    health.works()
    assert health.trouble is None and not health.hurt


def test_only_a_lack_of_room_asks_for_the_reserve() -> None:
    """Giving up the reserve mends a full disk and nothing else."""
    health = Health()
    health.told("I/O error", errno.EIO)
    assert not health.full
    health.told("Disk quota exceeded", errno.EDQUOT)
    assert health.full
    health.full = False
    health.fails(OSError(errno.ENOSPC, "No space left on device"))
    assert health.full
