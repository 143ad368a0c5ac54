# SPDX-License-Identifier: MIT
"""What became of the jobs of a scene: early, late, lost, doubled."""

import math

from clock.scene import EARLY_S, LATE_S, Scene, Sent, busy_s


class Verdict:
    """Holds every run of every job of a scene to what was promised."""

    def __init__(self, scene: Scene, kind: str) -> None:
        """Judge; nothing may run any more."""
        self._scene, self._kind = scene, kind
        self.wrong: list[str] = []
        self.counts = dict.fromkeys(("early", "late", "lost", "doubled"), 0)
        self.runs = 0
        self.worst_retry = self.worst_due = 0.0
        self._places()
        self._records()
        ledger = scene.starts()
        for key, sent in scene.sent.items():
            self._job(key, sent, ledger.get(key, []))
        self.wrong += scene.findings()

    def _fault(self, word: str, text: str) -> None:
        self.counts[word] += 1
        self.wrong.append(f"{word.upper()} {text}")

    def _places(self) -> None:
        seen: dict[str, str] = {}
        for job in self._scene.spool.jobs():
            where = f"{job.state}/{job.entry}"
            if job.name.id in seen:
                self._fault("doubled", f"{where}, {seen[job.name.id]}")
            seen[job.name.id] = where
            if job.state != "done":
                self._fault("lost", where)
        for key in self._scene.sent.keys() - seen.keys():
            self._fault("lost", key)

    def _records(self) -> None:
        for job in self._scene.spool.jobs("done"):
            if job.sidecar("result") is None:
                continue
            for run in job.record["runs"]:
                if run["seconds"] < 0 or run["started_ns"] < 0:
                    self.wrong.append(f"RECORD {run} of {job.entry}")

    def _job(
        self, key: str, sent: Sent, lines: list[tuple[str, int, float]]
    ) -> None:
        starts = {run: at for word, run, at in lines if word == "start"}
        ends = {run: at for word, run, at in lines if word == "end"}
        self.runs += len(starts)
        if len(lines) > len(starts) + len(ends):
            self._fault("doubled", f"{key}: {lines}")
        if sorted(starts) != list(range(1, sent.times + 2)):
            self._fault("lost", f"{key}: {lines}, put off {sent.times} times")
            return
        if sent.due is not None:
            self._due(key, sent.due, sent.at, starts[1])
        for run, at in ends.items():
            self._wait(f"{key} run {run}", sent, starts[run + 1] - at)

    def _wait(self, what: str, sent: Sent, waited: float) -> None:
        if waited < sent.least_s - EARLY_S:
            self._fault("early", f"{what}: {waited:.3f}s, {sent}")
        late = waited - sent.most_s
        self.worst_retry = max(self.worst_retry, late)
        if late > LATE_S + busy_s():
            self._fault("late", f"{what}: {waited:.3f}s, {sent}")

    def _due(self, key: str, due: float, sent_at: float, at: float) -> None:
        clock = self._scene.clock
        if not clock.reached(due, sent_at, at):
            self._fault("early", f"{key} before {due}: {clock.wall(at)}")
            return
        since = clock.since(due, at)
        if math.isfinite(since):
            late = at - max(since, sent_at)
            self.worst_due = max(self.worst_due, late)
            if late > LATE_S + busy_s():
                self._fault("late", f"{key}: {late:.3f}s after {due}")

    def report(self) -> None:
        """Print the counts; fail if anything was wrong."""
        counts = ", ".join(
            f"{number} {word}" for word, number in self.counts.items()
        )
        print(
            f"clock {self._kind}: {self._scene.clock.jumps} jumps,"
            f" {len(self._scene.sent)} jobs, {self.runs} runs, {counts};"
            f" latest retry {self.worst_retry:.2f}s,"
            f" latest start {self.worst_due:.2f}s"
        )
        shown = "\n".join(self.wrong[:20])
        assert not self.wrong, f"{len(self.wrong)} violations:\n{shown}"
