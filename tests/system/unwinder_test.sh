#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   each walker that prof_unwinder names is the one that is used; stacks of all of them agree.
#         libunwind is used wherever a library can be loaded, also where the loader was started by
#         hand; where none can, or there is none, one message says why and what follows.
# Method: one program, linked with a loader and without, started in each way.
set -euo pipefail

library=$(realpath "$1")
archive=$(realpath "$2")
cd "$TEST_TMPDIR"
readonly CONF=prof:true,lg_prof_sample:0,stats_print:true

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
export MALLOC_CONF=$CONF
for program in ./static ./static_pie ./inside "env LD_PRELOAD=$library ./plain"; do
    # shellcheck disable=SC2086
    uses tables "$NOTHING" $program
done
for unwinder in tables libgcc frame_pointers; do
    MALLOC_CONF=$CONF,prof_unwinder:$unwinder uses $unwinder "$NOTHING" env LD_PRELOAD="$library" ./plain
done

export MALLOC_CONF=$CONF,prof_unwinder:libunwind
uses libunwind "$NOTHING" env LD_PRELOAD="$library" ./plain
uses libunwind "$NOTHING" "$loader" --preload "$library" ./plain
uses libunwind "$NOTHING" ./inside
uses libunwind "$NOTHING" "$loader" ./inside
for program in static static_pie; do
    uses tables '<jemalloc>: a static program opens no library: .*' ./$program
done

# Something of that name that is no library.
mkdir empty && : >empty/libunwind.so.8
uses tables '<jemalloc>: libunwind.so.8 cannot be loaded: .*apt install libunwind8.' \
    env LD_LIBRARY_PATH="$PWD/empty" LD_PRELOAD="$library" ./plain

# The same stacks, address by address: C calls through the library's qsort, and a realigned stack.
cat >stacks.c <<'TEXT'
#include <stdlib.h>
static void *volatile held;
static int compare(const void *left, const void *right) {
    held = malloc(10);
    return *(const int *)left - *(const int *)right;
}
static __attribute__((noinline)) void aligned(int depth) {
    int values[8] __attribute__((aligned(64))) = {3, 1, 2, depth, 5};
    volatile char room[depth * 16 + 1];
    room[0] = 0;
    qsort(values, 8, sizeof(*values), compare);
    if (depth > 0) {
        aligned(depth - 1);
    }
    held = malloc(20 + (size_t)room[0] + (size_t)values[0] % 2);
}
int main(void) {
    aligned(20);
    return 0;
}
TEXT
for flags in "-O0" "-O2 -fomit-frame-pointer" "-O2 -fno-omit-frame-pointer"; do
    # shellcheck disable=SC2086
    cc $flags -fno-builtin-malloc -no-pie -o stacks stacks.c
    for unwinder in tables libgcc libunwind; do
        # No address is random, so that the dumps can be compared.
        MALLOC_CONF=prof:true,lg_prof_sample:0,prof_accum:true,prof_final:true,prof_prefix:$unwinder,prof_unwinder:$unwinder \
            LD_PRELOAD=$library setarch --addr-no-randomize ./stacks
        # libunwind itself allocates, and lies between the libraries: the program's frames count.
        grep '^@' "$unwinder".*.heap | grep -o ' 0x0*4[0-9a-f]\{5\}\>.*' | sed 's/ 0x7f[0-9a-f]*/ lib/g' | sort -u >"$unwinder.stacks"
        rm -f "$unwinder".*.heap
    done
    [[ $(wc -l <tables.stacks) -gt 40 ]] || fail "$flags: too few stacks" "$(cat tables.stacks)"
    for unwinder in libgcc libunwind; do
        cmp tables.stacks "$unwinder.stacks" || fail "$flags: $unwinder disagrees"
    done
done
