#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   jeprof --leaks ranks what leaks in a live program first, and calls nothing a leak that
#         warms up, fills a cache, saws or rests.
# Method: leaks_program's eight sites, 20 dumps, three times, with totals and without; sampling is
#         by chance, so that of three one false alarm of a site is let pass, and one slow leak missed.
set -euo pipefail

export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof PROGRAM=$PWD/tests/golden/leaks_program
readonly LIBRARY=$PWD/libtally.so GOLDEN=$PWD/tests/golden
cd "$TEST_TMPDIR"

fail() {
    printf '%s\n' "$@"
    exit 1
}

for run in 1 2 3; do
    for totals in true false; do
        mkdir -p "$totals$run"
        MALLOC_CONF=prof:true,prof_accum:$totals,lg_prof_sample:10,prof_prefix:$PWD/$totals$run/leaks \
            LD_PRELOAD=$LIBRARY "$PROGRAM"
        "$JEPROF" --leaks --json "$totals$run" >"$totals$run.json" 2>errors || fail "$(cat errors)"
    done
done
/usr/bin/python3 - <<'PYTHON' || fail "$("$JEPROF" --leaks true1)"
import collections, json
LEAKS = {"leak_fast", "leak_slow", "leak_in_churn"}
for totals in ("true", "false"):
    alarms = collections.Counter()
    found = collections.Counter()
    for run in (1, 2, 3):
        series = json.load(open(f"{totals}{run}.json"))
        assert series["has_totals"] == (totals == "true") and len(series["dumps"]) == 20
        rows = {row["path"][-1]: row for row in series["rows"]}
        suspects = [row["path"][-1] for row in series["rows"] if row["verdict"] in ("leak", "turnover")]
        assert rows["leak_fast"]["verdict"] == "leak", rows["leak_fast"]
        assert "leak_fast" in suspects[:2], suspects
        if totals == "true":
            slow, churn = rows["leak_slow"], rows["leak_in_churn"]
            found["slow"] += slow["verdict"] == "leak" and slow["age_low"] > 20
            found["churn"] += churn["verdict"] == "turnover"
        # 6.3 objects of 4 KiB a round: 25.8 KB.
        low, high = rows["leak_fast"]["slope_low"], rows["leak_fast"]["slope_high"]
        assert 15000 < low < high < 40000, (low, high)
        alarms.update(set(suspects) - LEAKS)
    assert all(count < 2 for count in alarms.values()), alarms
    assert totals == "false" or min(found["slow"], found["churn"]) >= 2, found
PYTHON

# The table says what the numbers are, and why others are none.
"$JEPROF" --leaks true1 >table
[[ $(sed -n 4p table) == *' LEAK '*'leak_fast'* && $(sed -n 5p table) == *'born and 0 died; objects live '* ]] ||
    fail "the table" "$(cat table)"
grep -q 'grew, and has stopped .*cache_filling' table || fail "the cache" "$(cat table)"
"$JEPROF" --leaks false1 >table
grep -q 'opt.prof_accum tells more' table || fail "no word of missing totals" "$(cat table)"

# Names give the order, and what is no series is said.
mkdir plain
for dump in true1/*; do
    number=${dump##*.m}
    cp "$dump" "plain/dump${number%.heap}.heap"
done
"$JEPROF" --leaks --json plain | /usr/bin/python3 -c '
import json, sys
names = [int("".join(filter(str.isdigit, path))) for path in json.load(sys.stdin)["dumps"]]
assert names == sorted(names) and len(names) == 20, names'
fails_with() {
    local words=$1 status=0
    shift
    "$JEPROF" --leaks "$@" >out 2>errors || status=$?
    [[ $status -eq 1 && $(cat errors) == *"$words"* ]] || fail "--leaks $*: $status" "$(cat errors)"
}
fails_with 'needs 6 dumps' "$GOLDEN/simple.heap"
fails_with 'of two processes' true1 true2
fails_with 'has no output --dot' --dot true1
