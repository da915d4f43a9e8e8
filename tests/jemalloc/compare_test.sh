#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# compare_test.sh LIBRARY PROBE NAMES EXCEPTIONS
#
# Goal:   mallctl answers as Debian's libjemalloc.so.2 does, but for rows with a reason.
# Method: the same questions to both; what differs must be an exception, or a name that 5.3.0 has not. An
#         exception that is none any more fails as well.
set -euo pipefail

library=$PWD/$1 probe=$2 names=$3 exceptions=$4
peer=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2
if [[ ! -e $peer ]]; then
    echo "compare: $peer is not here; nothing is compared"
    exit 0
fi
LD_PRELOAD=$library "$probe" - "$names" >"$TEST_TMPDIR/ours"
LD_PRELOAD=$peer "$probe" - "$names" >"$TEST_TMPDIR/theirs"

# Path, question and both answers, where they differ.
awk -F '\t' 'NR == FNR { theirs[$1 FS $2] = $3; next }
    theirs[$1 FS $2] != $3 { print $1 FS $2 FS theirs[$1 FS $2] FS $3 }' \
    "$TEST_TMPDIR/theirs" "$TEST_TMPDIR/ours" >"$TEST_TMPDIR/differ"
awk -F '\t' '$2 == "mib" && $3 ~ /^ENOENT/ { print $1 }' "$TEST_TMPDIR/theirs" >"$TEST_TMPDIR/not_there"
failed=0
while IFS= read -r name; do
    if ! grep -qP "^\Q$name\E\t.*\t(5\.3\.1|5\.3\.0)$" "$names"; then
        echo "compare: $name is in no table"
        failed=1
    fi
done <"$TEST_TMPDIR/not_there"

awk -F '\t' -v failed="$failed" '
    FILENAME == ARGV[1] { if ($1 !~ /^#/) { reason[$1] = $2 } next }
    FILENAME == ARGV[2] { skipped[$1] = 1; next }
    {
        if ($1 in skipped) { next }
        for (pattern in reason) {
            start = substr(pattern, 1, length(pattern) - 1)
            if (pattern == $1 || (pattern ~ /\*$/ && index($1, start) == 1)) { used[pattern] = 1; next }
        }
        printf "compare: %s: %s: jemalloc says %s, Tally %s\n", $1, $2, $3, $4
        failed = 1
    }
    END {
        for (pattern in reason) {
            if (!(pattern in used)) { print "compare: no difference any more: " pattern; failed = 1 }
        }
        exit failed
    }' "$exceptions" "$TEST_TMPDIR/not_there" "$TEST_TMPDIR/differ"
echo "compare: $(wc -l <"$TEST_TMPDIR/ours") answers, $(cut -f 1 "$TEST_TMPDIR/differ" | sort -u | wc -l) names differ, each for a reason"
