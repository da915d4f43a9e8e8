#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   the main job, whole: a server that leaks is profiled, and jeprof names the function.
# Method: leaky_server under the library at three rates; the dumps of both formats; the table,
#         the stacks and the graph. The leak is 20,000 records of 960 bytes: at 512 KiB some 40
#         samples, whose sum is wrong by a factor of two once in some thousand runs.
set -euo pipefail

export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof SERVER=$PWD/tests/demo/leaky_server LIBRARY=$PWD/libtally.so
cd "$TEST_TMPDIR"

fail() {
    echo "$1"
    exit 1
}

# profile NAME CONF: runs the server; the final dump is NAME.
profile() {
    MALLOC_CONF=prof:true,prof_final:true,prof_prefix:run.$1,$2 LD_PRELOAD=$LIBRARY "$SERVER" ||
        fail "the server failed with $2"
    mv run."$1".*.f.heap "$1.heap"
}

# first TABLE: the name in the first row.
first() {
    sed -n '2s/^\( *[^ ]*\)\{5\} //p' <<<"$1"
}

for rate in 0 12 19; do
    profile "rate$rate" lg_prof_sample:$rate
    table=$("$JEPROF" --text "rate$rate.heap")
    [[ $(first "$table") == remember_session ]] ||
        fail "at lg_prof_sample:$rate the first row is not remember_session: $table"
done

# At rate 0 the numbers are exact: 20,000 records, their names and their histories.
exact=$("$JEPROF" --text --inuse_objects rate0.heap)
[[ $exact =~ ' 40000 '[^$'\n']*' remember_session' ]] || fail "not 40,000 objects: $exact"

"$JEPROF" --collapsed rate12.heap | grep -q ';serve;handle_line;remember_session ' ||
    fail "the stack does not lead through serve and handle_line"
"$JEPROF" --dot rate12.heap | grep -q 'label="remember_session' || fail "not in the graph"
"$JEPROF" --svg -o graph.svg rate12.heap
grep -q remember_session graph.svg || fail "not in the SVG"

# Whoever walks finds the same.
for unwinder in libunwind libgcc; do
    profile "$unwinder" "lg_prof_sample:12,prof_unwinder:$unwinder"
    table=$("$JEPROF" --text "$unwinder.heap")
    [[ $(first "$table") == remember_session ]] || fail "by $unwinder: $table"
done

# The difference of two runs of the same load is noise around nothing; exact runs differ by none.
profile again lg_prof_sample:0
[[ $("$JEPROF" --text --base=rate0.heap again.heap 2>/dev/null) != *remember_session* ]] ||
    fail "two exact runs of the same load differ"
