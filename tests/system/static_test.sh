#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   a program that has libtally.a inside, with a loader or without, is profiled like one
#         under libtally.so, and its stacks begin where its own code does.
# Method: a program that ends with known blocks live, linked both ways; its dump at exit.
set -euo pipefail

export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof ARCHIVE=$PWD/libtally.a
cd "$TEST_TMPDIR"

cat >holder.c <<'TEXT'
#include <stdlib.h>
static void *volatile held[1000];
__attribute__((noinline)) static void hold(int idx) {
    held[idx] = malloc(48);
}
int main(void) {
    for (int idx = 0; idx < 1000; idx++) {
        hold(idx);
    }
    return 0;
}
TEXT

for mode in -rdynamic -static; do
    cc -g -O1 $mode -o holder holder.c "$ARCHIVE" -ldl -lpthread 2>link.log || { cat link.log && exit 1; }
    rm -f heap.*
    MALLOC_CONF=prof:true,lg_prof_sample:0,prof_final:true,prof_prefix:heap ./holder 2>errors ||
        { cat errors && exit 1; }
    table=$("$JEPROF" --text --show_bytes heap.*.f.heap)
    if ! grep -q '^ *48000 .* hold$' <<<"$table" || grep -qE ' (pf|al)_' <<<"$table"; then
        printf '%s: %s\n' "$mode" "$table"
        exit 1
    fi
done
