# SPDX-License-Identifier: MIT
"""What is built of a checkout, and what of that gets installed."""
