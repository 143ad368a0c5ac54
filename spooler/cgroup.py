# SPDX-License-Identifier: MIT
"""
Control groups of runs, where the service manager delegates ours to us.

A run with a memory limit then gets a group of its own: the limit holds for
all its processes together, and none of them outlives the run, whatever
sessions and environments they made for themselves.  Version 2 only.
Source: systemd's CGROUP_DELEGATION.
"""

import logging
import os
import select

from spooler import fsops

log = logging.getLogger(__name__)

_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
_DELEGATED = ("trusted.delegate", "user.delegate")
_LEAF = "spoold"  #: where the daemon goes: inner groups hold no processes
_PREFIX = "run-"
_END_MS = 1000  #: from the kill to the end of all


class Group:
    """The control group of one run."""

    def __init__(self, parent: str, run: str) -> None:
        self.path = os.path.join(parent, _PREFIX + run)

    def make(self, memory: int) -> bool:
        """Make it, with *memory* bytes for all; False if it cannot be."""
        try:
            os.mkdir(self.path)
        except FileExistsError:
            pass
        except OSError:
            return False
        limited = self._write("memory.max", str(memory))
        if limited:
            self._write("memory.swap.max", "0")
            self._write("memory.oom.group", "1")
        return True

    def exists(self) -> bool:
        """Whether it was made, and not removed yet."""
        return os.path.isdir(self.path)

    def end(self) -> bool:
        """
        Kill what is left in it and remove it.

        Returns:
            Whether it ran out of memory.
        """
        ran_out = self._ran_out()
        self._write("cgroup.kill", "1")
        self._wait_until_empty()
        _remove(self.path)
        return ran_out

    def _wait_until_empty(self) -> None:
        try:
            fd = os.open(
                os.path.join(self.path, "cgroup.events"),
                os.O_RDONLY | os.O_CLOEXEC,
            )
        except OSError:
            return
        try:
            changed = select.poll()
            changed.register(fd, select.POLLPRI)
            while b"populated 1" in os.pread(fd, 4096, 0):
                if not changed.poll(_END_MS):
                    return  # a later start tries again
        finally:
            os.close(fd)

    def _ran_out(self) -> bool:
        try:
            with open(os.path.join(self.path, "memory.events")) as file:
                counts = dict(line.split() for line in file)
        except (OSError, ValueError):
            return False
        return counts.get("oom_kill", "0") != "0"

    def _write(self, name: str, text: str) -> bool:
        return _write(os.path.join(self.path, name), text)


def _remove(path: str) -> None:
    try:
        parent_fd = fsops.open_dir(os.path.dirname(path))
    except OSError:
        return
    try:
        fsops.remove_dir(parent_fd, os.path.basename(path))
    except OSError:
        pass  # a process in it cannot be killed: it waits for a disk
    finally:
        os.close(parent_fd)


def delegated() -> str | None:
    """
    Make ready the group that was delegated to this process.

    Returns:
        The path under which runs get their groups; None: none is ours.
    """
    own = _own()
    if own is None:
        return None
    if not _is_delegated(own):
        # The service manager may have put us into a leaf itself.
        parent = os.path.dirname(own)
        if not _is_delegated(parent):
            return None
        own = parent
    elif not _move_into_leaf(own):
        return None
    if not _write(os.path.join(own, "cgroup.subtree_control"), "+memory"):
        log.warning("no memory control in %s; limits hold by process", own)
    for entry in os.listdir(own):
        if entry.startswith(_PREFIX):  # of a spoold that was killed
            Group(own, entry.removeprefix(_PREFIX)).end()
    return own


def _own() -> str | None:
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("0::/"):
            for mount in _MOUNTS:
                path = os.path.normpath(mount + line[3:])
                if os.path.exists(os.path.join(path, "cgroup.procs")) and (
                    os.path.exists(os.path.join(mount, "cgroup.controllers"))
                ):
                    return path
    return None


def _is_delegated(path: str) -> bool:
    for name in _DELEGATED:
        try:
            if os.getxattr(path, name) == b"1":
                return os.access(path, os.W_OK)
        except OSError:
            continue
    return False


def _move_into_leaf(path: str) -> bool:
    leaf = os.path.join(path, _LEAF)
    try:
        os.makedirs(leaf, exist_ok=True)
        with open(os.path.join(path, "cgroup.procs")) as file:
            pids = file.read().split()
    except OSError:
        return False
    return all(_write(os.path.join(leaf, "cgroup.procs"), pid)
               for pid in pids)


def _write(path: str, text: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, text.encode("ascii"))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
