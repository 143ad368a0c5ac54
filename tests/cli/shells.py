# SPDX-License-Identifier: MIT
"""Interactive shells on a terminal, where a test types and presses Tab."""

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import time

from .harness import TIMEOUT_S

TAB = "\t"
_MARK = "READY"

#: What starts a shell without anybody's settings, and makes it ready.
STARTS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], [
        "bind 'set enable-bracketed-paste off'",
        "bind 'set bell-style none'",
        'eval "$(spoolctl completion bash)"',
        "say() { printf '<%s>' \"$@\"; echo +++; }; PS1=; PS2=",
    ]),
    "zsh": (["zsh", "-f", "-i"], [
        "unsetopt zle_bracketed_paste prompt_sp prompt_cr 2>/dev/null",
        "unset zle_bracketed_paste; PS1=; PS2=; unsetopt beep",
        "autoload -U compinit; compinit -u -D",
        'eval "$(spoolctl completion zsh)"',
        "say() { printf '<%s>' \"$@\"; echo +++; }",
    ]),
    "fish": (["fish", "--no-config", "--private", "-i"], [
        "set -g fish_greeting; set -g fish_autosuggestion_enabled 0",
        "function fish_prompt; end; function fish_title; end",
        "spoolctl completion fish | source",
        "function say; printf '<%s>' $argv; echo +++; end",
    ]),
}


class Shell:
    """One interactive shell."""

    def __init__(
        self, name: str, where: pathlib.Path, environ: dict[str, str]
    ) -> None:
        """Start it in *where*, and load what completes spoolctl."""
        argv, ready = STARTS[name]
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            # fish wants the terminal to be its own.
            ["setsid", "--ctty", *argv], cwd=where,
            stdin=slave, stdout=slave, stderr=slave,
            env={**environ, "TERM": "dumb" if name == "bash" else "xterm"},
        )
        os.close(slave)
        self.seen = ""
        for line in ready:
            self.type(f"{line}\n")
        self.type(f"printf '%s%s\\n' {_MARK[:3]} {_MARK[3:]}\n")
        self.await_text(_MARK)

    def type(self, text: str) -> None:
        """Type what a person would."""
        os.write(self._master, text.encode())

    def await_text(self, pattern: str) -> str:
        """Read on until *pattern* is on the screen; returns what it caught."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (found := re.search(pattern, self.seen)):
            left = max(0.0, deadline - time.monotonic())
            readable, _, _ = select.select([self._master], [], [], left)
            assert readable, f"no {pattern!r} on {self.seen!r}"
            try:
                chunk = os.read(self._master, 1 << 16)
            except OSError:
                raise AssertionError(f"it ended: {self.seen!r}") from None
            self.seen += chunk.decode("utf-8", "replace")
        self.seen = self.seen[found.end():]
        return found[found.lastindex or 0]

    def words_of(self, line: str) -> list[str]:
        """
        Type a *line* with Tab in it, and have the shell take it apart.

        Returns:
            Its words, as the program would get them.
        """
        self.type(line)
        # Not looked at before the shell has completed.  Control-A goes to
        # the beginning of the line.
        self.type("\x01say \n")
        return self.await_text(r"<([^\r\n]*)>\+\+\+").split("><")

    def close(self) -> None:
        """End it."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        os.close(self._master)
