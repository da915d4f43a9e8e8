#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The layers are one-way (tools/dev/layers.txt). Bazel's visibility refuses a step back between
# packages; this refuses it twice more:
#   layers.sh includes             what each file includes, in milliseconds
#   layers.sh symbols ARCHIVE...   what each folder's objects define and refer to, by nm:
#                                  a declaration written by hand gets past any look at includes
# An archive's path must contain its folder, as Bazel's outputs do.
set -euo pipefail

TALLY_ROOT=${TALLY_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
# shellcheck source=tools/dev/lib.sh
source "$TALLY_ROOT/tools/dev/lib.sh"
cd "$TALLY_ROOT"

failed=0

complain() {
    say "$1"
    failed=1
}

table() {
    grep -v -e '^#' -e '^$' tools/dev/layers.txt
}

# matches PATH PATTERN...: whether the last pattern that fits allows it.
matches() {
    local path=$1 pattern allowed=1
    shift
    for pattern in "$@"; do
        # The patterns are the table's, and meant as patterns.
        # shellcheck disable=SC2254
        case $path in
        ${pattern#!}) [[ $pattern == !* ]] && allowed=1 || allowed=0 ;;
        esac
    done
    return "$allowed"
}

check_includes() {
    local folder _own _known allowed file line path
    local -a patterns=()

    while IFS=$'\t' read -r folder _own _known allowed; do
        read -r -a patterns <<<"$allowed"
        while IFS=: read -r file line path; do
            if ! matches "$path" "${patterns[@]}"; then
                complain "$file:$line: $folder may not include $path"
            fi
        done < <(tree_files "$folder/*.[ch]" "$folder/*.cc" |
            xargs -r grep -Hn '^ *# *include *"' | sed 's/:[^":]*"\([^"]*\)".*/:\1/')
    done < <(table)
}

# One archive of `folder`: its symbols carry `own` or are exported, and it refers up to nobody.
check_archive() {
    local archive=$1 folder=$2 own=$3 known=$4 name prefix

    while read -r name; do
        if [[ $name != "$own"* ]] && ! grep -qxF -- "$name" tools/install/exports.txt; then
            complain "$archive: $name leaves its file; in $folder names begin with $own"
        fi
    done < <(nm --defined-only --extern-only --format=posix "$archive" | awk 'NF > 1 { print $1 }')
    while read -r name; do
        for prefix in al_ pf_ ct_ sy_ jp_; do
            if [[ $name == "$prefix"* && " $known " != *" $prefix "* ]]; then
                complain "$archive: refers to $name; $folder may know only $known"
            fi
        done
    done < <(nm --undefined-only --format=posix "$archive" | awk 'NF > 1 { print $1 }' | sort -u)
}

check_symbols() {
    local archive folder own known _allowed checked

    for archive in "$@"; do
        checked=no
        while IFS=$'\t' read -r folder own known _allowed; do
            if [[ /$archive == */"$folder"/* ]]; then
                check_archive "$archive" "$folder" "$own" "$known"
                checked=yes
            fi
        done < <(table)
        if [[ $checked == no ]]; then
            complain "$archive: of no folder in tools/dev/layers.txt"
        fi
    done
}

case ${1:-} in
includes) check_includes ;;
symbols)
    shift
    check_symbols "$@"
    ;;
*) die "usage: layers.sh includes | symbols ARCHIVE..." ;;
esac
exit "$failed"
