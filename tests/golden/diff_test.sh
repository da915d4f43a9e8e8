#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   jeprof --diff finds the one site among 200 that grew by a fifth, and nothing else, between
#         builds that differ in compiler flags, source root, lines, lambda numbers and names; its
#         reports and exit status say so.
# Method: diff_program.py written and built several ways, sampled each 4 KiB: 4,000 samples at the
#         grown site, 100 at each other. Chance may make an unchanged site stand out at q < 0.05 in
#         one run of twenty, so that the tests look at q < 0.001.
set -euo pipefail

export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof PROGRAM=$PWD/tests/golden/diff_program.py
readonly LIBRARY=$PWD/libtally.so GOLDEN=$PWD/tests/golden
cd "$TEST_TMPDIR"

fail() {
    printf '%s\n' "$@"
    exit 1
}

# build SIDE "FLAGS" WORD...: SIDE/root-SIDE/prog.cc to SIDE/prog, and three runs of it.
build() {
    local side=$1 flags=$2

    shift 2
    mkdir -p "$side/root-$side"
    /usr/bin/python3 "$PROGRAM" "$side/root-$side/prog.cc" "$@"
    # shellcheck disable=SC2086 # flags are words
    g++ -g $flags "$side/root-$side/prog.cc" -o "$side/prog"
    for run in 1 2 3; do
        MALLOC_CONF=prof:true,prof_final:true,lg_prof_sample:12,prof_prefix:$PWD/$side/r$run \
            LD_PRELOAD=$LIBRARY "$side/prog"
    done
}

# grown_is_found NAME BASE NEW: of 200 sites lambdas() alone grew, by 12 to 28 %.
grown_is_found() {
    "$JEPROF" --diff --json "$2" "$3" >diff.json 2>errors || fail "$1: $(cat errors)"
    /usr/bin/python3 - "$1" <<'PYTHON' || fail "$(head -c 3000 diff.json)"
import json, sys
diff = json.load(open("diff.json"))
rows = [row for row in diff["rows"] if row["q"] < 0.001]
assert len(diff["rows"]) == 200, (sys.argv[1], len(diff["rows"]), diff["rows"][:3])
assert len(rows) == 1, (sys.argv[1], rows)
assert "lambdas" in rows[0]["path"] and 12 < rows[0]["growth"] < 28, (sys.argv[1], rows[0])
assert 0 < rows[0]["low"] < rows[0]["delta"] < rows[0]["high"], rows[0]
PYTHON
}

build base -O2
build lto '-O3 -flto' grown shifted
build renamed -Os grown renamed
grown_is_found "one run each" base/r1.*.heap lto/r1.*.heap
grown_is_found "three runs each" base lto
grown_is_found "other names, less inlining" base renamed
grep -q '"plain_15":"renamed_15"' diff.json || fail "the renames are not told" "$(cut -c1-2000 diff.json)"
grown_is_found "a list and a pattern" "$(printf '%s,' base/r[12].*.heap | sed 's/,$//')" 'lto/r?.*.heap'

# The rule of a build that is to fail, and the reports for who runs it.
status=0
"$JEPROF" --diff --fail-on='growth>5%,q<0.001' --junit -o junit.xml base lto 2>errors || status=$?
[[ $status -eq 3 && $(cat errors) == *"1 site meets --fail-on"* ]] || fail "--fail-on: $status" "$(cat errors)"
/usr/bin/python3 - <<'PYTHON'
import xml.etree.ElementTree as tree
root = tree.parse("junit.xml").getroot()
failed = [case for case in root.iter("testcase") if case.find("failure") is not None]
assert len(failed) == 1 and "lambdas" in failed[0].get("name"), failed
assert root.find("testsuite").get("failures") == "1"
PYTHON
"$JEPROF" --diff --fail-on='growth>50%,q<0.001' base lto >/dev/null 2>&1 || fail "--fail-on meets a rule that holds for nothing"
"$JEPROF" --diff --fail-on='growth>5%,q<0.001' --markdown base lto >table.md 2>/dev/null && fail "no status 3"
grep -q '^| \*\*failed\*\* | +[23]\.[0-9] | ' table.md || fail "--markdown" "$(cat table.md)"
"$JEPROF" --diff base lto >table 2>/dev/null
grep -q 'From run to run the sites vary' table || fail "no run-to-run variance" "$(head table)"
"$JEPROF" --diff base/r1.*.heap lto/r1.*.heap >table 2>/dev/null
grep -q 'Each build was run once' table ||
    fail "one run a build, and not a word of it"
"$JEPROF" --diff --collapsed base/r1.*.heap lto/r1.*.heap | awk '
    { base += $(NF - 1); new += $NF }
    END { exit !(base > 85 * 2^20 && new > base + 2^20 && new < 115 * 2^20) }' || fail "--collapsed"

# A moved program is named on each side; scaled to one total, what did not grow has shrunk.
mkdir moved
mv base/prog moved/base
mv lto/prog moved/lto
"$JEPROF" --diff --base_program=moved/base moved/lto base lto >table 2>errors || fail "$(cat errors)"
[[ $(cat table) == *"lambdas::operator()"* && $(grep -c 'prog:' errors) -eq 0 ]] || fail "moved" "$(cat errors)" "$(head -20 table)"
"$JEPROF" --diff --normalize --base_program=moved/base moved/lto base lto >table
grep -q '^Total: 0.0 MB' table || fail "--normalize"

# Two dumps of one process: survivors are no noise. 2 of 4 samples more are born, none dies.
sed 's/t\*: 4: 4194304 \[[^]]*\]/t*: 104: 109051904 [104: 109051904]/' "$GOLDEN/simple.heap" >p.7.0.i0.heap
sed 's/t\*: 4: 4194304 \[[^]]*\]/t*: 112: 117440512 [112: 117440512]/' "$GOLDEN/simple.heap" >p.7.1.i1.heap
"$JEPROF" --diff --json p.7.0.i0.heap p.7.1.i1.heap 2>/dev/null >one.json
cp p.7.1.i1.heap p.8.1.i1.heap
"$JEPROF" --diff --json p.7.0.i0.heap p.8.1.i1.heap 2>/dev/null >two.json
/usr/bin/python3 - <<'PYTHON'
import json
one, two = (json.load(open(name))["rows"][0] for name in ("one.json", "two.json"))
assert one["p"] < 0.02 and one["low"] > 0, one
assert two["p"] > 0.05 and two["low"] < 0 < two["high"], two
PYTHON

# What cannot be compared is said.
fails_with() {
    local words=$1 status=0
    shift
    "$JEPROF" --diff "$@" >out 2>errors || status=$?
    [[ $status -eq 1 && $(cat errors) == *"$words"* ]] || fail "--diff $*: $status" "$(cat errors)"
}
fails_with 'takes BASE and NEW' base
fails_with 'are of one process' 'p.7.*.heap' base
fails_with 'no profiles in it' moved base
fails_with 'no such file' absent base
fails_with 'is none of growth' --fail-on='growth>5%,colour<3' base lto
fails_with 'has no output --dot' --dot base lto
