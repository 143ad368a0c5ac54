# SPDX-License-Identifier: MIT
"""The living daemon's side of recovery: who died, and what they left."""

import time
from collections.abc import Iterator

from spooler import leftover, names, recover
from spooler.config import Config
from spooler.lock import Instances
from spooler.spool import Spool
from spooler.states import State

_EVERY_S = 5.0
_SOON_S = 0.2
#: That the workers of a dead spoold may take to end by themselves.
_GRACE_S = 5.0


class Rescue:
    """Takes back what dead instances left; live ones are left alone."""

    def __init__(
        self, spool: Spool, instances: Instances, instance: str
    ) -> None:
        """*instance* is our own."""
        self._spool = spool
        self._instances = instances
        self._instance = instance
        self._next_at = 0.0
        self._lingering: dict[str, float] = {}

    def wait_s(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next_at - time.monotonic())

    def look(
        self, config: Config, insist: bool
    ) -> Iterator[tuple[State, str]]:
        """
        Look for the dead if that is due.

        Args:
            insist: look through ``active/`` even if nobody is seen to have
                died, as at a start.

        Yields:
            Where each job went and its name there.

        Raises:
            OSError: the spool is in trouble; the next call goes on.
        """
        if self.wait_s():
            return
        others = [
            name for name in self._instances.listed()
            if name != self._instance
        ]
        dead = [name for name in others if self._instances.is_dead(name)]
        # One that is about to end is looked at again soon.
        every = _EVERY_S if dead == others else _SOON_S
        self._next_at = time.monotonic() + every
        self._end_lingering(set(others) - set(dead))
        if not dead and not insist:
            return
        # An instance without a lock file is dead as well.
        live = set(self._instances.listed()) - set(dead)
        if dead:
            leftover.kill(leftover.INSTANCE_VARIABLE, dead)
        yield from recover.recover_all(
            self._spool, config,
            lambda owner: owner[:names.INSTANCE_CHARS] not in live,
        )
        for instance in dead:
            self._instances.forget(instance)

    def _end_lingering(self, alive: set[str]) -> None:
        """
        End what keeps another instance alive for too long.

        We hold the lock of the spool, so no other spoold lives.  A process
        that a Python handler forked has its worker's lock, and may have it
        for ever.
        """
        now = time.monotonic()
        self._lingering = {
            name: self._lingering.get(name, now) for name in alive
        }
        late = [
            name for name, since in self._lingering.items()
            if now > since + _GRACE_S
        ]
        if late:
            leftover.kill(leftover.INSTANCE_VARIABLE, late)
