#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# start_test.sh LIBRARY PROGRAM: tests/system/start.c, as it is and with profiling on.
set -euo pipefail

readonly LIBRARY=$PWD/$1 PROGRAM=$2 OURS_KIB_MAX=144

for conf in '' prof:true; do
    "$PROGRAM" "$LIBRARY" "$conf" >"$TEST_TMPDIR/log" || {
        echo "under MALLOC_CONF=$conf"
        exit 1
    }
    alone_kib=$("$PROGRAM")
    with_kib=$(LD_PRELOAD=$LIBRARY MALLOC_CONF=$conf "$PROGRAM")
    if [[ $((with_kib - alone_kib)) -gt $OURS_KIB_MAX ]]; then
        echo "under MALLOC_CONF=$conf: $((with_kib - alone_kib)) KiB of ours; at most $OURS_KIB_MAX"
        exit 1
    fi
done
