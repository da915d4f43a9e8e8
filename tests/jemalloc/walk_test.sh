#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# walk_test.sh LIBRARY PROBE NAMES
#
# Goal:   every name of jemalloc 5.3's mallctl has its type, size, access and errors, by name and by MIB,
#         from 8 threads at once.
# Method: the probe checks the table's rows against the preloaded library.
set -euo pipefail

LD_PRELOAD=$PWD/$1 "$2" - "$3" walk
