#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   on jemalloc's own dumps our table and collapsed stacks are those of jemalloc's jeprof, name
#         by name and number by number, but for what docs/JEPROF.md lists.
# Method: 22 dumps recorded from Debian's libjemalloc2 under programs of ours: two builds of
#         leaks_program.c, one in a folder with a blank; both commands on each.
set -euo pipefail

export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof GOLDEN=$PWD/tests/golden
readonly THEIRS=/usr/bin/jeprof JEMALLOC=libjemalloc.so.2
cd "$TEST_TMPDIR"
export HOME=$PWD

fail() {
    printf '%s\n' "$@"
    exit 1
}

# record NAME FLAGS...: the program, and its 20 dumps.
record() {
    local name=$1

    shift
    gcc -g "$@" "$GOLDEN/leaks_program.c" -o "$name" -lm -ldl
    MALLOC_CONF=prof:true,prof_accum:true,lg_prof_sample:14,prof_prefix:$PWD/$name LD_PRELOAD=$JEMALLOC "./$name"
}

record plain -O0
record fixed -O1 -fno-inline -fno-optimize-sibling-calls -no-pie -fno-pie
cat >compare.py <<'PYTHON'
"""Reads both commands' output, and prints what differs and is not one of the listed kinds."""
import re, sys

kind, theirs, ours = sys.argv[1], open(sys.argv[2]).read(), open(sys.argv[3]).read()


def name_of(text):
    text = re.sub(r"<[0-9a-f]{16}>$", "", re.sub(r" \(inline\)$|\[inline\]$", "", text))
    return re.sub(r"@@?[A-Z_]+[0-9.]*$", "", text)


def rows(text):
    found = {}
    for line in text.splitlines():
        if kind == "text":
            fields = line.split(None, 5)
            if len(fields) == 6 and "%" in fields[1]:
                found[name_of(fields[5])] = (int(fields[0]), int(fields[3]))
        else:
            stack, value = line.rsplit(" ", 1)
            found[";".join(name_of(part) for part in stack.split(";"))] = (int(value),)
    return found


def is_listed(name):
    """Kind 1: no symbol covers the address; they take the nearest before it."""
    bare = re.compile(r"^lib[^;]*\.so[^;]*\+0x[0-9a-f]+$")
    return any(bare.match(part) for part in name.split(";"))


ours, theirs = rows(ours), rows(theirs)
listed = sum(is_listed(name) for name in ours)
wrong = []
for name in sorted(set(ours) | set(theirs)):
    have, want = ours.get(name), theirs.get(name)
    # They round each stack down to whole bytes before they add up.
    if have and want and all(abs(a - b) <= 1 + len(theirs) for a, b in zip(have, want)):
        continue
    if have and not want and is_listed(name):
        continue
    # Kind 2: they list what holds nothing.
    if want and not have and not any(want):
        continue
    if want and not have and listed > 0:
        listed -= 1
        continue
    wrong.append((name, "ours", have, "theirs", want))
print(len(ours))
if wrong or not ours:
    print(wrong, file=sys.stderr)
    sys.exit(1)
PYTHON
dumps=0
for dump in plain.*.m?.heap plain.*.m1?.heap fixed.*.m[13579].heap; do
    program=${dump%%.*}
    for kind in text collapsed; do
        "$THEIRS" --$kind --show_bytes "$program" "$dump" >theirs 2>/dev/null
        "$JEPROF" --$kind --show_bytes "$program" "$dump" >ours 2>/dev/null
        /usr/bin/python3 compare.py $kind theirs ours >compared 2>different ||
            fail "$dump: --$kind" "$(cut -c1-2000 different)" "$(head -20 theirs)" "$(head -20 ours)"
    done
    dumps=$((dumps + 1))
done
[[ $dumps -ge 20 ]] || fail "$dumps dumps are no 20"

# Where they are wrong. A program in a folder with a blank: they find no symbol in it.
mkdir 'with blank'
cp plain 'with blank/'
(cd 'with blank' && MALLOC_CONF=prof:true,lg_prof_sample:14,prof_final:true,prof_prefix:$PWD/moved LD_PRELOAD=$JEMALLOC ./plain 2>/dev/null)
rm -f 'with blank'/*.m*.heap
"$JEPROF" --text 'with blank'/*.f.heap >blank 2>/dev/null
grep -q ' leak_fast$' blank || fail "a blank in the path" "$(cat blank)"
# And moved since.
mv 'with blank/plain' elsewhere
"$JEPROF" --text elsewhere 'with blank'/*.f.heap >moved 2>/dev/null
cmp blank moved || fail "a moved program"
# Objects of no bytes end them with a division by zero.
sed 's/t\*: 4: 4194304/t*: 4: 0/' "$GOLDEN/simple.heap" >zero.heap
"$JEPROF" --inuse_objects --text zero.heap >zero 2>/dev/null || fail "objects of no bytes"
grep -q '^Total: 6 objects' zero || fail "objects of no bytes" "$(cat zero)"
# The allocator's own frames: their jeprof names stripped code after the nearest symbol.
! grep -qE 'jemalloc|malloc_usable_size' blank || fail "the allocator's frames are shown" "$(cat blank)"
