#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# micro.sh [--rounds N] [--only PATTERN]... [--no-instructions]: nanoseconds and instructions of a
# pair of malloc and free, for us and each peer that is installed.
#
# Question: is a pair as cheap as docs/decisions/0001 says, and what do the peers need?
# Method:   one process a pattern and allocator, all alternating in each round, so that the
#           machine's drift hits all alike. Instructions: valgrind counts what malloc and free
#           execute, callees included, in a short and a long run; the difference of the two is
#           what a pair costs, whatever start-up did.
# Noise:    p10..p90 over the rounds; wider than a tenth of the median is marked NOISY, and no
#           conclusion is to be drawn from it.
# Valgrind: refuses the 64 GiB map, so counts are of the fallback with fewer index bits, whose
#           instructions are the same.
set -euo pipefail

: "${TALLY_ROOT:?run me by ./dev bench --micro}"
# shellcheck source=tools/dev/lib.sh
source "$TALLY_ROOT/tools/dev/lib.sh"

rounds=7
instructions=yes
only=()
while [[ $# -gt 0 ]]; do
    case $1 in
    --rounds) rounds=$2 && shift 2 ;;
    --only) only+=("$2") && shift 2 ;;
    --no-instructions) instructions=no && shift ;;
    *) die "bench --micro: what is $1?" ;;
    esac
done

find_bazel
bazel_run build //tests/bench:micro || die "bench: the program does not build"
# shellcheck disable=SC2119
micro=$(bazel_bin)/tests/bench/micro
make_scratch

# name, library: who is there.
names=()
libraries=()
add() {
    local path

    path=$(ldconfig -p | awk -v name="$2" '$1 == name { print $NF; exit }')
    [[ $2 == /* ]] && path=$2
    if [[ -n $path || $2 == none ]]; then
        names+=("$1")
        libraries+=("$path")
    fi
}
add tally "$TALLY_ROOT/out/lib/libtally.so"
add tally-prof "$TALLY_ROOT/out/lib/libtally.so"
add glibc none
add jemalloc libjemalloc.so.2
add mimalloc libmimalloc.so.2
add tcmalloc libtcmalloc_minimal.so.4
add tbbmalloc libtbbmalloc_proxy.so.2

# Each pattern's pairs: about a tenth of a second.
pairs_of() {
    case $1 in
    *large*) echo 100000 ;;
    realloc_growth) echo 200000 ;;
    *) echo 3000000 ;;
    esac
}

# run IDX PATTERN PAIRS [COMMAND...]: under allocator IDX; profiling is on at 512 KiB in tally-prof.
run() {
    local idx=$1 pattern=$2 pairs=$3 conf=

    shift 3
    [[ ${names[idx]} != tally-prof ]] || conf=prof:true,lg_prof_sample:19
    MALLOC_CONF=$conf LD_PRELOAD=${libraries[idx]} "$@" "$micro" "$pattern" "$pairs"
}

# Instructions that malloc, free, calloc and realloc execute, with all they call.
count_once() {
    local idx=$1 pattern=$2 pairs=$3

    # shellcheck disable=SC2046
    run "$idx" "$pattern" "$pairs" valgrind --tool=callgrind --callgrind-out-file="$scratch/cg" \
        --collect-atstart=no $(printf -- '--toggle-collect=%s ' malloc free calloc realloc) \
        >/dev/null 2>"$scratch/valgrind" || return 1
    sed -n 's/^totals: //p; s/^summary: //p' "$scratch/cg" | head -n 1
}

count_pair() {
    local idx=$1 pattern=$2 short long warm=600000 more=400000

    # Long enough for 50,000 live blocks to be replaced over and over; the large ones are slow.
    [[ $pattern != *large* && $pattern != realloc* ]] || { warm=3000 more=2000; }

    short=$(count_once "$idx" "$pattern" "$warm") || { echo -; return; }
    long=$(count_once "$idx" "$pattern" "$((warm + more))") || { echo -; return; }
    awk -v short="$short" -v long="$long" -v more="$more" 'BEGIN { printf "%.1f", (long - short) / more }'
}

row() {
    local pattern=$1 idx sorted

    for idx in "${!names[@]}"; do
        sorted=$(sort -n "$scratch/$pattern.$idx")
        awk -v name="${names[idx]}" -v instructions="$(cat "$scratch/$pattern.$idx.ins")" '
            { ns[NR] = $1 }
            END {
                low = ns[int(1 + (NR - 1) * 0.1)]; mid = ns[int((NR + 1) / 2)]
                high = ns[int(1 + (NR - 1) * 0.9 + 0.5)]
                printf "  %-12s %8.1f ns  (%.1f..%.1f)%s  %s instructions\n", name, mid, low, high,
                    (high - low > mid / 10) ? " NOISY" : "", instructions
            }' <<<"$sorted"
    done
}

mapfile -t patterns < <(if [[ ${#only[@]} -gt 0 ]]; then printf '%s\n' "${only[@]}"; else "$micro"; fi)
for pattern in "${patterns[@]}"; do
    for ((round = 0; round < rounds; round++)); do
        for idx in "${!names[@]}"; do
            run "$idx" "$pattern" "$(pairs_of "$pattern")" >>"$scratch/$pattern.$idx"
        done
    done
    for idx in "${!names[@]}"; do
        echo - >"$scratch/$pattern.$idx.ins"
        if [[ $instructions == yes ]] && command -v valgrind >/dev/null; then
            count_pair "$idx" "$pattern" >"$scratch/$pattern.$idx.ins"
        fi
    done
    say "$pattern"
    row "$pattern"
done
