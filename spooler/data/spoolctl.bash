# SPDX-License-Identifier: MIT
# Completion of spoolctl for bash 4.4 or newer.

_spoolctl() {
    local IFS=$'\n' line value quoted word
    local -a words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        # bash parts --option=value into three words.
        if [[ $word == = && ${words[-1]} == --* ]]; then
            word=
            [[ ${COMP_WORDS[COMP_CWORD]} == = ]] || continue
        fi
        words+=("$word")
    done
    COMPREPLY=()
    while read -r line; do
        value=${line#*,}
        case $line in
        dir,*) compopt -o dirnames ;;
        file,*) compopt -o default ;;
        plain,*)
            # A name is whatever a producer chose: bash must not act on it.
            printf -v quoted %q "$value"
            if [[ $word != [\"\']* ]]; then
                COMPREPLY+=("$quoted")
            elif [[ $quoted == "$value" ]]; then
                COMPREPLY+=("${word:0:1}$value")
            fi
            ;;
        esac
    done < <(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \
        _SPOOLCTL_COMPLETE=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F _spoolctl spoolctl
