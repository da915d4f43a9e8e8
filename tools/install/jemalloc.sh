#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# jemalloc.sh PROGRAM [ARGUMENT...]: runs a program on the compatibility library beside this file, as
# jemalloc's script of that name does.

LD_PRELOAD=$(cd "$(dirname "$0")/.." && pwd)/libjemalloc.so.2
export LD_PRELOAD
exec "$@"
