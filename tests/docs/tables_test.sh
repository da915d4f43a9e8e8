#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   docs/OPTIONS.md and docs/MALLCTL.md say what the library's tables say.
# Method: they are made again and compared.
set -euo pipefail

failed=0
for table in options mallctl; do
    if ! tests/docs/tables "$table" | diff "docs/${table^^}.md" - >"$TEST_TMPDIR/diff"; then
        echo "docs/${table^^}.md is not what the table says; ./dev fix remakes it:"
        head -n 20 "$TEST_TMPDIR/diff"
        failed=1
    fi
done
exit "$failed"
