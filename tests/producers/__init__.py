# SPDX-License-Identifier: MIT
"""Producers in many languages, with nothing of ours; the README shows them."""
