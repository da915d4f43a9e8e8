#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   jeprof's numbers are those of the profile, its options do what they say, and bad input
#         ends with a line that says what is wrong, never with a wrong answer.
# Method: simple.heap, whose answers are worked out by hand in the comments below; then damaged
#         copies of it.
set -euo pipefail

export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof GOLDEN=$PWD/tests/golden
cd "$TEST_TMPDIR"
cp "$GOLDEN"/*.heap .

fail() {
    printf '%s\n' "$@"
    exit 1
}

# jeprof_is WANT ARG...: standard output is WANT.
jeprof_is() {
    local want=$1 have

    shift
    have=$("$JEPROF" "$@" 2>errors) || fail "jeprof $* fails: $(cat errors)"
    [[ $have == "$want" ]] || fail "jeprof $*:" "$have" "instead of:" "$want"
}

# jeprof_fails WORDS ARG...: status 1, nothing on standard output, WORDS among the last words.
jeprof_fails() {
    local words=$1 status=0

    shift
    "$JEPROF" "$@" >out 2>errors || status=$?
    [[ $status -eq 1 ]] || fail "jeprof $*: status $status, not 1: $(cat errors)"
    [[ ! -s out ]] || fail "jeprof $*: writes, and fails: $(cat out)"
    [[ $(cat errors) == *"$words"* ]] || fail "jeprof $*: says $(cat errors), not $words"
}

# Objects of a MiB are seen with probability 1 - exp(-2) = 0.8646647: 4 of them stand for 4.626
# objects, 2 for 2.313. The program is gone, so places stand for names, 1 below each address.
jeprof_is "$(
    cat <<'TEXT'
Total: 6.9 MB
     4.6  66.7%  66.7%      4.6  66.7% prog+0x1000
     2.3  33.3% 100.0%      2.3  33.3% prog+0x1100
     0.0   0.0% 100.0%      6.9 100.0% prog+0x3000
     0.0   0.0% 100.0%      4.6  66.7% prog+0x2000
     0.0   0.0% 100.0%      2.3  33.3% prog+0x2100
TEXT
)" --text simple.heap
jeprof_is "prog+0x3000;prog+0x2000;prog+0x1000 4850787
prog+0x3000;prog+0x2100;prog+0x1100 2425393" --collapsed simple.heap
jeprof_is "prog+0x3000;prog+0x2000;prog+0x1000 5
prog+0x3000;prog+0x2100;prog+0x1100 2" --collapsed --inuse_objects simple.heap

# 5 objects of 200 bytes each stand for 5 / (1 - exp(-200/524288)) = 13,109.7 objects; with the
# 9.3 of the first stack, which ends in the same place, 13,119. A frame that recurs counts once.
table=$("$JEPROF" --alloc_objects --text simple.heap 2>/dev/null)
[[ $table =~ ' 13119 '[^$'\n']*' prog+0x1000' && $table =~ ' 13112 '[^$'\n']*' prog+0x2100' ]] ||
    fail "alloc_objects" "$table"

# Twice the same is twice as much; less itself it is nothing.
[[ $("$JEPROF" --show_bytes simple.heap simple.heap 2>/dev/null) == "Total: 14552360 B"* ]] || fail "two profiles"
jeprof_is "Total: 0.0 MB" --base=simple.heap simple.heap
# So do a folder and a pattern.
mkdir folder
cp simple.heap folder/one.heap
cp simple.heap folder/two.heap
[[ $("$JEPROF" --show_bytes folder 2>/dev/null) == "Total: 14552360 B"* ]] || fail "a folder"
[[ $("$JEPROF" --show_bytes 'folder/t*.heap' 2>/dev/null) == "Total: 7276180 B"* ]] || fail "a pattern"
jeprof_is "prog+0x3000;prog+0x2100;prog+0x1100 2425393" --collapsed --ignore=x1000 simple.heap
jeprof_is "prog+0x3000;prog+0x2000;prog+0x1000 4850787" --collapsed --focus='\+0x2000$' simple.heap
jeprof_is "prog+0x1000 4850787
prog+0x1100 2425393" --collapsed --retain='x1.00' simple.heap
jeprof_is "prog+0x3000;prog+0x1000 4850787
prog+0x3000;prog+0x1100 2425393" --collapsed --exclude='x2.00' simple.heap
[[ $("$JEPROF" --text --cum simple.heap 2>/dev/null | sed -n 2p) == *"prog+0x3000" ]] || fail "--cum"
[[ $("$JEPROF" --dot simple.heap 2>/dev/null) == *'N1 -> N3 [label=" 4.6 MB"'* ]] || fail "--dot"
"$JEPROF" --text -o table simple.heap 2>/dev/null
grep -q '^Total: 6.9 MB$' table || fail "--output"
gzip -k simple.heap
jeprof_is "$("$JEPROF" simple.heap 2>/dev/null)" simple.heap.gz

# A program that is not there is said, once, with what to do.
"$JEPROF" simple.heap 2>errors >/dev/null
[[ $(grep -c 'nonexistent' errors) == 1 && $(cat errors) == *"give PROGRAM before the profiles"* ]] ||
    fail "the missing program" "$(cat errors)"

# Damage.
head -c 400 simple.heap >cut.heap
jeprof_fails "truncated" cut.heap
: >empty.heap
jeprof_fails "is empty" empty.heap
sed 's/t\*: 4: 4194304/t*: 4: many/' simple.heap >words.heap
jeprof_fails "line 6" words.heap
sed 's/^@ 0x1001 0x2001/@ 0x1001 zebra/' simple.heap >frames.heap
jeprof_fails "not a number" frames.heap
head -c 2000 /dev/urandom >noise.heap
jeprof_fails "noise.heap" noise.heap
head -c 60 simple.heap.gz >cut.gz
jeprof_fails "cut.gz" cut.gz
jeprof_fails "no such file" missing.heap
jeprof_fails "is not for heap profiles" --contentions simple.heap
jeprof_fails "choose one of --dot --text" --text --dot simple.heap
jeprof_fails "not a regular expression" --focus='(' simple.heap
jeprof_fails "Unknown option" --nonsense simple.heap
jeprof_fails "which profile?"
jeprof_fails "is a program; which profile?" "$TALLY_JEPROF_HELPER"
jeprof_fails "is a program, not a profile" simple.heap "$TALLY_JEPROF_HELPER"
"$JEPROF" --help | grep -q '^usage: jeprof' || fail "--help"
