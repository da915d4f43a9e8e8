#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   no object refers to a higher layer, and every symbol that leaves its file says where
#         it comes from.
# Method: nm over every archive of the products, against tools/dev/layers.txt; then the same
#         over an archive that breaks both rules, to know that the search finds.
set -euo pipefail

export TALLY_ROOT=$PWD
tools/dev/layers.sh symbols "$@"

mkdir -p "$TEST_TMPDIR/alloc"
cd "$TEST_TMPDIR"
printf 'extern int pf_up(void); int loose(void); int loose(void) { return pf_up(); }\n' >bad.c
cc -c bad.c -o bad.o
ar rcs alloc/libbad.a bad.o
found=$("$TALLY_ROOT/tools/dev/layers.sh" symbols "$TEST_TMPDIR/alloc/libbad.a") && {
    echo "a reference from alloc/ to pf_up passed"
    exit 1
}
[[ $found == *"loose leaves its file"* && $found == *"refers to pf_up"* ]]
