# SPDX-License-Identifier: MIT
# Completion of spoolctl for fish.

function _spoolctl
    set -l words (commandline -op)
    set -l token (commandline -ct)
    # What is offered replaces the whole of --option=value.
    set -l head (string match -r -- '^--[^=]+=' "$token")
    for line in (env COMP_WORDS=(commandline -cp | string collect) \
            COMP_CWORD="$token" _SPOOLCTL_COMPLETE=fish_complete \
            $words[1] 2>/dev/null)
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                printf '%s\n' "$head$parts[2]"
        end
    end
end

complete --no-files --keep-order --command spoolctl --arguments '(_spoolctl)'
