#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   an install is what layout.txt names, all of it and nothing else, in new files; a build
#         that lacks a part installs nothing.
# Method: a folder with a file for each row, and what benches and demos leave beside them.
set -euo pipefail

readonly INSTALL=$PWD/tools/install/install.sh LAYOUT=$PWD/tools/install/layout.txt
cd "$TEST_TMPDIR"

fail() {
    printf '%s\n' "$@"
    exit 1
}

while IFS=$'\t' read -r kind source path; do
    mkdir -p "out/$(dirname "$path")"
    case $kind in
    link) ln -s "$source" "out/$path" ;;
    bin | run) install -m 755 /dev/null "out/$path" ;;
    *) install -m 644 /dev/null "out/$path" ;;
    esac
    printf '%s\n' "$path"
done < <(grep -v -e '^#' -e '^$' "$LAYOUT") | sort >named
mkdir -p out/bench out/demo target/lib
touch out/bench/table.json out/demo/heap.svg out/lib/leftover target/lib/other
printf 'old\n' >target/lib/libtally.so.0
exec 3<target/lib/libtally.so.0

"$INSTALL" "$PWD/out" "$PWD/target" >printed
(cd target && find . \( -type f -o -type l \) -printf '%P\n' | grep -v '^lib/other$') | sort >installed
diff named installed || fail "what layout.txt names (<) is not what was installed (>)"
diff <(sed "s|^|$PWD/target/|" named) printed || fail "what was installed is not what was said"
[[ -e target/lib/other ]] || fail "a file of somebody else is gone"
[[ $(readlink target/lib/libtally.so) == libtally.so.0 ]] || fail "a link is no link any more"
[[ -x target/bin/jeprof && ! -x target/include/tally.h ]] || fail "modes"
[[ $(cat <&3) == old ]] || fail "a mapped library was written over"

rm out/include/tally.h
! "$INSTALL" "$PWD/out" "$PWD/half" 2>errors || fail "half a build was installed"
[[ ! -e half && $(cat errors) == *"out/include/tally.h is missing"* ]] || fail "half" "$(cat errors)"
