# SPDX-License-Identifier: MIT
"""
The modules look down only, and each keeps to its own business.

Every import is walked, also one inside a function or for typing alone.
"""

import ast
import functools
import pathlib
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "spooler"

#: Number of a module: it imports from smaller ones, or from the same one if
#: no circle comes of it.  All of cli/ is one layer, and so is the package
#: itself, which only hands out names of others.
LAYERS = {
    0: "errors states text units digest generics jsonable"
       " verdicts",
    1: "names jobwrite document jobread config record backoff wire index"
       " route breaker template progress labels place"
       " values",
    2: "fsops",
    3: "spool keys layout jobload configfile gate reserve publish clock"
       " scale cgroup asking sidecar",
    4: "settle recover check repair client view listing intake board finding"
       " beside pause retention checkpoint ending holding tenure",
    5: "watch lock handlers pool worker pyrunner cmdrunner command capture"
       " workermain foster leftover arrivals dispatch control"
       " sweep notify crew deaths report tour ledger health room rescue stale"
       " upkeep keyring rejects workdirs stop doorbell running feed usage"
       " journal programs chain cmdloop"
       " runs wear outfiles deferred streams steps asyncrunner"
       " outbox waiting handle context options prepare tasks"
       " tasklist taskload looper raised calls executor"
       " joblog station pytest_plugin"
       " __init__",
    6: "daemon serve",
    7: "cli",
}

#: The one module that may import a third-party package.
HOMES = {
    "watchdog": "watch", "filelock": "lock", "click": "cli", "rich": "cli",
    "pytest": "pytest_plugin",
}

#: What only fsops.py may call: what moves, removes or flushes a file.
SYSTEM_CALLS = {
    "rename", "renames", "renameat", "replace", "link", "symlink", "unlink",
    "remove", "rmdir", "removedirs", "fsync", "fdatasync", "sync",
}

LINES_MAX = 400


def _numbers() -> dict[str, int]:
    return {
        module: number
        for number, modules in LAYERS.items() for module in modules.split()
    }


def _name(path: pathlib.Path) -> str:
    """``cli.ls`` for cli/ls.py; ``cli.__init__`` for cli/__init__.py."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@functools.cache
def _trees() -> dict[str, ast.Module]:
    return {
        _name(path): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def _module(dotted: list[str]) -> str:
    """The module of ours that *dotted*, behind ``spooler.``, names."""
    for parts in (dotted, dotted[:-1]):
        for text in (".".join(parts), ".".join([*parts, "__init__"])):
            if text in _trees():
                return text
    raise AssertionError(f"imports spooler.{'.'.join(dotted)}: no such module")


def _imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Every import anywhere in *tree*: its name, and whether it is ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            dotted = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            assert node.module is not None
            base = node.module.split(".")
            dotted = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for parts in dotted:
            if parts[0] == "spooler":
                yield _module(parts[1:]), True
            else:
                yield parts[0], False


def _ours(module: str) -> set[str]:
    return {
        name for name, is_ours in _imports(_trees()[module]) if is_ours
    } - {module}


def _layer(module: str) -> int:
    head = module.split(".")[0]
    return _numbers()[head]


def test_every_module_is_listed() -> None:
    """Every module has a layer, and every listed one exists."""
    listed = [name for names in LAYERS.values() for name in names.split()]
    assert len(listed) == len(set(listed))
    assert {name.split(".")[0] for name in _trees()} == set(listed)


def test_looks_down() -> None:
    """A module imports nothing from a layer above its own."""
    too_high = [
        f"{module} imports {name}"
        for module in _trees() for name in _ours(module)
        if _layer(name) > _layer(module)
    ]
    assert not too_high


def test_no_circle() -> None:
    """No module imports itself by way of others, not even for typing."""
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            circle = [*path[path.index(module):], module]
            raise AssertionError(f"circle: {' -> '.join(circle)}")
        if module in done:
            return
        for name in sorted(_ours(module)):
            visit(name, (*path, module))
        done.add(module)

    for module in _trees():
        visit(module, ())


@pytest.mark.parametrize("package", sorted(HOMES))
def test_third_party_home(package: str) -> None:
    """A third-party package is imported by the one module that hides it."""
    users = {
        module.split(".")[0]
        for module, tree in _trees().items()
        if (package, False) in _imports(tree)
    }
    assert users == {HOMES[package]}


def test_no_other_third_party() -> None:
    """Nothing but the standard library and the packages above is used."""
    # One of the two is there, by the version of Python.
    private = {"_sha2", "_sha256"}
    allowed = set(sys.stdlib_module_names) | set(HOMES) | private
    used = {
        name for tree in _trees().values()
        for name, is_ours in _imports(tree) if not is_ours
    }
    assert used <= allowed


def _calls(tree: ast.Module) -> Iterator[str]:
    """What of ``os`` a module names, and what it imports from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "os":
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            for alias in node.names:
                yield alias.name


def test_one_home_of_system_calls() -> None:
    """Only fsops.py renames, links, unlinks and flushes."""
    users = {
        module for module, tree in _trees().items()
        if SYSTEM_CALLS & set(_calls(tree))
    }
    assert users == {"fsops"}


def test_length() -> None:
    """No module is longer than a person reads in one go."""
    lines = {
        _name(path): path.read_text(encoding="utf-8").count("\n")
        for path in PACKAGE.rglob("*.py")
    }
    assert not {name: n for name, n in lines.items() if n > LINES_MAX}


Definition = (
    ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
)


def _public(
    node: ast.Module | ast.ClassDef, where: str
) -> Iterator[tuple[str, Definition]]:
    for item in node.body:
        if not isinstance(
            item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        ) or item.name.startswith("_") or _is_overload(item):
            continue
        name = f"{where}.{item.name}"
        yield name, item
        if isinstance(item, ast.ClassDef):
            yield from _public(item, name)


def _is_overload(node: Definition) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(getattr(item, "id", "") == "overload" for item in decorators)


def test_docstrings() -> None:
    """Every public module, class, function and method has a docstring."""
    bare = [
        name
        for module, tree in _trees().items()
        for name, node in [(module, tree), *_public(tree, module)]
        if not ast.get_docstring(node)
    ]
    assert not bare
