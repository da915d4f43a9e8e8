#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   the leak report names places by addresses that addr2line takes as they are, in a program
#         that is loaded anywhere, in one that is not, and in a library; prof_leak_error ends with
#         status 1 and loses nothing of what the program printed, whatever its threads wait for;
#         and it says so when it can have no effect.
# Method: a program that leaks at one place, linked each way.
set -euo pipefail

library=$(realpath "$1")
cd "$TEST_TMPDIR"
readonly LEAKY=prof:true,lg_prof_sample:0,prof_leak:true,prof_final:true,prof_prefix:leak

fail() {
    printf '%s\n' "$@"
    exit 1
}

cat >leaky.c <<'TEXT'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void *volatile held;
__attribute__((noinline)) void leak_it(void) {
    held = malloc(1000000);
}
static void *read_input(void *arg) {
    return getchar() == EOF ? arg : NULL;
}
#ifndef IS_LIBRARY
int main(void) {
    pthread_t thread;
    leak_it();
    printf("result: 42\n");
    if (pthread_create(&thread, NULL, read_input, NULL) == 0) {
        usleep(200000);
    }
    return 0;
}
#endif
TEXT
cat >user.c <<'TEXT'
void leak_it(void);
int main(void) {
    leak_it();
    return 0;
}
TEXT
cc -g -O1 -pie -fPIE -o pie leaky.c -lpthread
cc -g -O1 -no-pie -o nopie leaky.c -lpthread
# Its code is not where the file has it.
cc -g -O1 -no-pie -Wl,-Ttext-segment=0x10000000 -o moved leaky.c -lpthread
cc -g -O1 -shared -fPIC -DIS_LIBRARY -o libleaky.so leaky.c
cc -g -O1 -o user user.c ./libleaky.so

# Nothing ever comes from it.
mkfifo input
exec 3<>input

# run CONF PROGRAM: its status in $status.
run() {
    status=0
    timeout 20 env MALLOC_CONF="$1" LD_PRELOAD="$library" "./$2" >out 2>errors <&3 || status=$?
}

# The first two places of the report's first site, as "file address".
for program in pie nopie moved user; do
    run $LEAKY $program
    [[ $status == 0 ]] || fail "$program ended with $status" "$(cat errors)"
    line=$(grep -m 1 ' bytes (95 %: ' errors) || fail "$program: no site" "$(cat errors)"
    names=$(sed 's/.*, at //; s/ < /\n/g' <<<"$line" | head -n 2 | while IFS=+ read -r file address; do
        addr2line -f -e "$file" "$address" | head -n 1
    done | paste -sd ' ')
    [[ $names == "leak_it main" ]] || fail "$program: addr2line names $names" "$line"
done

# Standard output is a file here: all of it is still in stdio's buffer when we decide.
for program in pie nopie; do
    run $LEAKY,prof_leak_error:true $program
    [[ $status == 1 ]] || fail "$program: status $status" "$(cat errors)"
    [[ $(cat out) == "result: 42" ]] || fail "$program: printed: $(cat out)"
    grep -q '^<jemalloc>: prof_leak_error: leaks remain, exit status 1$' errors || fail "$(cat errors)"
done

# Without prof_final it has no effect, which is said, and stops the program if that was asked for.
readonly UNHEARD='<jemalloc>: prof_leak_error is set w/o prof_final.'
run abort_conf:false,prof:true,prof_leak:true,prof_leak_error:true pie
[[ $status == 0 && $(head -n 1 errors) == "$UNHEARD" ]] || fail "$status" "$(cat errors)"
run abort_conf:true,prof:true,prof_leak_error:true pie
[[ $status == 134 && $(head -n 2 errors) == "$UNHEARD
<jemalloc>: Abort (abort_conf:true) on invalid conf value (see above)." ]] || fail "$status" "$(cat errors)"
run abort_conf:true,$LEAKY,prof_leak_error:true pie
[[ $status == 1 ]] || fail "abort_conf: $status" "$(cat errors)"
