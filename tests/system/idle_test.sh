#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# idle_test.sh LIBRARY PROGRAM: tests/system/idle.c, with memory purged for real and lazily.
set -euo pipefail

library=$(realpath "$1")
program=$(realpath "$2")

for conf in dirty_decay_ms:500 dirty_decay_ms:300,muzzy_decay_ms:300 dirty_decay_ms:500,retain:false; do
    if ! MALLOC_CONF=background_thread:true,$conf LD_PRELOAD=$library timeout 120 "$program"; then
        echo "failed under $conf"
        exit 1
    fi
done
