# SPDX-License-Identifier: MIT
"""Which spool is meant where none is named."""

import os

SYSTEM_SPOOL = "/var/spool/spooler/default"


def spool_path(chosen: str | None) -> str:
    """The spool meant: as chosen, $SPOOL_DIR, the system's, or one's own."""
    path = chosen or os.environ.get("SPOOL_DIR")
    if path:
        return path
    if os.path.isdir(SYSTEM_SPOOL):
        return SYSTEM_SPOOL
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser(
        "~/.local/state"
    )
    return os.path.join(state, "spooler", "default")
