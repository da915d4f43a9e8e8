#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   the front end holds for what real and hostile users bring: pipes, names of any length
#         and shape, thousands of stacks, readers that stop early; and it has the options that
#         its help and its man page say, no more and no fewer.
# Method: profiles made by profiles.py, whose sums it knows; a time limit on whatever hung once.
set -euo pipefail

export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof GOLDEN=$PWD/tests/golden
readonly PROFILES=$GOLDEN/profiles.py MAN=$PWD/docs/man/jeprof.1
readonly LIB=$PWD/tools/jeprof/lib LAYOUT=$PWD/tools/install/layout.txt
readonly COMPLETION=$PWD/tools/jeprof/completion.bash
cd "$TEST_TMPDIR"
# Graphviz's fonts are noted here if the machine's own notes are stale.
export XDG_CACHE_HOME=$PWD/cache
cp "$GOLDEN/simple.heap" .

fail() {
    printf '%s\n' "$@"
    exit 1
}

# fails_with WORDS COMMAND...: status 1 and WORDS on standard error, and no signal.
fails_with() {
    local words=$1 status=0

    shift
    "$@" 2>errors || status=$?
    [[ $status -eq 1 ]] || fail "$*: status $status, not 1: $(cat errors)"
    [[ $(cat errors) == *"$words"* ]] || fail "$*: says $(cat errors), not $words"
}

# A pipe can be read once, so that nobody may look into it first.
want=$("$JEPROF" simple.heap 2>/dev/null)
[[ $("$JEPROF" <(cat simple.heap) 2>/dev/null) == "$want" ]] || fail "<(cat)"
[[ $("$JEPROF" <(gzip -c simple.heap) 2>/dev/null) == "$want" ]] || fail "<(gzip)"
[[ $(gzip -c simple.heap | "$JEPROF" /dev/stdin 2>/dev/null) == "$want" ]] || fail "| /dev/stdin"
[[ $("$JEPROF" /dev/stdin <simple.heap 2>/dev/null) == "$want" ]] || fail "< /dev/stdin"
[[ $("$JEPROF" --base=<(cat simple.heap) simple.heap 2>/dev/null) == "Total: 0.0 MB" ]] ||
    fail "--base=<(cat)"

# Whatever the name, each output is there in seconds. Graphviz has limits of its own.
/usr/bin/python3 "$PROFILES" names
for profile in *.pb; do
    for mode in text collapsed svg; do
        timeout 20 "$JEPROF" --$mode "$profile" >out 2>errors ||
            fail "$profile: --$mode: status $?" "$(head -c 2000 errors)"
    done
    # dot says that it reads bytes which are no UTF-8 as Latin-1, and draws them.
    [[ $profile == not_utf8.pb || ! -s errors ]] || fail "$profile:" "$(head -c 2000 errors)"
    grep -q '</svg>' out || fail "$profile: no picture"
done
[[ $("$JEPROF" --collapsed pairs.pb) == 'f()()'* ]] || fail "pairs: shortened wrongly"
[[ $("$JEPROF" --collapsed closed_clones.pb) == 'x 1000000' ]] || fail "clones: not cut"

# The table adds up: each row's own values to the total, each share to what it is a share of.
/usr/bin/python3 "$PROFILES" sites >total
"$JEPROF" --show_bytes sites.heap 2>/dev/null >table
awk -v total="$(cat total)" '
    function near(text, part) { return (text - 100 * part / total) ^ 2 < 0.051 ^ 2 }
    NR == 1 { good = $2 == total && $3 == "B"; next }
    {
        sum += $1
        rows++
        if (!near($2, $1) || !near($3, sum) || !near($5, $4) || $4 < $1 || $1 > last && rows > 1) {
            print "a wrong row: " $0
            good = 0
        }
        last = $1
        if ($6 == "prog+0x28000" && $4 != total) { print "the root: " $0; good = 0 }
    }
    END { exit !(good && sum == total && rows == 40) }' table ||
    fail "the table does not add up to $(cat total)" "$(head -5 table)"
collapsed=$("$JEPROF" --collapsed sites.heap 2>/dev/null | awk '{ sum += $2 } END { printf "%.0f", sum }')
[[ $collapsed == "$(cat total)" ]] || fail "--collapsed adds up to $collapsed, not $(cat total)"
# What a filter takes away is in no sum.
"$JEPROF" --show_bytes --retain='0x2000$' sites.heap 2>/dev/null >table
awk 'NR == 1 { total = $2; next } { sum += $1 } END { exit !(NR == 2 && sum == total && total > 0) }' \
    table || fail "--retain" "$(cat table)"

# The flame graph is one file that asks for no other; each box is what is above it and its own.
/usr/bin/python3 "$PROFILES" tree 500 >total
for mode in html icicle; do
    "$JEPROF" --$mode tree.pb >page
    /usr/bin/python3 - "$(cat total)" $mode <<'PYTHON' || fail "--$mode"
import json, re, sys
page = open("page").read()
assert not re.search(r"""(src|href)=|url\(|@import|https?://""", page), "it asks for another file"
data = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.S).group(1))
assert data["icicle"] == (sys.argv[2] == "icicle") and data["kind"] == "plain"
nodes = list(zip(*[iter(data["nodes"])] * 3))
assert nodes[0][0] == 0 and nodes[0][2] == int(sys.argv[1]), (nodes[0], sys.argv[1])
inside, path = [0] * len(nodes), []
for at, (depth, name, value) in enumerate(nodes):
    del path[depth:]
    assert len(path) == depth and name < len(data["names"])
    if path:
        inside[path[-1]] += value
    path.append(at)
assert all(inside[at] <= node[2] for at, node in enumerate(nodes))
assert len(nodes) > 500, len(nodes)
PYTHON
done
# A name that would end the page's script, or is no UTF-8, does neither.
"$JEPROF" --html not_utf8.pb >page
grep -q '"names":\["all","�' page || fail "not UTF-8"

# An output that cannot be written is an error with a reason.
fails_with "standard output: No space left on device" "$JEPROF" sites.heap >/dev/full
fails_with "/dev/full: No space left on device" "$JEPROF" -o /dev/full sites.heap
{ fails_with "standard output: Broken pipe" "$JEPROF" --collapsed sites.heap && : >said; } | :
[[ -e said ]] || fail "a closed pipe"
mkdir tools
printf '#!/bin/sh\necho "dot: broken" >&2; exit 3\n' >tools/dot
chmod +x tools/dot
# More than a pipe holds: dot is gone before all of it is written.
PATH=$PWD/tools:$PATH fails_with "dot ended with an error" "$JEPROF" --svg --nodefraction=0 \
    --edgefraction=0 --maxdegree=99 sites.heap

# bash completes options, with those that take something ready for it, and files.
complete_is() {
    local want=$1
    shift
    have=$(
        # shellcheck disable=SC2317 # the completion calls it
        compopt() { printf '%s ' "$*" >>compopt.said; }
        : >compopt.said
        # shellcheck source=/dev/null
        source "$COMPLETION"
        COMP_WORDS=(jeprof "$@") COMP_CWORD=$#
        _jeprof "$JEPROF"
        printf '%s;' "${COMPREPLY[@]}"
        cat compopt.said
    )
    [[ $have == "$want" ]] || fail "completion of $*: $have, not $want"
}
complete_is '--collapsed;' --coll
complete_is '--fail-on=;-o nospace ' --fail
complete_is 'simple.heap;-o filenames ' simple.h
complete_is 'simple.heap;-o filenames ' --base = simple.h

# Every module is installed.
(cd "$LIB" && printf 'tools/jeprof/lib/%s\n' Jeprof/*) >modules
grep -o 'tools/jeprof/lib/[^[:blank:]]*' "$LAYOUT" | diff modules - || fail "layout.txt (>) lacks modules (<)"

# Help, man page and parser name the same options.
options_in() {
    grep -oE -e '--[a-z][a-z_-]+=?' | tr -d = | sort -u
}
"$JEPROF" --help | sed '/^Exit status/,$d' | options_in >in_help
sed -e '/^\.SH OPTIONS/,/^\.SH ENVIRONMENT/!d' -e 's/\\-/-/g' "$MAN" | options_in >in_man
diff in_help in_man || fail "the help (<) and the man page (>) have different options"
while IFS= read -r option; do
    case $("$JEPROF" --help | grep -oE -e "$option(=[A-Z]+|[^a-z_=-]|\$)" | head -1) in
    *=RE | *=FILE | *=PROFILE | *=TOOLS | *=DIR) option=$option=simple.heap ;;
    *=N | *=F) option=$option=1 ;;
    *=RULE) option="$option=growth>1%" ;;
    esac
    "$JEPROF" "$option" --help >out 2>errors || fail "$option is in the help and refused" "$(cat errors)"
done <in_help
