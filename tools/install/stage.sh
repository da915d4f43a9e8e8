#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# stage.sh BAZEL_BIN OUT: lays the install tree out in OUT, as layout.txt says. What a former
# run left there and the table no longer names goes away: OUT is made anew and swapped in.
set -euo pipefail

: "${TALLY_ROOT:?run me by ./dev build}"
# shellcheck source=tools/dev/lib.sh
source "$TALLY_ROOT/tools/dev/lib.sh"

readonly bazel_bin=$1 out=$2
readonly fresh=$out.new

# The one place of the version is the installed header.
version_of() {
    sed -n 's/^#define TALLY_VERSION "\(.*\)"$/\1/p' "$TALLY_ROOT/ctl/include/tally.h"
}

place() {
    local kind=$1 source=$2 path=$fresh/$3

    mkdir -p "$(dirname "$path")"
    case $kind in
    bin) install -m 755 "$bazel_bin/$source" "$path" ;;
    lib) install -m 644 "$bazel_bin/$source" "$path" ;;
    run) install -m 755 "$TALLY_ROOT/$source" "$path" ;;
    src) install -m 644 "$TALLY_ROOT/$source" "$path" ;;
    link) ln -s "$source" "$path" ;;
    *) die "layout.txt: what is a row of kind $kind?" ;;
    esac
}

main() {
    local kind source path version

    version=$(version_of)
    [[ -n $version ]] || die "ctl/include/tally.h defines no TALLY_VERSION"
    rm -rf "$fresh"
    while IFS=$'\t' read -r kind source path; do
        place "$kind" "$source" "$path"
    done < <(grep -v -e '^#' -e '^$' "$TALLY_ROOT/tools/install/layout.txt")
    sed -i "s/@VERSION@/$version/" "$fresh/lib/pkgconfig/tally.pc" "$fresh/bin/jeprof" \
        "$fresh/share/man/man1/jeprof.1" "$fresh/share/man/man3/tally.3"
    # Folder by folder: what benches leave in out/ stays.
    mkdir -p "$out"
    for path in "$fresh"/*; do
        rm -rf "${out:?}/${path##*/}"
        mv "$path" "$out/"
    done
    rmdir "$fresh"
}

main
