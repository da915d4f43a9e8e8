#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs the tests through Bazel and ends with one line, "N passed, N failed". Arguments are
# Bazel's: targets (default: all) and flags such as --config=asan. A target that does not build
# counts as failed. Bazel prints the log of each failed test itself (.bazelrc).
set -euo pipefail

: "${TALLY_ROOT:?run me by ./dev test}"
# shellcheck source=tools/dev/lib.sh
source "$TALLY_ROOT/tools/dev/lib.sh"

# The last result of each target in Bazel's summary: "//package:name  [(cached)] PASSED in 0.1s".
count_results() {
    awk -v want="$1" '
        $1 ~ /^\/\/[^ ]*:/ && / (PASSED|FLAKY|FAILED|FAILED TO BUILD|TIMEOUT|NO STATUS|INCOMPLETE)/ {
            good[$1] = / (PASSED|FLAKY)/
        }
        END {
            for (target in good) {
                count[good[target] ? "passed" : "failed"]++
            }
            print count[want] + 0
        }' "$log"
}

find_bazel
make_scratch
log=$scratch/log

flags=()
targets=()
for arg in "$@"; do
    if [[ $arg == -* ]]; then
        flags+=("$arg")
    else
        targets+=("$arg")
    fi
done
if [[ ${#targets[@]} -eq 0 ]]; then
    targets=(//...)
fi

status=0
# --keep_going: one target that does not build must not hide the tests of the others.
bazel_run test --keep_going --test_summary=short "${flags[@]}" -- "${targets[@]}" 2>&1 |
    tee "$log" || status=$?

passed=$(count_results passed)
failed=$(count_results failed)
if [[ $status -ne 0 && $failed -eq 0 ]]; then
    say "bazel ended with $status before any test could fail"
    failed=1
fi
if [[ $status -eq 0 && $((passed + failed)) -eq 0 ]]; then
    say "no test was found"
    failed=1
fi
say "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
