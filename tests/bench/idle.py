# SPDX-License-Identifier: MIT
"""What spoold takes when there is nothing to do."""

import os
import time

from bench.scene import Setting


def idle(setting: Setting) -> None:
    """CPU of an idle spoold and its workers."""
    seconds = setting.pick(2, 10, 60)
    with setting.spool() as scene, scene.daemon() as daemon:
        scene.warm()
        pids = [daemon.pid, *daemon.processes()]
        before = {pid: _spent(pid) for pid in pids}
        time.sleep(seconds)
        cpu = switches = 0.0
        for pid, (cpu_before, switches_before) in before.items():
            cpu_s, count = _spent(pid)
            cpu += cpu_s - cpu_before
            switches += count - switches_before
    setting.report.tell(f"idle for {seconds} s, {len(pids)} processes", {
        "CPU": (100 * cpu / seconds, "%"),
        "wake-ups": (switches / seconds, "/s"),
    })


def _spent(pid: int) -> tuple[float, int]:
    """CPU in seconds, and how often it began to wait, of all threads."""
    switches = 0
    cpu_ns = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as stream:
            for line in stream:
                if line.startswith("voluntary_ctxt_switches"):
                    switches += int(line.split()[1])
        with open(f"/proc/{pid}/task/{task}/schedstat") as stream:
            cpu_ns += int(stream.read().split()[0])
    return cpu_ns / 1e9, switches
