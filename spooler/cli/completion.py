# SPDX-License-Identifier: MIT
"""Print a script that completes command lines, and answer its questions."""

import os
import pathlib
import sys

import click
from click import shell_completion

from spooler.cli import stdio

#: What a shell's script is called where packages put it.
SCRIPTS = {
    "bash": "spoolctl.bash", "zsh": "_spoolctl", "fish": "spoolctl.fish",
}
VARIABLE = "_SPOOLCTL_COMPLETE"  #: what a script sets to ask us
_DATA = pathlib.Path(__file__).parent.parent / "data"


def script(shell: str) -> str:
    """The script for *shell*, a key of SCRIPTS."""
    return (_DATA / SCRIPTS[shell]).read_text(encoding="utf-8")


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
def command(shell: str) -> int:
    """
    Print a script that completes spoolctl's words in SHELL.

    \b
    eval "$(spoolctl completion bash)"     # in ~/.bashrc
    eval "$(spoolctl completion zsh)"      # in ~/.zshrc, after compinit
    spoolctl completion fish | source      # in ~/.config/fish/config.fish
    """
    click.echo(script(shell), nl=False)
    return 0


def answer(program: click.Command, instruction: str) -> int:
    """
    Tell a script what may come next; nothing if that cannot be told.

    A traceback would land in the line that is being typed.

    Args:
        instruction: as the script gave it, like ``bash_complete``.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        shell_completion.shell_complete(
            program, {}, "spoolctl", VARIABLE, instruction
        )
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt):
        stdio.give_up()
    return 0
