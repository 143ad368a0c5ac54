# SPDX-License-Identifier: MIT
"""
How long a failed job waits before the next run.  Pure: dice are arguments.

Source: exponential backoff with full jitter, as in Brooker, "Exponential
Backoff And Jitter" (2015); without the jitter jobs that failed together
come back together.
"""

#: Beyond the longest wait, for what moves between clock and file.
_SLACK_S = 60.0


def delay_s(failures: int, base_s: float, cap_s: float, dice: float) -> float:
    """
    Seconds to wait after the *failures*-th failure.

    Args:
        failures: 1 for the first.
        base_s: upper bound of the first wait.
        cap_s: upper bound of any wait.
        dice: uniform in [0, 1).

    Returns:
        Uniform in [0, min(cap_s, base_s * 2 ** (failures - 1))).
    """
    if failures < 1:
        raise ValueError(f"failures starts at 1, not {failures}")
    # 2.0 ** 64 seconds is beyond any cap; a larger power would overflow.
    return dice * min(cap_s, base_s * 2.0 ** min(failures - 1, 64))


def nearer_ns(
    due_ns: int, now_ns: int, base_s: float, cap_s: float
) -> int | None:
    """
    When to retry a job that no wait can have put off as far as *due_ns*.

    The clock was set back meanwhile, or the cap was lowered.

    Returns:
        A moment one first wait from *now_ns*; None: *due_ns* can be right.
    """
    if due_ns - now_ns <= (cap_s + _SLACK_S) * 1e9:
        return None
    return now_ns + round(min(base_s, cap_s) * 1e9)
