# SPDX-License-Identifier: MIT
"""When a worker process has done, or grown, enough to be replaced."""

import resource

from spooler import units
from spooler.config import Config

_PAGE_BYTES = resource.getpagesize()


class Wear:
    """
    Of one worker process.

    Attributes:
        jobs: that it ran.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._told = False
        self.jobs = 0

    def why(self) -> str:
        """Why it should be replaced, said once; empty: it should not."""
        config, why = self._config, ""
        if self._told:
            return why
        if 0 < config.recycle_jobs <= self.jobs:
            why = f"{self.jobs} jobs"
        elif config.recycle_memory:
            size = _resident_bytes()
            if size >= config.recycle_memory:
                why = f"{units.format_size(size)} of memory"
        self._told = bool(why)
        return why


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES
