# SPDX-License-Identifier: MIT
"""
SpoolExecutor under CPython's own tests of executors, as they come with the
Python that runs or with Debian's: those that use builtins are given functions
instead.
"""

import importlib
import importlib.util
import os
import pathlib
import sys
import time
import types
import unittest
from collections.abc import Iterator
from typing import Any

import pytest
from spooler import SpoolExecutor, outbox
from support import ROOT, Spoold, SpoolDir

from . import builtin_funcs

#: The tests that no executor can pass whose calls travel as JSON, and why.
CANNOT = {
    "test_submit_keyword": "a tuple comes back as a list",
    "test_map_exception": "what was raised comes back as JobFailed",
    "test_no_stale_references": "a bound method has no name to be found by",
    "test_free_reference": "an object of a class is no JSON",
    "test_max_workers_negative": "spool.toml has the number of workers",
    "test_interpreter_shutdown": "its program has concurrent.futures alone",
    "test_submit_after_interpreter_shutdown": "the same",
    "test_hang_gh83386": "the same",
    "test_hang_gh94440": "spool.toml has the number of workers",
}
#: The rest, so that a test is missed that is there no more.
CAN = (
    "test_submit", "test_map", "test_map_timeout",
    "test_shutdown_race_issue12456",
    "test_run_after_shutdown", "test_hang_issue12364", "test_cancel_futures",
    "test_20369", "test_first_completed",
    "test_first_completed_some_already_completed", "test_first_exception",
    "test_first_exception_some_already_complete",
    "test_first_exception_one_already_failed", "test_all_completed",
    "test_timeout",
    "test_no_timeout", "test_future_times_out", "test_zero_timeout",
    "test_duplicate_futures",
    "test_free_reference_yielded_future",
    "test_correct_timeout_exception_msg",
)
CLASSES = (
    "ExecutorTest", "ExecutorShutdownTest", "WaitTests", "AsCompletedTests",
)
#: Classes, or what their names begin with, that no other executor is put
#: through, and why.
APART = {
    "ThreadPool": "of its threads",
    "ProcessPool": "of its processes",
    "InitializerMixin": "workers begin with no function of their own",
    "FailingInitializerMixin": "the same",
    "ExecutorDeadlockTest": "of what cannot be pickled; nothing is",
    "FutureTests": "of Future itself, which is the standard one",
}
BUILTINS: dict[Any, Any] = {
    pow: builtin_funcs.power, divmod: builtin_funcs.divide,
    time.sleep: builtin_funcs.sleep, str: builtin_funcs.text,
}
HANDLER = (
    "workers = 5\n"
    "[handler.call]\n"
    'python = "spooler.calls:call"\n'
    'allow = ["api.builtin_funcs", "test.test_concurrent_futures",'
    ' "test.test_concurrent_futures.*"]\n'
)


class Shimmed(SpoolExecutor):
    """Calls a function of ours where it is given a builtin."""

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is not None:
            raise TypeError("SpoolExecutor has no max_workers")
        super().__init__()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """As submit."""
        return super().submit(BUILTINS.get(fn, fn), *args, **kwargs)

    def map(self, fn: Any, *iterables: Any, **options: Any) -> Any:
        """As map."""
        return super().map(BUILTINS.get(fn, fn), *iterables, **options)


def close_watchers() -> None:
    """End the threads that wait, and keep no name of one."""
    for watcher in list(outbox.watchers.values()):
        watcher.close()


class Executing:
    """What the tests call a mixin: it makes the executor."""

    worker_count = 5
    executor_type = Shimmed

    def setUp(self) -> None:
        """As their own mixins."""
        super().setUp()  # type: ignore[misc]
        self.executor = Shimmed()

    def tearDown(self) -> None:
        """The thread that waits ends later, which their check would mind."""
        self.executor.shutdown()
        close_watchers()
        super().tearDown()  # type: ignore[misc]


def _find() -> pathlib.Path | None:
    """Debian's package of tests; "." if this Python has its own; or None."""
    wanted = "test_concurrent_futures"
    try:
        if importlib.util.find_spec(f"test.{wanted}"):
            return pathlib.Path()
    except ImportError:
        pass  # not even the package they are in
    own = "python{}.{}".format(*sys.version_info)
    for name in (wanted, f"{wanted}.py"):
        package = pathlib.Path("/usr/lib", own, "test")
        if (package / name).exists():
            return package
    return None


@pytest.fixture(scope="module", autouse=True)
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What PYTHONPATH needs; Debian's tests of this version do as well."""
    found = _find()
    if found is None:
        pytest.skip("neither this Python nor Debian's came with its tests")
    if found == pathlib.Path():
        yield []
        return
    base = tmp_path_factory.mktemp("cpythons")
    (base / "test").symlink_to(found)
    for name in [n for n in sys.modules if n.split(".")[0] == "test"]:
        del sys.modules[name]
    sys.path.insert(0, str(base))
    yield [str(base)]
    sys.path.remove(str(base))


def modules() -> list[types.ModuleType]:
    """CPython's tests: one module up to 3.11, a package since."""
    package = "test.test_concurrent_futures"
    found = importlib.import_module(package)
    if not hasattr(found, "__path__"):
        return [found]
    return [
        importlib.import_module(f"{package}.{name}")
        for name in ("executor", "test_shutdown", "test_wait",
                     "test_as_completed", "util")
    ]


def case_of(test: str) -> unittest.TestCase:
    """The test of that name, with our executor."""
    found = {
        name: value for module in modules()
        for name, value in vars(module).items()
    }
    for name in CLASSES:
        if hasattr(found[name], test):
            bases = (found[name], Executing, found["BaseTestCase"])
            made = type(f"Spool{name}", bases, {})(test)
            assert isinstance(made, unittest.TestCase)
            return made
    pytest.skip(f"this Python's own tests have no {test}")


def run(test: str) -> unittest.TestResult:
    """Run one of CPython's tests."""
    result = unittest.TestResult()
    case_of(test).run(result)
    for _, why in result.skipped:
        pytest.skip(why)
    assert result.testsRun == 1
    return result


@pytest.fixture(scope="module")
def served(
    where: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SpoolDir]:
    """One spoold for all, whose workers import CPython's tests once."""
    path = tmp_path_factory.mktemp("cpython")
    spool = SpoolDir(path / "spool")
    spool.configure(HANDLER)
    spoold = Spoold(
        spool, path / "log",
        env={"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *where])},
    )
    try:
        spoold.wait_ready()
        yield spool
        spoold.stop()
    finally:
        spoold.close()


@pytest.fixture(autouse=True)
def chosen(served: SpoolDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spool is the one that is meant where none is named."""
    monkeypatch.setenv("SPOOL_DIR", str(served.path))


@pytest.mark.parametrize("test", CAN)
def test_cpythons_own_tests_pass(test: str) -> None:
    """A test of CPython's executors passes with SpoolExecutor."""
    result = run(test)
    assert result.wasSuccessful(), result.errors + result.failures


@pytest.mark.parametrize("test", CANNOT)
def test_what_cannot_pass_does_not(test: str) -> None:
    """The list of exceptions is no longer than it must be."""
    assert not run(test).wasSuccessful(), CANNOT[test]


def test_no_test_is_left_out() -> None:
    """Each of CPython's tests of these classes passes, or tells why not."""
    there = {
        test for module in modules() for name in CLASSES
        for test in dir(getattr(module, name, None)) if test[:5] == "test_"
    }
    assert there <= {*CAN, *CANNOT}
    classes = {
        name for module in modules() for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
        and any(test[:5] == "test_" for test in vars(value))
    }
    assert not {
        name for name in classes - set(CLASSES)
        if not name.startswith(tuple(APART))
    }
    print(f"cpython: {len(there - set(CANNOT))} of {len(there)} apply")
