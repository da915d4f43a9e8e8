#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# install.sh OUT TARGET: copies the install tree to TARGET, file by file, leaving what else lies
# there alone. TARGET already holds DESTDIR.
set -euo pipefail

readonly out=$1 target=$2

mkdir -p "$target"
(cd "$out" && find . \( -type f -o -type l \) -printf '%P\n') | sort | while IFS= read -r path; do
    mkdir -p "$target/$(dirname "$path")"
    # A new file in place of the old one, never the old one rewritten: programs that have the
    # library mapped keep the one they started with.
    rm -f "$target/$path"
    cp -P --preserve=mode "$out/$path" "$target/$path"
    printf '%s\n' "$target/$path"
done
