# SPDX-License-Identifier: MIT
"""Print what makes spoold a service of systemd."""

import importlib.resources
import os
import re
import subprocess
import sys

import click

from spooler.errors import EX_FAILED, SpoolError

_HIDDEN = ("/home", "/root", "/run/user")  #: by ProtectHome
_PRIVATE = ("/tmp", "/var/tmp")  #: by PrivateTmp
_PLAIN = re.compile(r"[A-Za-z0-9/%._+-]+")
_SUBGROUP_SINCE = 254
_FILES = {
    "user": "spoold-user@.service", "sysusers": "spooler.sysusers",
    "tmpfiles": "spooler.tmpfiles", "no-network": "no-network.conf",
}


@click.command("unit")
@click.option("--user", "what", flag_value="user",
              help="A unit for a user's own service manager.")
@click.option("--sysusers", "what", flag_value="sysusers",
              help="The user and the group, for sysusers.d(5).")
@click.option("--tmpfiles", "what", flag_value="tmpfiles",
              help="The directory of the spools, for tmpfiles.d(5).")
@click.option("--no-network", "what", flag_value="no-network",
              help="A drop-in that takes the network from the jobs.")
def command(what: str | None) -> int:
    """Print the unit spoold@.service, or what goes with it."""
    name = _FILES.get(what or "", "spoold@.service")
    data = importlib.resources.files("spooler") / "data" / name
    text = data.read_text(encoding="utf-8")
    if what not in (None, "user"):
        click.echo(text, nl=False)
        return 0
    hidden = [] if what else hidden_paths(_needed())
    if hidden:
        click.echo(
            f"spoolctl: the service is let see {', '.join(hidden)}; an"
            " installation in /opt needs no such exception", err=True,
        )
    click.echo(fill(text, {
        "SPOOL": _user_spool() if what else "/var/spool/spooler/%i",
        "SPOOLD": program("spoold"),
        "SPOOLCTL": program("spoolctl"),
        "PROTECT_HOME": _protect_home(hidden),
        "DELEGATE_SUBGROUP": "DelegateSubgroup=spoold"
        if _version() >= _SUBGROUP_SINCE else "",
    }), nl=False)
    return 0


def fill(text: str, values: dict[str, str]) -> str:
    """Put values for ``@NAME@``; a line that becomes empty goes."""
    lines = []
    for line in text.splitlines():
        filled = line
        for key, value in values.items():
            filled = filled.replace(f"@{key}@", value)
        if filled or not line:
            lines.append(filled)
    return "\n".join([*lines, ""])


def program(name: str) -> str:
    """
    What starts one of our programs, written for ExecStart=.

    Raises:
        SpoolError: it is not beside the one that runs.
    """
    path = os.path.join(_bin(), name)
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError as error:
        raise SpoolError(f"{path}: {error.strerror}", EX_FAILED) from None
    if not os.access(path, os.X_OK) or first.split()[:1] != [
        b"#!" + os.fsencode(sys.executable)
    ]:
        # A checkout: its first line finds whatever Python comes first.
        return f"{quote(sys.executable)} {quote(path)}"
    return quote(path)


def quote(path: str) -> str:
    """Write a path as one word of ExecStart=."""
    path = path.replace("%", "%%")
    if _PLAIN.fullmatch(path):
        return path
    path = path.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + path.replace("$", "$$") + '"'


def hidden_paths(paths: list[str]) -> list[str]:
    """Which of these the sandbox would hide; none inside another."""
    found: list[str] = []
    for path in sorted({os.path.abspath(path) for path in paths}):
        if path.startswith(tuple(f"{top}/" for top in _HIDDEN + _PRIVATE)):
            if not path.startswith(tuple(f"{known}/" for known in found)):
                found.append(path)
    return found


def _bin() -> str:
    return os.path.dirname(os.path.realpath(sys.argv[0]))


def _needed() -> list[str]:
    """Where lies what spoold needs: programs, Python, packages."""
    package = str(importlib.resources.files("spooler"))
    return [
        _bin(), sys.prefix, sys.base_prefix, os.path.dirname(sys.executable),
        package, *filter(os.path.isdir, sys.path),
        os.path.dirname(os.path.realpath(sys.executable)),
    ]


def _protect_home(hidden: list[str]) -> str:
    lines = ["ProtectHome=yes"]
    if any(path.startswith(_HIDDEN) for path in hidden):
        lines = ["ProtectHome=tmpfs"]
    return "\n".join(lines + [
        f"BindReadOnlyPaths={quote(path).replace('$$', '$')}"
        for path in hidden
    ])


def _user_spool() -> str:
    # Not %S: before systemd 254 that is another directory.
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        return "%h/.local/state/spooler/%i"
    path = quote(os.path.join(state, "spooler"))
    return path[:-1] + '/%i"' if path.endswith('"') else path + "/%i"


def _version() -> int:
    """The version of systemd here; 0: none."""
    try:
        told = subprocess.run(
            ["systemctl", "--version"], capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=5,
        ).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(told[1]) if len(told) > 1 and told[1].isdigit() else 0
