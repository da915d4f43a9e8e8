#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# instructions_test.sh LIBRARY MICRO: a pair of malloc and free costs at most 34 instructions with all
# that it calls (docs/decisions/0001): in each pattern with profiling off, and with samples too rare to
# come. Counts are exact and the same on a busy machine. What samples add is measured, not held here:
# it takes eight million pairs.
set -euo pipefail

readonly INSTRUCTIONS_MAX=34 WARM_PAIRS=600000 MORE_PAIRS=400000

library=$(realpath "$1")
micro=$(realpath "$2")

if grep -q 'internal: alloc/' "$library"; then
    echo "a build with AL_ASSERT: nothing to count"
    exit 0
fi

# count_once PATTERN PAIRS CONF
count_once() {
    MALLOC_CONF=$3 LD_PRELOAD=$library valgrind --tool=callgrind \
        --callgrind-out-file="$TEST_TMPDIR/counts" --collect-atstart=no --toggle-collect=malloc \
        --toggle-collect=free "$micro" "$1" "$2" >/dev/null 2>"$TEST_TMPDIR/errors"
    sed -n 's/^totals: //p; s/^summary: //p' "$TEST_TMPDIR/counts" | head -n 1
}

status=0
# check PATTERN CONF: what start-up and the first filling of the lists cost drops out.
check() {
    local short long

    short=$(count_once "$1" "$WARM_PAIRS" "$2")
    long=$(count_once "$1" "$((WARM_PAIRS + MORE_PAIRS))" "$2")
    awk -v short="$short" -v long="$long" -v more="$MORE_PAIRS" -v most="$INSTRUCTIONS_MAX" \
        -v name="$1 $2" 'BEGIN {
            each = (long - short) / more
            printf "%-40s %.2f\n", name, each
            exit !(each > 20 && each <= most)
        }' || status=1
}

for pattern in pair_64 lifo_64 fifo_64 random_64_1k random_64_50k; do
    check "$pattern" ''
done
check pair_64 prof:true,prof_final:false,lg_prof_sample:40
exit "$status"
