# SPDX-License-Identifier: MIT
"""
Handlers that a person has told to pause: marks in the spool.

``run/paused/`` holds an empty file for each, named like the handler; EVERY
stands for all of them.  A mark outlives spoold, and can be made and removed
while none runs.
"""

import os

from spooler import fsops, names
from spooler.spool import PAUSED, PRIVATE, Spool

EVERY = "+all"  #: no handler's name begins so


def marks(spool: Spool) -> frozenset[str]:
    """
    The handlers that pause, and EVERY if all do.

    Raises:
        OSError: it cannot be told.
    """
    try:
        fd = fsops.open_dir(PAUSED, spool.private_fd)
    except FileNotFoundError:
        return frozenset()
    try:
        found = fsops.listed(fd)
    finally:
        os.close(fd)
    return frozenset(
        name for name in found if name == EVERY or names.is_handler(name)
    )


def set_mark(spool: Spool, handler: str) -> bool:
    """Let *handler* pause; False if it does already."""
    try:
        os.mkdir(PAUSED, 0o700, dir_fd=spool.private_fd)
    except FileExistsError:
        pass
    fd = fsops.open_dir(PAUSED, spool.private_fd)
    try:
        os.close(fsops.create(fd, handler, 0o600))
        fsops.sync(fd)  # a power cut must not set it going again
    except FileExistsError:
        return False
    finally:
        os.close(fd)
    return True


def lift_mark(spool: Spool, handler: str) -> bool:
    """Let *handler* go on; False if it did not pause."""
    try:
        fd = fsops.open_dir(PAUSED, spool.private_fd)
    except FileNotFoundError:
        return False
    try:
        lifted = fsops.unlink(fd, handler)
        if lifted:
            fsops.sync(fd)
        return lifted
    finally:
        os.close(fd)


def where(spool: Spool, handler: str) -> str:
    """The path of a mark, for a person."""
    return os.path.join(spool.path, PRIVATE, PAUSED, handler)
