# SPDX-License-Identifier: BSD-2-Clause
#
# bash-completion for jeprof: its options, read from its own help, and files.

# Each option once, with its "=" if it takes something: the help mentions some without.
_jeprof_options() {
    "$1" --help | grep -oE -e '--[a-z][a-z_-]+=?' |
        awk '{ name = $0; sub(/=$/, "", name); if (!(name in best) || /=$/) best[name] = $0 }
            END { for (name in best) print best[name] }'
}

_jeprof() {
    local word=${COMP_WORDS[COMP_CWORD]}

    # "--output=FILE" is three words here: the file is completed as one.
    if [[ $word == = || ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${word#=}")
        compopt -o filenames
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_jeprof_options "$1")" -- "$word")
        [[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        compopt -o filenames
    fi
}
complete -F _jeprof jeprof
