# SPDX-License-Identifier: MIT
"""
Generic classes for type checkers alone.

A producer imports this package for a submit, and ``typing`` would cost it
more than the submit.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic as Generic
else:
    class Generic:
        """At run time a class takes parameters and forgets them."""

        def __class_getitem__(cls, _parameters):
            return cls
