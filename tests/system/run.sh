#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh LIBRARY PROGRAM [ARG...]: the program must end well under each of the library's ways of
# working: as it is, profiled at three rates, without thread caches, in one arena and in several. A program that
# has not ended after a minute is taken to hang.
set -euo pipefail

library=$(realpath "$1")
program=$(realpath "$2")
shift 2
args=()
for arg in "$@"; do
    if [[ -e $arg ]]; then # a file of ours, named from the folder we are about to leave
        arg=$(realpath "$arg")
    fi
    args+=("$arg")
done
cd "$TEST_TMPDIR"

for conf in '' dirty_decay_ms:3000,narenas:1 prof:true,lg_prof_sample:19 prof:true,lg_prof_sample:12,lg_prof_interval:22,narenas:4 \
    prof:true,lg_prof_sample:0,prof_final:true tcache:false narenas:8 dirty_decay_ms:0; do
    echo "== MALLOC_CONF=$conf"
    status=0
    timeout --kill-after=5 60 env MALLOC_CONF="$conf" LD_PRELOAD="$library" "$program" "${args[@]}" || status=$?
    if [[ $status -ne 0 ]]; then
        echo "$(basename "$program") ended with $status under MALLOC_CONF=$conf"
        exit 1
    fi
done
