# SPDX-License-Identifier: MIT
"""Every call that touches the spool fails, once or for a while."""

import errno

import pytest
from fault import control, sweeps
from fault.killpoints import Stage

NUMBERS = [
    errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES,
    errno.EDQUOT, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.EINTR,
    errno.ENOLCK, errno.EPERM,
]
#: A call that was interrupted is made again, for ever if need be.
LASTING = [number for number in NUMBERS if number != errno.EINTR]


def _name(number: int) -> str:
    return errno.errorcode[number]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", NUMBERS, ids=_name)
def test_one_error_costs_no_job(stage: Stage, number: int) -> None:
    """A call that fails once, whichever, costs no job its right verdict."""
    phase = NUMBERS.index(number) * 7
    sweeps.errors(stage, number, False, 3, phase).report()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", NUMBERS, ids=_name)
def test_trouble_for_a_while_costs_no_job(
    stage: Stage, number: int
) -> None:
    """All calls fail from one on until it is mended: all jobs still end."""
    phase = NUMBERS.index(number) * 7
    sweeps.errors(stage, number, True, 2, phase).report()


@pytest.mark.timeout(600)
def test_half_of_every_write_is_no_torn_file(stage: Stage) -> None:
    """Writes and reads that take less than they were given are gone on."""
    sweeps.shorts(stage, 4, 0).report()


@pytest.mark.parametrize("number, sticky", [
    *((number, 0) for number in NUMBERS),
    *((number, 1) for number in LASTING),
])
def test_a_submit_that_failed_is_not_confirmed(
    stage: Stage, number: int, sticky: int
) -> None:
    """Confirmed means it runs, refused means it was never there."""
    sweeps.producers(
        stage, 60, 0, action=control.ERROR, number=number, sticky=sticky,
    ).report()


@pytest.mark.parametrize("number", LASTING, ids=_name)
def test_spoolctl_submit_tells_the_truth(stage: Stage, number: int) -> None:
    """Exit 0 means that the job runs, whatever call failed before."""
    sweeps.submitting(
        stage, action=control.ERROR, number=number, sticky=1,
        mask=control.CHANGE | control.OPEN,
    ).report()
