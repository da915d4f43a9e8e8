#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fill_test.sh LIBRARY PROGRAM: what tests/system/fill.c says, by option; with caches, without, and with
# every object sampled.
set -euo pipefail

library=$(realpath "$1")
program=$(realpath "$2")

for more in '' ,tcache:false ,prof:true,lg_prof_sample:0; do
    while read -r conf new old; do
        if ! MALLOC_CONF=$conf$more LD_PRELOAD=$library "$program" "$new" "$old"; then
            echo "MALLOC_CONF=$conf$more: fill $new $old"
            exit 1
        fi
    done <<'TABLE'
junk:true a5 5a
junk:alloc a5 -
junk:free - 5a
zero:true 0 -
zero:true,junk:free 0 5a
zero:true,junk:true 0 5a
TABLE
done
