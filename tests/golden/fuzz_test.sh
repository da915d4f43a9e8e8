#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   no damage to a dump brings a reader down: it is read, or refused with a line, in
#         seconds.
# Method: real dumps of both formats, cut at every byte and changed at random by fuzz.py.
set -euo pipefail

readonly LIBRARY=$PWD/libtally.so HOLDER=$PWD/tests/golden/holder FUZZ=$PWD/tests/golden/fuzz.py
export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof
cd "$TEST_TMPDIR"

MALLOC_CONF=prof:true,lg_prof_sample:12 LD_PRELOAD=$LIBRARY "$HOLDER" whole.heap whole.pb.gz
/usr/bin/python3 "$FUZZ" "$TALLY_JEPROF_HELPER" "$JEPROF" whole.heap whole.pb.gz
