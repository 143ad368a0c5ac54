# SPDX-License-Identifier: MIT
"""spool.toml, read into frozen records."""

import dataclasses
from typing import Any

import pytest
from spooler import config, names, template
from spooler.config import Config, Handler
from spooler.errors import EX_CONFIG, ConfigError
from spooler.route import Router

ID = "1hqn0000000000000001"

#: option -> the texts of good values and what each is read as.
GOOD: dict[str, list[tuple[str, Any]]] = {
    "format": [("1", 1)],
    "workers": [("0", 0), ("1", 1), ("1024", 1024)],
    "default": [('"h"', "h")],
    "tasks": [("[]", ()), ('["a.b", "c"]', ("a.b", "c"))],
    "durability": [('"full"', "full"), ('"relaxed"', "relaxed")],
    "rescan": [('"1m"', 60.0), ("2.5", 2.5), ("7", 7.0)],
    "stop_timeout": [('"90s"', 90.0), ("0", 0.0)],
    "max_size": [('"16MiB"', 16 << 20), ("4096", 4096), ('"1T"', 1 << 40)],
    "max_pending": [("0", 0), ("1000000", 1_000_000)],
    "max_bytes": [('"10GiB"', 10 << 30), ("0", 0)],
    "min_free": [('"1GiB"', 1 << 30), ("0", 0)],
    "min_free_inodes": [("0", 0), ("5000", 5000)],
    "recycle_jobs": [("0", 0), ("1000", 1000)],
    "recycle_memory": [('"256MiB"', 256 << 20), ("0", 0)],
    "delete_done": [("true", True), ("false", False)],
    "keep_done": [('"30d"', 30 * 86400.0), ("0", None)],
    "keep_done_jobs": [("1000", 1000), ("0", 0)],
    "keep_done_size": [('"1GiB"', 1 << 30), ("0", 0)],
    "keep_failed": [('"90d"', 90 * 86400.0)],
    "keep_failed_jobs": [("1", 1)],
    "keep_failed_size": [("4096", 4096)],
}
BAD: dict[str, list[str]] = {
    "format": ["0", '"1"', "true", "1.0"],
    "workers": ["-1", "1025", '"2"', "true", "1.5", "[]"],
    "default": ["1", '""', '"a\\u0000"', "[]"],
    "tasks": ["1", '"a"', '["a b"]', '["a."]', "[1]"],
    "durability": ['"none"', "true", '""', "[]"],
    "rescan": ['"soon"', "-1", "true", "[]", "nan", "inf", '""'],
    "stop_timeout": ['"x"', "-0.5", "false", "inf"],
    "max_size": ['"big"', "-1", "1.5", "true", "[]", '"-1K"'],
    "max_pending": ["-1", '"1"', "1.5", "true"],
    "max_bytes": ['"big"', "-1", "true"],
    "min_free": ['"10%"', "-1", "true"],
    "min_free_inodes": ["-1", '"1"', "true"],
    "recycle_jobs": ["-1", '"1"', "true"],
    "recycle_memory": ['"big"', "-1", "true"],
    "delete_done": ['"yes"', "0", "1"],
    "keep_done": ['"soon"', "-1", "true"],
    "keep_done_jobs": ["-1", '"1"', "1.5"],
    "keep_done_size": ['"big"', "-1", "true"],
    "keep_failed": ['"soon"', "-1", "[]"],
    "keep_failed_jobs": ["-1", '"1"', "true"],
    "keep_failed_size": ['"big"', "-1", "1.5"],
}
HANDLER_GOOD: dict[str, list[tuple[str, Any]]] = {
    "command": [('["gzip", "-9"]', ("gzip", "-9"))],
    "python": [('"myapp.jobs:thumb"', "myapp.jobs:thumb"),
               ('"jobs:Class.method"', "jobs:Class.method")],
    "match": [("[]", ()), ('["*.jpg", "*.png"]', ("*.jpg", "*.png"))],
    "timeout": [('"2m"', 120.0), ("0", None), ('"0"', None), ("5", 5.0)],
    "kill_after": [('"0s"', 0.0), ('"5s"', 5.0)],
    "attempts": [("1", 1), ("99", 99)],
    "backoff": [('"10s"', 10.0), ("0", 0.0)],
    "max_backoff": [('"1h"', 3600.0)],
    "concurrency": [("1", 1), ("10000", 10000)],
    "output_limit": [('"1M"', 1 << 20), ("0", 0)],
    "memory": [('"512MiB"', 512 << 20), ("0", None), ('"1M"', 1 << 20)],
    "expires": [('"1d"', 86400.0), ("0", None)],
    "breaker": [("0", 0), ("1000", 1000)],
    "env": [("{}", ()), ('{ A = "1", B = "" }', (("A", "1"), ("B", "")))],
    "asyncio": [("true", True), ("false", False)],
    "delete_done": [("true", True), ("false", False)],
    "allow": [
        ("[]", ()),
        ('["a", "a.*", "a.b:c", "a:B._d"]', ("a", "a.*", "a.b:c", "a:B._d")),
    ],
}
HANDLER_BAD: dict[str, list[str]] = {
    "command": ["[]", '"gzip -9"', "[1]", '["a\\u0000"]', "true",
                "\"it's\""],
    "python": ['"jobs"', '":f"', '"m:"', '"m:f:g"', '"m.1:f"', "1",
               '"m-x:f"', '"m:f()"'],
    "match": ['"*.jpg"', "[1]", '[""]'],
    "timeout": ['"x"', "-1", "true", "inf", "nan"],
    "kill_after": ['"x"', "-1", "inf"],
    "attempts": ["0", "100", '"3"', "true"],
    "backoff": ['"x"', "-1", "inf", "nan"],
    "max_backoff": ['"x"', "-1", "inf"],
    "concurrency": ["0", "10001", '"2"'],
    "output_limit": ['"x"', "-1"],
    "memory": ['"x"', "-1", "4096", '"1K"'],
    "expires": ['"x"', "-1", "inf"],
    "breaker": ["-1", "1001", '"3"', "true"],
    "env": ['"A=1"', "{ A = 1 }", '{ A = "\\u0000" }', '{ "A=B" = "1" }',
            '{ "" = "1" }', '{ "A\\u0000" = "1" }'],
    "delete_done": ['"true"', "0", "1"],
    "asyncio": ['"true"', "0", "1"],
    "allow": ['"a"', '["*"]', '[".*"]', '["a*"]', '["a:*"]', '["a:b.*"]',
              '["a.**"]', '["a:"]', '["a b"]', '[1]', '["*.a"]', '[":a"]'],
}


def rows(table: dict[str, list[Any]]) -> list[Any]:
    """One row for each value of each option."""
    return [
        pytest.param(key, value, id=f"{key}-{number}")
        for key, values in table.items()
        for number, value in enumerate(values)
    ]


def handler_text(key: str, value: str) -> str:
    """Write a handler's table with one key under test."""
    runner = 'command = ["true"]\n'
    if key in ("command", "python"):
        runner = ""
    elif key == "asyncio":
        runner = 'python = "a:b"\n'
    return f"[handler.h]\n{runner}{key} = {value}\n"


def test_the_tables_here_are_complete() -> None:
    """Every option has good and bad values in this file."""
    assert set(GOOD) == set(BAD) == set(config.OPTIONS)
    assert set(HANDLER_GOOD) == set(HANDLER_BAD) == set(
        config.HANDLER_OPTIONS
    )


def test_an_option_is_a_field() -> None:
    """Every option sets a field and every field is set by an option."""
    fields = {field.name for field in dataclasses.fields(Config)}
    assert {row[0] for row in config.OPTIONS.values()} == fields - {
        "handlers"
    }
    fields = {field.name for field in dataclasses.fields(Handler)}
    assert {row[0] for row in config.HANDLER_OPTIONS.values()} == fields - {
        "name"
    }


@pytest.mark.parametrize("key, pair", rows(GOOD))
def test_options(key: str, pair: tuple[str, Any]) -> None:
    """An option sets its field and leaves the others at their defaults."""
    text, want = pair
    read = config.parse(
        f'{key} = {text}\n[handler.h]\ncommand = ["true"]\n'
    )
    field = config.OPTIONS[key][0]
    plain = Config(handlers={"h": Handler("h", ("true",))})
    assert read == dataclasses.replace(plain, **{field: want})


@pytest.mark.parametrize("key, text", rows(BAD))
def test_bad_options(key: str, text: str) -> None:
    """A wrong value is refused by an error that names file and option."""
    with pytest.raises(ConfigError) as caught:
        config.parse(
            f'{key} = {text}\n[handler.h]\ncommand = ["true"]\n',
            "/etc/spool.toml",
        )
    assert str(caught.value).startswith(f"/etc/spool.toml: {key}")
    assert caught.value.status == EX_CONFIG == 78


@pytest.mark.parametrize("key, pair", rows(HANDLER_GOOD))
def test_handler_options(key: str, pair: tuple[str, Any]) -> None:
    """A handler's option sets its field and no other."""
    text, want = pair
    read = config.parse(handler_text(key, text)).handlers["h"]
    field = config.HANDLER_OPTIONS[key][0]
    plain = Handler("h", ("true",))
    kind = "command"
    if key == "python":
        plain, kind = Handler("h"), "python"
    elif key == "asyncio":
        plain = Handler("h", python="a:b")
        kind = "asyncio" if want else "python"
    assert read == dataclasses.replace(plain, **{field: want})
    assert read.kind == kind


@pytest.mark.parametrize("key, text", rows(HANDLER_BAD))
def test_bad_handler_options(key: str, text: str) -> None:
    """A wrong value in a handler's table names file, handler and option."""
    with pytest.raises(ConfigError) as caught:
        config.parse(handler_text(key, text))
    assert str(caught.value).startswith(f"spool.toml: [handler.h] {key}: ")
    assert caught.value.status == EX_CONFIG


@pytest.mark.parametrize(
    "text, words",
    [
        ("workes = 1", ["unknown key 'workes'", "did you mean 'workers'?"]),
        ("max-size = 1", ["'max-size'", "did you mean 'max_size'?"]),
        ('[handlers.h]\ncommand = ["a"]', ["'handlers'", "'handler'"]),
        ("colour = 1", ["'colour'", "known are format, workers, default"]),
        ('"\\u001b[2J" = 1', ["\\x1b[2J"]),
        ('[handler.h]\ncommand = ["a"]\ntimeot = 1',
         ["[handler.h] unknown key 'timeot'", "did you mean 'timeout'?"]),
        ('[handler.h]\ncommand = ["a"]\nworkers = 1',
         ["[handler.h] unknown key 'workers'"]),
        ('[handler.h]\ncmd = ["a"]', ["'cmd'"]),
        ("[handler.h]", ["[handler.h] needs either command"]),
        ('[handler.h]\ncommand = ["a"]\npython = "m:f"',
         ["[handler.h] needs either"]),
        ('[handler.h]\ncommand = ["a"]\nasyncio = true',
         ["[handler.h] asyncio is for python handlers"]),
        ('[handler.h]\npython = "a:b"\nasyncio = true\nmemory = "2GiB"',
         ["[handler.h] memory", "recycle_memory"]),
        ('[handler."a b"]\ncommand = ["a"]', ["a b", "1..32 letters"]),
        ('[handler.-x]\ncommand = ["a"]', ["-x", "1..32 letters"]),
        (f'[handler.{"h" * 33}]\ncommand = ["a"]', ["1..32 letters"]),
        ("handler = 5", ["write [handler.NAME]"]),
        ("[handler]\nh = 5", ["[handler.h]"]),
        ('default = "sotre"\n[handler.store]\ncommand = ["a"]',
         ["'sotre' is not a handler", "did you mean 'store'?"]),
        ('default = "store"', ["'store' is not a handler"]),
        ("workers = \n\n", ["line 1"]),
        ("workers = 1\nworkers = 2\n\n", ["line 2"]),
        ('[handler.h]\ncommand = "gzip -9 \'a b\'"',
         ['write ["gzip", "-9", "a b"]', "no shell"]),
        ("durability = 'none'", ["one of full, ", "relaxed"]),
        ("workers = 2000", ["whole number 0..1024"]),
        ("rescan = '5 s'", ["'5 s' is not a duration", "90s"]),
        ("max_size = 'big'", ["'big' is not a size", "64K"]),
        ("[handler.h]\npython = 'm'", ['"module:function"']),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_errors_say_what_to_write(text: str, words: list[str]) -> None:
    """An error names what is wrong, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "here.toml")
    shown = str(caught.value)
    assert shown.startswith("here.toml: ") and shown.isprintable()
    for word in words:
        assert word in shown
    assert caught.value.status == 78


@pytest.mark.parametrize("version", [2, 99])
def test_an_unknown_format_is_refused(version: int) -> None:
    """A spool of a later version is left alone, and both formats named."""
    with pytest.raises(ConfigError) as caught:
        config.parse(f"format = {version}\nnew_option = 1")
    assert caught.value.status == EX_CONFIG
    text = str(caught.value)
    assert f"format {version} is not known" in text
    assert f"reads format {config.FORMAT}" in text


def test_nothing_is_a_configuration() -> None:
    """An empty file gives the defaults."""
    assert config.parse("") == Config()


def test_the_template_parses() -> None:
    """The file init writes is valid; it says how long results are kept."""
    read = config.parse(template.TEMPLATE)
    assert read == Config(keep_done_s=30 * 86400.0)
    assert read.keep_done.limits and not read.keep_failed.limits


def test_the_template_is_valid_uncommented() -> None:
    """Every example in the template is right once its # is removed."""
    lines = []
    for line in template.TEMPLATE.splitlines():
        if line.startswith("#") and not line.startswith("# "):
            line = line[1:]
        lines.append(line)
    text = "\n".join(lines).replace('default = "store"', "")
    read = config.parse(text)
    assert set(read.handlers) == {"compress", "thumbnail"}
    assert 'default = "store"' in template.TEMPLATE


def test_a_configuration_is_frozen() -> None:
    """Nothing can change a configuration that was read."""
    read = config.parse('[handler.h]\ncommand = ["a"]')
    with pytest.raises(dataclasses.FrozenInstanceError):
        read.workers = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        read.handlers["h"].attempts = 2  # type: ignore[misc]


ROUTES = """
default = "store"
[handler.store]
command = ["true"]
[handler.image]
python = "m:f"
match = ["*.jpg", "*.JP*G", "scan-[0-9]?"]
[handler.late]
command = ["true"]
match = ["*.jpg", "*.txt"]
"""


@pytest.mark.parametrize(
    "tail, handler",
    [
        ("a.jpg", "image"), ("a.JPEG", "image"), ("scan-1x", "image"),
        ("scan-xx", "store"), ("a.txt", "late"), ("a.Txt", "store"),
        ("a", "store"), ("a.jpg~", "store"), ("a\nb.jpg", "image"),
        ("\udcff.jpg", "image"), (".jpg", "image"),
    ],
)
def test_payloads_are_routed_by_name(tail: str, handler: str) -> None:
    """The first matching pattern in the file's order wins, else default."""
    assert Router(config.parse(ROUTES)).route(tail) == handler


def test_no_default() -> None:
    """Without a default, what no pattern matches has no handler."""
    router = Router(config.parse(ROUTES.replace('default = "store"', "")))
    assert router.route("a.xyz") is None


@pytest.mark.parametrize(
    "name, handler",
    [
        (f"4.{ID},mail.job", "mail"),
        (f"4.{ID}.hmail,a.jpg.job", "mail"),
        (f"4.{ID}.h,a.job", None),
        (f"4.{ID},a.jpg", "image"),
        (f"4.{ID},a.xyz", "store"),
    ],
)
def test_handler_of(name: str, handler: str | None) -> None:
    """A document's name tells its handler and a payload's routes it."""
    parsed = names.parse(name)
    assert parsed is not None
    assert Router(config.parse(ROUTES)).handler_of(parsed) == handler
