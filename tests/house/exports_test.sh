#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   the libraries show the names of tools/install/exports.txt and no other, need the C
#         library alone, and call nothing of it but what tools/install/imports.txt allows.
# Method: nm and readelf over the built files. Nothing is loaded.
set -euo pipefail

failed=0

complain() {
    printf '%s\n' "$1"
    failed=1
}

rows() {
    grep -v -e '^#' -e '^$' "$1" | cut -f 1 | LC_ALL=C sort
}

# same WHAT WANT HAVE: two sorted lists; says which names are missing and which are too many.
same() {
    local differences
    differences=$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | grep '^[<>]' || true)
    if [[ -n $differences ]]; then
        complain "$1 (< missing, > too many):
$differences"
    fi
}

defined() {
    nm "$@" --defined-only --extern-only --format=posix | awk 'NF > 2 { print $1 }' | LC_ALL=C sort
}

check_shared() {
    local library=$1 soname=$2 header

    same "$library exports" "$(rows tools/install/exports.txt)" "$(defined -D "$library")"
    header=$(readelf --wide --dynamic --program-headers "$library")
    [[ $header == *"(SONAME) "*"[$soname]"* ]] || complain "$library: SONAME is not $soname"
    [[ $header != *"(TEXTREL)"* ]] || complain "$library: its text would be written to"
    [[ $header != *"PATH)"* ]] || complain "$library: a search path of its own"
    [[ $header == *"NOW"*"NODELETE"* ]] || complain "$library: not bound at load, or unloadable"
    [[ $header != *"GNU_STACK"*"RWE"* ]] || complain "$library: an executable stack"
    while read -r needed; do
        case $needed in
        libc.so.6 | ld-linux-*.so.*) ;;
        *) complain "$library: needs $needed; it may need the C library alone" ;;
        esac
    done < <(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$header")
}

# What libtally.so calls must be known to be safe inside malloc. A name too many in the list is
# no failure: builds differ in what the compiler makes of memcpy and the like.
check_imports() {
    local name
    while read -r name; do
        name=${name%@*}
        if ! grep -qxF -- "${name%@}" <(rows tools/install/imports.txt); then
            complain "libtally.so: calls ${name%@}, which is not in tools/install/imports.txt"
        fi
    done < <(nm -D --undefined-only --format=posix libtally.so | awk '{ print $1 }')
}

# The list itself: what the installed headers declare, and C++'s 20 operators.
check_list() {
    local declared
    declared=$(sed -n 's/^\(extern \)\{0,1\}[A-Z]*_EXPORT [^(]*[ *]\([a-z_0-9]\{1,\}\)[(;].*/\2/p' \
        ctl/include/jemalloc/jemalloc.h ctl/include/tally.h | LC_ALL=C sort -u)
    same "exports.txt against the headers" \
        "$({ cat <<<"$declared" && echo tally_version; } | LC_ALL=C sort)" \
        "$(rows tools/install/exports.txt | grep -v -e '^_Z' -e malloc_message)"
    [[ $(rows tools/install/exports.txt | grep -c '^_Z[nd]') == 20 ]] ||
        complain "exports.txt: not 20 operators"
}

check_list
check_shared libtally.so libtally.so.0
check_shared compat/libjemalloc.so.2 libjemalloc.so.2
check_imports
same "libtally.a's members" tally.o "$(ar t libtally.a)"
same "libtally.a defines" "$(rows tools/install/exports.txt)" "$(defined libtally.a)"
exit "$failed"
