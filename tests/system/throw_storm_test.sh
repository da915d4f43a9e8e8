#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# throw_storm.cc under each walker, every allocation sampled; one that has not ended half a minute
# after its time is taken to hang. STORM_SECONDS (3) makes each longer:
#   ./dev test --test_env=STORM_SECONDS=60 //tests/system:throw_storm_test
set -euo pipefail

library=$(realpath "$1")
storm=$(realpath "$2")
plugin=$(realpath "$3")
seconds=${STORM_SECONDS:-3}
cd "$TEST_TMPDIR"

for unwinder in tables libgcc libunwind; do
    status=0
    timeout --kill-after=5 $((seconds + 30)) env LD_PRELOAD="$library" \
        MALLOC_CONF="prof:true,lg_prof_sample:0,prof_final:true,prof_prefix:$unwinder,prof_unwinder:$unwinder" \
        "$storm" "$plugin" "$seconds" >out || status=$?
    echo "$unwinder: $(cat out)"
    if [[ $status -ne 0 ]]; then
        echo "the storm ended with $status"
        exit 1
    fi
    [[ -s $(echo "$unwinder".*.f.heap) ]] || { echo "no dump at the end" && exit 1; }
    rm "$unwinder".*.f.heap
done
