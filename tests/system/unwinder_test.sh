#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   libunwind is used wherever a library can be loaded, also where the loader was started by
#         hand; where none can, or there is none, one message says why and what follows.
# Method: one program, linked with a loader and without, started in each way.
set -euo pipefail

library=$(realpath "$1")
archive=$(realpath "$2")
cd "$TEST_TMPDIR"
export MALLOC_CONF=prof:true,lg_prof_sample:0,stats_print:true

fail() {
    printf '%s\n' "$@"
    exit 1
}

cat >holder.c <<'TEXT'
#include <stdlib.h>
static void *volatile held;
int main(void) {
    held = malloc(100);
    return 0;
}
TEXT
loader=$(readelf -l /bin/true | sed -n 's/.*interpreter: \(.*\)]/\1/p')
cc -o plain holder.c
cc -rdynamic -o inside holder.c "$archive" -ldl -lpthread
cc -static -o static holder.c "$archive" -ldl -lpthread 2>link.log || fail "$(cat link.log)"
cc -static-pie -fPIE -o static_pie holder.c "$archive" -ldl -lpthread 2>link.log || fail "$(cat link.log)"

# uses UNWINDER FIRST_LINE COMMAND...
uses() {
    local unwinder=$1 first=$2
    shift 2
    "$@" >out 2>&1 || fail "$* ended with $?" "$(cat out)"
    grep -q "^ *unwinder: \"$unwinder\"$" out || fail "$*: not by $unwinder" "$(grep unwinder out)"
    [[ $(head -n 1 out) =~ ^$first$ ]] || fail "$*: says $(head -n 1 out)"
}

readonly NOTHING='___ Begin jemalloc statistics ___'
uses libunwind "$NOTHING" env LD_PRELOAD="$library" ./plain
uses libunwind "$NOTHING" "$loader" --preload "$library" ./plain
uses libunwind "$NOTHING" ./inside
uses libunwind "$NOTHING" "$loader" ./inside
for program in static static_pie; do
    uses libgcc '<jemalloc>: a static program opens no library: .*' ./$program
done

# Something of that name that is no library.
mkdir empty && : >empty/libunwind.so.8
uses libgcc '<jemalloc>: libunwind.so.8 cannot be loaded: .*apt install libunwind8.' \
    env LD_LIBRARY_PATH="$PWD/empty" LD_PRELOAD="$library" ./plain
