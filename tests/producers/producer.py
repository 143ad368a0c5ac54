# SPDX-License-Identifier: MIT
import os
import sys


def drop(spool, name, data):
    with open(f"{spool}/tmp/{name}", "xb") as file:
        os.fchmod(file.fileno(), 0o640)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        os.rename(f"{spool}/tmp/{name}", f"{spool}/incoming/{name}")
        os.fsync(file.fileno())


drop(sys.argv[1], "from-python.job", b"Handler: greet\nArg: Ann\n\n")
drop(sys.argv[1], "from-python.txt", b"a few words\n")
