# SPDX-License-Identifier: MIT
"""What people and programs are shown while the clock is off."""

import json
import re

import pytest
from clock.scene import Scene
from clock.shimmed import LAST, Y1970, Y2038, Y2106, YEAR_S
from support import LONG, wait_until

#: A length of time below nothing; dates and options have other signs.
NEGATIVE = re.compile(r"(^|[\s(])-[0-9]", re.MULTILINE)
_MOMENT = re.compile(
    r"(19[789]|[2-9][0-9]{2})[0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:"
)

#: Where the clock stands when a person looks.
CLOCKS = {
    "1970": Y1970, "2038": Y2038 + 1, "2106": Y2106 + 1, "2200": 7.3e9,
    "last": LAST,
}


def _ctl(scene: Scene, *words: str) -> str:
    """Run spoolctl by the clock; returns what it printed."""
    code, out = scene.spoolctl(*words)
    assert code == 0, f"{words} exited {code}: {out}"
    assert "Traceback" not in out, f"{words}: {out}"
    return out


def _sane(words: tuple[str, ...], text: str) -> list[str]:
    wrong = []
    if "json" not in words[-1]:
        if words != ("status",) and NEGATIVE.search(text):
            wrong.append(f"{words}: {text}")
        return wrong
    for line in text.splitlines():
        fields = json.loads(line)
        for key in ("submitted", "due", "started", "finished"):
            moment = fields.get(key)
            if moment is not None and not _MOMENT.match(moment):
                wrong.append(f"{words}: {key} {moment}")
        if (fields.get("duration") or 0.0) < 0:
            wrong.append(f"{words}: {line}")
    return wrong


@pytest.mark.parametrize(
    "when", CLOCKS if LONG else ["1970", "2106", "last"]
)
def test_an_odd_clock_is_shown_sanely(scene: Scene, when: str) -> None:
    """Jobs of other times are listed, shown and waited for; no time is
    negative."""
    daemon = scene.spoold()
    done = scene.submit("once")
    put_off = scene.submit("once", in_s=250 * YEAR_S)
    later = scene.again(1, 3000.0)
    scene.submit("nosuch")
    wait_until(
        lambda: (scene.spool.count("deferred"),
                 scene.spool.count("failed")) == (2, 1),
        what=scene.spool.tree,
    )
    scene.clock.set(CLOCKS[when])
    done += scene.submit("once")
    done += scene.fails("fails", 1)
    scene.submit("once", in_s=3600.0)
    scene.await_done(done)
    commands: list[tuple[str, ...]] = [
        ("status",), ("status", "--json"), ("ls",), ("ls", "--json"),
        ("ls", "--since", "1h"), ("show", *put_off), ("show", done[-1]),
        ("show", later[0], "--json"), ("check",), ("wait", *done),
        ("submit", "once", "--in", "1h", "--relaxed"),
    ]
    wrong = []
    for words in commands:
        wrong += _sane(words, _ctl(scene, *words))
    scene.clock.right()
    for words in commands[:8]:
        wrong += _sane(words, _ctl(scene, *words))
    assert not wrong, "\n".join(wrong)
    assert not scene.started(put_off[0])
    assert scene.spool.status()["trouble"] is None
    assert "Traceback" not in daemon.log
    for job in scene.spool.jobs("done", "failed"):
        if job.sidecar("result") is not None:
            assert all(run["seconds"] >= 0 for run in job.record["runs"])
