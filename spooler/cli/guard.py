# SPDX-License-Identifier: MIT
"""What becomes of an error that a verb does not handle: one line, a status."""

from __future__ import annotations

import sys

from spooler import fsops
from spooler.cli import stdio
from spooler.cli.out import say
from spooler.errors import (
    EX_FAILED,
    EX_INTERRUPTED,
    EX_NOPERM,
    EX_NOSUCH,
    NotFound,
    SpoolError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:  # what starts fast imports nothing in vain
    from collections.abc import Callable


def guarded(work: Callable[[], object]) -> int:
    """Do *work*; returns the exit status, which is its result if a number."""
    try:
        status = work()
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except NotFound as error:
        say(str(error))
        return EX_NOSUCH
    except SpoolError as error:
        say(str(error))
        return error.status
    except BrokenPipeError:
        stdio.give_up()  # whoever read us has seen enough
        return 0
    except PermissionError as error:
        say(f"{fsops.why(error)}; only the spool's owner may do this")
        return EX_NOPERM
    except OSError as error:
        stdio.give_up()
        say(fsops.why(error))
        return EX_FAILED
