#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# install.sh OUT TARGET: copies what layout.txt names from OUT to TARGET, file by file, leaving
# what else lies in either alone: OUT also holds what benches and demos left. TARGET already
# holds DESTDIR.
set -euo pipefail

readonly out=$1 target=$2
layout=$(dirname "${BASH_SOURCE[0]}")/layout.txt
readonly layout

# All or nothing: half an install is worse than none.
mapfile -t paths < <(grep -v -e '^#' -e '^$' "$layout" | cut -f 3 | sort)
for path in "${paths[@]}"; do
    if [[ ! -e $out/$path && ! -L $out/$path ]]; then
        printf 'install: %s is missing; ./dev build makes it\n' "$out/$path" >&2
        exit 1
    fi
done

mkdir -p "$target"
for path in "${paths[@]}"; do
    mkdir -p "$target/$(dirname "$path")"
    # A new file in place of the old one, never the old one rewritten: programs that have the
    # library mapped keep the one they started with.
    rm -f "$target/$path"
    cp -P --preserve=mode "$out/$path" "$target/$path"
    printf '%s\n' "$target/$path"
done
