#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# mib_client_test.sh COMPAT_LIBRARY SOURCE
#
# Goal:   a program built against Debian's jemalloc that polls statistics by MIB runs on ours unchanged.
# Method: compiled with its header, linked with its library; run by LD_LIBRARY_PATH.
set -euo pipefail

compat=$PWD/$(dirname "$1") source=$2
if [[ ! -e /usr/include/jemalloc/jemalloc.h ]]; then
    echo "mib_client: libjemalloc-dev is not here; nothing is tested"
    exit 0
fi
gcc -O1 -Wall -Werror "$source" -o "$TEST_TMPDIR/client" -ljemalloc -lpthread
LD_LIBRARY_PATH=$compat "$TEST_TMPDIR/client"
