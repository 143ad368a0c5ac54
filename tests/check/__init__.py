# SPDX-License-Identifier: MIT
"""spoolctl check and its --repair: every violation, seeded by hand."""
