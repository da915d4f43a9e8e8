#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   options come from where the documentation says, and what is wrong with them is said once,
#         in jemalloc's words, before the program does anything.
# Method: a program that reads its own options back, under one source at a time.
set -euo pipefail

readonly LIBRARY=$PWD/libtally.so SHOW=$PWD/tests/system/show_conf SHOW_OWN=$PWD/tests/system/show_conf_own
cd "$TEST_TMPDIR"

fail() {
    printf '%s\n' "$@"
    exit 1
}

# ends STATUS OUTPUT ERRORS CONF PROGRAM: all three as given; "*" stands for anything.
ends() {
    local status=0

    MALLOC_CONF=$4 LD_PRELOAD=$LIBRARY "$5" >out 2>errors || status=$?
    # Patterns are meant as such.
    # shellcheck disable=SC2053
    [[ $status == "$1" && $(cat out) == $2 && $(cat errors) == $3 ]] ||
        fail "MALLOC_CONF=$4: status $status, output: $(cat out), errors: $(cat errors)"
}

ends 0 'lg_prof_sample 19 tcache 1 arena*' '' '' "$SHOW"
ends 0 'lg_prof_sample 12 tcache 0 arena*' '' lg_prof_sample:12,tcache:false "$SHOW"
# A program's own string comes before the environment's, which wins.
ends 0 'lg_prof_sample 7 tcache 1 arena*' '' '' "$SHOW_OWN"
ends 0 'lg_prof_sample 9 tcache 1 arena*' '' lg_prof_sample:9 "$SHOW_OWN"

ends 0 'lg_prof_sample 19 tcache 0 arena*' '<jemalloc>: Invalid conf pair: nonsense:1' abort_conf:false,nonsense:1,tcache:false "$SHOW"
ends 0 'lg_prof_sample 19 tcache 1 arena*' '<jemalloc>: Invalid conf value: tcache:perhaps' abort_conf:false,tcache:perhaps "$SHOW"
ends 134 '' '*<jemalloc>: Invalid conf pair: nonsense:1*Abort (abort_conf:true)*' abort_conf:true,nonsense:1 "$SHOW"
ends 0 'lg_prof_sample 19 tcache 0 arena*' '*<jemalloc>: -- Set conf value: tcache:false*' confirm_conf:true,tcache:false "$SHOW"

# Automatic arenas come first; created ones after them.
ends 0 '* arena 4' '' narenas:4 "$SHOW"

# Statistics at exit, in text.
ends 0 '*' '*___ Begin jemalloc statistics ___*allocated: *--- End jemalloc statistics ---*' stats_print:true "$SHOW"
# What leaks is reported with an interval, and may decide the exit status.
ends 1 '*' '*<jemalloc>: Leak approximation summary: *95 %: *' prof:true,lg_prof_sample:0,prof_leak:true,prof_leak_error:true,prof_final:true,prof_prefix:leak "$SHOW"
# A dump that cannot be written is said, and the program ends as it would have.
ends 0 '*' '*/nonexistent/x.*' prof:true,prof_final:true,prof_prefix:/nonexistent/x "$SHOW"

# A dump at each new maximum of address space, numbered by itself.
MALLOC_CONF=prof:true,prof_gdump:true,prof_prefix:gdump LD_PRELOAD=$LIBRARY \
    perl -e 'my @held = map { "x" x 1_000_000 } 1 .. 60; sleep 1;' >out 2>errors || fail "gdump: $(cat errors)"
for number in 0 1; do
    compgen -G "gdump.*.u$number.heap" >names || fail "no dump u$number: $(ls)"
done
