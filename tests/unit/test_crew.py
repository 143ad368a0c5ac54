# SPDX-License-Identifier: MIT
"""What the daemon says of trouble that its workers told of."""

import time
import types
from typing import Any, cast

from spooler.crew import TROUBLE_WAIT_S, Crew


def test_trouble_that_nobody_repeats_is_over() -> None:
    """A healed disk is not called ill until the next job comes along."""
    dispatcher = types.SimpleNamespace()
    nothing = cast(Any, None)
    crew = Crew(
        nothing, nothing, cast(Any, dispatcher), nothing, nothing, nothing
    )
    assert crew.trouble is None
    crew._in_trouble("disk full")
    assert crew.trouble == "disk full"
    assert crew.trouble_until > time.monotonic()
    crew.trouble_until -= 3 * TROUBLE_WAIT_S
    assert crew.trouble is None
