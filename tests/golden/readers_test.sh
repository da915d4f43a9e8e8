#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   what the library writes is read by everybody's tools, and all of them and ours see the
#         same: Debian's jeprof (text), go tool pprof (protobuf, without any flag), our jeprof
#         (both).
# Method: a program with known contents, sampled exactly (rate 0) and at 4 KiB; it dumps itself
#         in both formats at the same moment. At rate 0 the numbers are known to the byte.
set -euo pipefail

readonly LIBRARY=$PWD/libtally.so HOLDER=$PWD/tests/golden/holder
export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof
cd "$TEST_TMPDIR"
# go tool pprof wants folders of its own.
export HOME=$PWD PPROF_TMPDIR=$PWD GOCACHE=$PWD/go GOFLAGS=-mod=mod PPROF_BINARY_PATH=/nonexistent

fail() {
    printf '%s\n' "$@"
    exit 1
}

for rate in 0 12; do
    MALLOC_CONF=prof:true,lg_prof_sample:$rate LD_PRELOAD=$LIBRARY "$HOLDER" "rate$rate.heap" \
        "rate$rate.pb.gz" || fail "the program failed"
done

# cumulative NAME TABLE: the cumulative column (the fourth) of a name.
cumulative() {
    awk -v name="$1" '$6 == name { print $4 }' <<<"$2"
}

# At rate 0: 100,000 objects of 48 bytes and 300 of 100,000, which take 102,400.
for dump in rate0.heap rate0.pb.gz; do
    table=$("$JEPROF" --text --show_bytes "$dump")
    [[ $(cumulative hold_small "$table") == 4800000 ]] || fail "$dump: not 4,800,000 bytes" "$table"
    [[ $(cumulative hold_large "$table") == 30720000 ]] || fail "$dump: not 30,720,000 bytes" "$table"
    table=$("$JEPROF" --text --inuse_objects "$dump")
    [[ $(cumulative hold_small "$table") == 100000 ]] || fail "$dump: not 100,000 objects" "$table"
done

# Debian's jeprof names and counts the same, to its rounding of a tenth of a MB.
for rate in 0 12; do
    ours=$("$JEPROF" --text "rate$rate.heap")
    theirs=$(/usr/bin/jeprof --text "$HOLDER" "rate$rate.heap" 2>/dev/null)
    for name in hold_small hold_large main; do
        [[ -n $(cumulative $name "$ours") ]] || fail "ours does not name $name" "$ours"
        [[ $(cumulative $name "$ours") == "$(cumulative $name "$theirs")" ]] ||
            fail "rate $rate: $name differs from Debian's jeprof" "$ours" "$theirs"
    done
done

# The two formats of one moment hold the same estimate.
text=$("$JEPROF" --text --show_bytes rate12.heap)
proto=$("$JEPROF" --text --show_bytes rate12.pb.gz)
for name in hold_small hold_large main; do
    awk -v a="$(cumulative $name "$text")" -v b="$(cumulative $name "$proto")" \
        'BEGIN { exit !(a > 0 && (a - b) ^ 2 <= (a / 1000) ^ 2) }' ||
        fail "$name: the formats differ" "$text" "$proto"
done

# Without a flag go tool pprof shows bytes in use, by name.
top=$(go tool pprof -top rate0.pb.gz 2>/dev/null)
[[ $top == *"Type: inuse_space"* ]] || fail "pprof does not show bytes in use first" "$top"
[[ $top =~ 29\.30MB[^$'\n']*hold_large ]] || fail "pprof: not 29.30 MB in hold_large" "$top"
[[ $top =~ 4\.58MB[^$'\n']*hold_small ]] || fail "pprof: not 4.58 MB in hold_small" "$top"
raw=$(go tool pprof -raw rate12.pb.gz 2>/dev/null)
[[ $raw == *"PeriodType: space bytes"*"Period: 4096"* ]] || fail "pprof: period" "$raw"
