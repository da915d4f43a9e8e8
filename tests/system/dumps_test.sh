#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   a dump ends up where it was asked for, whole, or fails in words and leaves nothing; it
#         stops nobody else; a child of fork writes its own; and exit waits for what is being
#         written.
# Method: dumps.c does it, this looks at the folder afterwards.
set -euo pipefail

library=$(realpath "$1")
dumps=$(realpath "$2")
cd "$TEST_TMPDIR"
readonly SAMPLED=prof:true,lg_prof_sample:0

fail() {
    printf '%s\n' "$@"
    exit 1
}

# run CONF ARG...: in a folder of its own, by name of the first argument.
run() {
    local conf=$1
    shift
    rm -rf run && mkdir run && cd run
    timeout 60 env MALLOC_CONF="$conf" LD_PRELOAD="$library" "$dumps" "$@" >../out 2>../errors ||
        fail "$* ended with $?" "$(cat ../errors)"
    cd ..
}

# Every file here is a whole profile, and there is one at least.
all_whole() {
    local file

    [[ -n $(ls -A run) ]] || fail "$1: no dump"
    for file in run/* run/.[!.]*; do
        [[ -e $file ]] || continue
        [[ $file == *.heap ]] || fail "$1: left behind: $file"
        [[ $(head -n 1 "$file") == heap_v2/* ]] || fail "$1: $file does not begin"
        grep -q '^MAPPED_LIBRARIES:$' "$file" || fail "$1: $file has no maps"
        grep -q '\[stack\]$' "$file" || fail "$1: $file does not end"
    done
}

# Standard output, by its names; not by /dev/stdout itself, which a failure would replace for all.
ln -s /proc/self/fd/1 stdout
for name in "$PWD/stdout" /proc/self/fd/1 /dev/fd/1; do
    run $SAMPLED to "$name"
    [[ -L stdout ]] || fail "the link is none any more"
    [[ $(head -n 1 out) == heap_v2/1 && ! -s errors ]] || fail "$name: not written" "$(cat errors)"
done

# What cannot be written is told by mallctl; a FIFO that nobody reads also in words.
rm -rf fifo
mkfifo fifo
run $SAMPLED to /dev/full /nonexistent/x.heap "$PWD/fifo" plain.heap
want="/dev/full: EFAULT
/nonexistent/x.heap: EFAULT
<jemalloc>: failed to write \"$PWD/fifo\": nobody reads from it
$PWD/fifo: EFAULT"
[[ $(cat errors) == "$want" ]] || fail "the failures read" "$(cat errors)"
all_whole "after failures"

# A reader who is gone: EFAULT and no signal.
for name in "$PWD/stdout" /proc/self/fd/1; do
    status=$(
        set +o pipefail
        { env MALLOC_CONF=$SAMPLED LD_PRELOAD="$library" bash -c 'sleep 0.3; exec "$@"' - "$dumps" to "$name" 2>errors
            echo $? >status; } | true
        while [[ ! -s status ]]; do sleep 0.1; done
        cat status && rm status
    )
    [[ $status == 0 && $(cat errors) == *"$name: EFAULT" ]] || fail "gone reader: $status" "$(cat errors)"
done

# A child of fork writes automatic dumps of its own.
run "$SAMPLED,lg_prof_interval:20,prof_prefix:auto" child 3
child=$(cat out)
compgen -G "run/auto.$child.*.i*.heap" >/dev/null || fail "no dump of the child" "$(ls run)"
all_whole "child"

# Exit waits: for a dump of another thread, for automatic ones, with and without prof:true.
for round in 1 2 3 4 5 6 7 8; do
    run $SAMPLED race
    all_whole "race $round"
    run "$SAMPLED,prof_final:true" race
    all_whole "race and final $round"
    run "" race
    all_whole "race without prof:true $round"
    run "$SAMPLED,lg_prof_interval:20,prof_prefix:auto" interval
    all_whole "interval $round"
done

# A dump that waits for its reader holds nobody up.
run $SAMPLED blocked a-fifo
rm run/a-fifo
all_whole "blocked"
