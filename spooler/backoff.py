# SPDX-License-Identifier: MIT
"""
How long a failed job waits before the next run.  Pure: dice are arguments.

Source: exponential backoff with full jitter, as in Brooker, "Exponential
Backoff And Jitter" (2015); without the jitter jobs that failed together
come back together.
"""


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
