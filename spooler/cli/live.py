# SPDX-License-Identifier: MIT
"""A screen that shows itself again as things change."""

import time
from collections.abc import Callable

import click

_SOON_S = 0.25  #: between two screens at least
_LATE_S = 1.0  #: ages and progress move without an event


def show(
    draw: Callable[[], str], changed: Callable[[float], bool],
    every_s: float = _LATE_S,
) -> None:
    """
    Draw until a person has seen enough.

    Args:
        draw: the text of the whole screen, with colours.
        changed: wait for up to so many seconds; whether something moved.
    """
    from rich.live import Live  # 40 ms that other verbs are spared
    from rich.text import Text

    coloured = click.get_current_context().color

    def screen() -> Text:
        text = draw()
        return Text.from_ansi(text if coloured else click.unstyle(text))

    try:
        with Live(screen(), screen=True, auto_refresh=False) as display:
            while True:
                drawn_at = time.monotonic()
                changed(every_s)
                rest = drawn_at + _SOON_S - time.monotonic()
                if rest > 0:
                    time.sleep(rest)
                display.update(screen(), refresh=True)
    except KeyboardInterrupt:
        pass  # that is how one leaves
