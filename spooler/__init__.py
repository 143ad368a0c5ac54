# SPDX-License-Identifier: MIT
"""
spooler: a job queue that is a directory.

``from spooler import task, submit, Defer, Fail`` is what producers and
handlers need; spooler(7) and the modules' docstrings tell the rest.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spooler.client import Client as Client
    from spooler.client import submit as submit
    from spooler.context import JobContext as JobContext
    from spooler.errors import Defer as Defer
    from spooler.errors import Fail as Fail
    from spooler.errors import JobFailed as JobFailed
    from spooler.errors import JobLost as JobLost
    from spooler.executor import SpoolExecutor as SpoolExecutor
    from spooler.handle import Job as Job
    from spooler.prepare import submit_many as submit_many
    from spooler.tasks import Task as Task
    from spooler.tasks import task as task

__version__ = "0.1.0"
__all__ = [
    "Client", "Defer", "Fail", "Job", "JobContext", "JobFailed",
    "JobLost", "SpoolExecutor", "Task", "submit", "submit_many",
    "task",
]

_HOMES = {
    "Client": "spooler.client",
    "submit": "spooler.client",
    "Defer": "spooler.errors",
    "Fail": "spooler.errors",
    "JobFailed": "spooler.errors",
    "JobLost": "spooler.errors",
    "Job": "spooler.handle",
    "JobContext": "spooler.context",
    "SpoolExecutor": "spooler.executor",
    "Task": "spooler.tasks",
    "submit_many": "spooler.prepare",
    "task": "spooler.tasks",
}


def __getattr__(name: str) -> object:
    # Imported when first asked for: a module of this package must not pay
    # for all the others.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'spooler' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
