#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   each misuse ends as docs/MISUSE.md says, in each way the library works, and the line it
#         ends with is the documented one, word for word.
# Method: the table is read from the page itself, so the two cannot differ.
set -euo pipefail

readonly MISUSE=$PWD/tests/death/misuse LIBRARY=$PWD/libtally.so PAGE=$PWD/docs/MISUSE.md
cd "$TEST_TMPDIR"
failed=0
count=0
is_debug=no
if LD_PRELOAD=$LIBRARY "$MISUSE" is_debug; then
    is_debug=yes
fi

# The environment of a column, an assignment a line. "Elsewhere" is another thread with another arena,
# however few processors there are.
environment() {
    local conf=narenas:4

    case $1 in
    fast) ;;
    exact) echo TALLY_EXACT=1 ;;
    'no cache') conf+=,tcache:false ;;
    sampled) conf+=,prof:true,lg_prof_sample:0 ;;
    esac
    echo "MALLOC_CONF=$conf"
}

# "STATUS LINE" that a cell's word stands for. Debug builds see more, and say so.
expected() {
    if [[ $is_debug == yes && $2 == *_wrong_size ]]; then
        echo "134 tally: freed with a size that is not the allocation's: 0xADDR"
        return
    fi
    case $1 in
    never | middle | free | unaligned | twice)
        local line
        line=$(sed -n "s/^| \`$1\` | stops: \`\(.*\)…\` |$/\1/p" "$PAGE")
        [[ -n $line ]] || line="MISUSE.md does not say what $1 is"
        echo "134 ${line}ADDR"
        ;;
    SIGSEGV) echo "139 " ;;
    -) echo "0 " ;;
    *) echo "what is the cell $1?" ;;
    esac
}

check() {
    local name=$1 mode=$2 word=$3 status=0 found
    local -a assignments

    mapfile -t assignments < <(environment "$mode")
    found=$(env LD_PRELOAD="$LIBRARY" "${assignments[@]}" timeout 20 "$MISUSE" "$name" 2>&1) || status=$?
    # An address is an address; that it is ours is not what is asked here.
    [[ $found =~ ^(.*:\ 0x)[0-9a-f]+$ ]] && found=${BASH_REMATCH[1]}ADDR
    found="$status $found"
    count=$((count + 1))
    if [[ $found != "$(expected "$word" "$name")" ]]; then
        echo "$name, $mode: expected $(expected "$word" "$name"), found $found"
        failed=1
    fi
}

while IFS='|' read -r _ name fast exact no_cache sampled _; do
    check "${name// /}" fast "${fast// /}"
    check "${name// /}" exact "${exact// /}"
    check "${name// /}" 'no cache' "${no_cache// /}"
    check "${name// /}" sampled "${sampled// /}"
done < <(grep -E '^\| [a-z_]+ \|( [-a-zA-Z]+ \|){4}$' "$PAGE" | grep -v '^| misuse ')

# A program whose cases the page does not list, or a page that lists none, would test nothing.
known=$(LD_PRELOAD=$LIBRARY "$MISUSE" | sort) || true
listed=$(grep -oE '^\| [a-z_]+ \|( [-a-zA-Z]+ \|){4}$' "$PAGE" | sed 's/^| \([a-z_]*\) .*/\1/' | grep -v '^misuse$' | sort)
if [[ $known != "$listed" || $count -lt 80 ]]; then
    echo "the page and the program differ:"
    diff <(echo "$known") <(echo "$listed") || true
    failed=1
fi
exit "$failed"
