# SPDX-License-Identifier: MIT
"""The spool.toml that a new spool gets."""

TEMPLATE = """\
# The spool's configuration; spool.toml(5) explains every key.
# spoold reads it at start and on SIGHUP; `spoold -t SPOOL` checks it.
format = 1

# Jobs at once.  0: one per processor.
#workers = 0

# The handler of dropped files that no pattern matches.
#default = "store"

# full: records and output are on disk before the verdict.  relaxed: what
# the kernel has not written yet is lost in a power cut.
#durability = "full"

# How long jobs that are done are kept, with their files and output; without
# it: for ever, or until `spoolctl purge`.  Failed jobs are kept for ever
# unless keep_failed says otherwise.
keep_done = "30d"

# A handler that is a command.  The dropped file, or the body of a job
# document, is its standard input; its arguments follow.  No shell reads it.
#[handler.compress]
#command = ["gzip", "-9"]
#match = ["*.txt", "*.log"]
#timeout = "10m"
#attempts = 3
#backoff = "10s"

# A handler that is a Python function, imported once per worker.
#[handler.thumbnail]
#python = "myapp.jobs:thumbnail"
#concurrency = 2
"""
