# SPDX-License-Identifier: MIT
"""How runs end, as the names of jobs tell it and as a person reads it."""

from __future__ import annotations

#: How a run ended, and the word for it in a name.
WORDS = {
    "ok": "ok", "exit": "exit", "signal": "sig", "timeout": "timeout",
    "error": "error", "defer": "defer", "fail": "fail", "bad": "bad",
    "lost": "lost", "killed": "killed", "no-handler": "noroute",
    "unknown-handler": "unknown", "start": "start",
    "expired": "expired",
}
KINDS = {word: kind for kind, word in WORDS.items()}

_PLAIN = {
    "no-handler": "no handler: no pattern matches its name, no default",
    "unknown-handler": "its handler is not configured",
    "lost": "interrupted: its worker or spoold died",
    "killed": "killed",
    "timeout": "timed out",
    "defer": "asked to be run later",
    "expired": "expired: it waited too long",
}


def reason_of(verdict: str) -> tuple[str, int | None]:
    """Kind and status that a verdict word in a name stands for."""
    word = verdict.rstrip("0123456789")
    digits = verdict[len(word):]
    return KINDS.get(word, word), int(digits) if digits else None


def describe(kind: str, status: int | None, text: str) -> str:
    """The reason in one line, as INFO shows it."""
    if kind in ("exit", "signal"):
        head = f"{kind} {status}"
        return f"{head}: {text}" if text else head
    return text or _PLAIN.get(kind, kind)
