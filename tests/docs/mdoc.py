# SPDX-License-Identifier: MIT
"""Read our manual pages, as far as the tests need it."""

import pathlib
import re

MAN = pathlib.Path(__file__).resolve().parent.parent.parent / "man"
PAGES = sorted(path.name for path in MAN.iterdir())

_ESCAPES = {
    "\\e": "\\", "\\-": "-", "\\(aq": "'", "\\(dq": '"', "\\&": "",
}
_LITERAL = re.compile(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", re.M)


def unescape(text: str) -> str:
    """The characters that mdoc escapes stand for."""
    for escape in ("\\(aq", "\\(dq", "\\-", "\\&", "\\e"):
        text = text.replace(escape, _ESCAPES[escape])
    assert not re.search(r"\\\(|\\\[", text), f"unknown escape in {text!r}"
    return text


def source(page: str) -> str:
    """A page as it was written."""
    return (MAN / page).read_text(encoding="utf-8")


def section(page: str, name: str) -> str:
    """The source of one ``.Sh`` section."""
    return _part(source(page), "Sh", name)


def subsection(page: str, name: str, sub: str) -> str:
    """The source of one ``.Ss`` in a section."""
    return _part(section(page, name), "Ss", sub)


def subsections(page: str, name: str) -> list[str]:
    """The names of the ``.Ss`` in a section."""
    return re.findall(r"^\.Ss (.*)$", section(page, name), re.M)


def _part(text: str, macro: str, name: str) -> str:
    parts = re.split(rf"^\.{macro} (.*)\n", text, flags=re.M)
    found = dict(zip(parts[1::2], parts[2::2]))
    return found[name]


def items(text: str) -> list[str]:
    """What follows ``.It`` on its line, for each item of all lists."""
    return re.findall(r"^\.It (.*)$", text, re.M)


def named(text: str, macro: str) -> list[str]:
    """
    The words that *macro* marks in the items of lists.

    ``.It Ic out_bytes , err_bytes`` gives two.
    """
    out = []
    for item in items(text):
        words = item.split()
        if words[0] != macro or "Ta" in words:
            continue
        for word in words[1:]:
            if word in ("Pq", "Ns", "Ar"):
                break
            if word != ",":
                out.append(unescape(word))
    return out


def rows(text: str) -> list[list[str]]:
    """The rows of tables: the cells of items that have several."""
    return [
        [unescape(cell.strip()) for cell in re.split(r"\s*\bTa\b\s*", item)]
        for item in items(text) if re.search(r"\bTa\b", item)
    ]


def flags(text: str) -> set[str]:
    """Every option that an item of a list describes, with its hyphens."""
    out = set()
    for item in items(text):
        words = item.split()
        if words[0] != "Fl":
            continue
        for word in words[1:]:
            if word in ("Ar", "Cm"):
                break
            if word != ",":
                out.add("-" + word)
    return out


def literals(text: str) -> list[str]:
    """The literal displays, as a person would copy them."""
    return [
        "\n".join(unescape(line) for line in block.splitlines()) + "\n"
        for block in _LITERAL.findall(text)
    ]


def words(text: str) -> str:
    """The text of a part without macros, on one line, to look things up."""
    out = []
    for line in text.splitlines():
        if line.startswith("."):
            line = line.partition(" ")[2]
        out.append(unescape(line))
    return " ".join(" ".join(out).split())
