# SPDX-License-Identifier: MIT
"""Start programs as leaders of process groups, and end such groups."""

import os
import shutil
import signal
from collections.abc import Callable, Sequence

#: A command starts with default actions, whatever we or our parent ignore.
_RESET_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class Programs:
    """Starts programs; where each lies is looked for once."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def start(
        self, argv: list[str], environ: dict[str, str], fds: Sequence[int]
    ) -> int:
        """
        Start a program in a session of its own, in our directory.

        Args:
            fds: what become its standard input, output and error.

        Returns:
            Its pid, the number of its process group too.

        Raises:
            OSError: it cannot be started, or not found.
            ValueError: no program can be given this.
        """
        found = self._found.get(argv[0])
        if found is not None:
            try:
                return _spawn(os.posix_spawn, found, argv, environ, fds)
            except (FileNotFoundError, PermissionError):
                del self._found[argv[0]]  # it may lie elsewhere by now
        found = shutil.which(argv[0])
        if found is None:
            # It knows why not.
            return _spawn(os.posix_spawnp, argv[0], argv, environ, fds)
        pid = _spawn(os.posix_spawn, found, argv, environ, fds)
        self._found[argv[0]] = found
        return pid


def _spawn(
    spawn: Callable[..., int], program: str, argv: list[str],
    environ: dict[str, str], fds: Sequence[int],
) -> int:
    # vfork(2) in the C library: nothing of this process is copied.
    return spawn(
        program, argv, environ, setsid=True, setsigdef=_RESET_SIGNALS,
        setsigmask=(), file_actions=[
            (os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds)
        ],
    )


def kill_group(pid: int, number: int) -> None:
    """Send a signal to a process group, which may be gone."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass
