# SPDX-License-Identifier: MIT
"""Check the invariants of a spool, and mend it."""

import contextlib
import ctypes  # noqa: F401 - fsops loads it late, when the owner may not
import os
import pwd
from collections.abc import Iterator

import click

from spooler import check, fsops, leftover, names, repair
from spooler.asking import holder
from spooler.cli.common import emit, load_config
from spooler.cli.progress import Meter
from spooler.errors import EX_FAILED, EX_NOPERM, SpoolError
from spooler.lock import DAEMON_LOCK, Instances, Lock
from spooler.spool import PRIVATE, Spool
from spooler.text import inert


@click.command("check")
@click.option("--repair", "mend", is_flag=True,
              help="Mend first what can be mended without losing anything.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
@click.pass_obj
def command(path: str, mend: bool, as_json: bool) -> int:
    """
    Check the invariants of spool(5); say what is wrong and what to type.

    Changes nothing without --repair, and may run while spoold does.  Exits
    1 if anything is wrong, or is left so.
    """
    with contextlib.closing(Meter()) as meter:
        # Before we are the owner, who may not read what it loads.
        meter.show(None, "mending" if mend else "checking")
        count = _check(path, mend, as_json)
    if not as_json:
        shown = inert(os.path.abspath(path))
        click.echo(
            f"{shown}: {count} violations" if count
            else f"{shown}: all invariants hold", err=True,
        )
    return EX_FAILED if count else 0


def _check(path: str, mend: bool, as_json: bool) -> int:
    """Mend, if asked to, and tell what is wrong; returns how much."""
    count = 0
    with Spool(path) as spool:
        instances = Instances(
            os.path.join(spool.path, PRIVATE), spool.private_fd
        )

        def is_dead(owner: str) -> bool:
            return instances.is_dead(owner[:names.INSTANCE_CHARS])

        if mend:
            with _as_owner(spool):
                _mend(spool, instances, is_dead, as_json)
        for finding in check.check(spool, is_dead):
            count += 1
            if as_json:
                emit({
                    "v": 1, "invariant": finding.number,
                    "path": finding.path, "what": finding.what,
                    "todo": finding.todo,
                })
            else:
                click.echo(
                    f"I{finding.number} {finding.path}: {finding.what};"
                    f" {finding.todo}"
                )
        instances.close()
    return count


@contextlib.contextmanager
def _as_owner(spool: Spool) -> Iterator[None]:
    """
    Let root act as the spool's owner.

    What is made must be the owner's, or spoold could not read it; and with
    no more power than he has nobody's trick can do more harm.
    """
    owner = os.fstat(spool.root_fd)
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    try:
        user = pwd.getpwuid(owner.st_uid)
    except KeyError:
        os.setgroups([])
        os.setegid(owner.st_gid)
    else:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setegid(user.pw_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def _mend(
    spool: Spool, instances: Instances, is_dead: check.IsDead, as_json: bool
) -> None:
    try:
        lock = Lock(os.path.join(spool.path, PRIVATE, DAEMON_LOCK))
    except BlockingIOError:
        # It recovers and tidies by itself; beside it we would race.
        raise SpoolError(
            f"spoold runs{holder(spool.private_fd)} and mends what it can;"
            " stop it first to mend the rest"
        ) from None
    try:
        # As spoold does: what still runs would see its files go.
        dead = list(filter(instances.is_dead, instances.listed()))
        leftover.kill(leftover.INSTANCE_VARIABLE, dead)
        for line in repair.repair(spool, load_config(spool), is_dead):
            if as_json:
                emit({"v": 1, "mended": line})
            else:
                click.echo(f"mended {line}")
    except PermissionError as error:
        raise SpoolError(
            f"cannot mend: {fsops.why(error)}; run it as the spool's"
            " owner", EX_NOPERM,
        ) from None
    finally:
        lock.release()
