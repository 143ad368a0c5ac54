# SPDX-License-Identifier: MIT
drop() { # SPOOL NAME; the file is read from standard input
    (umask 027 && set -C && cat >"$1/tmp/$2") && sync "$1/tmp/$2" &&
        mv "$1/tmp/$2" "$1/incoming/$2"
}

printf 'Handler: greet\nArg: %s\n\n' Ann | drop "$1" from-sh.job
echo "a few words" | drop "$1" from-sh.txt
