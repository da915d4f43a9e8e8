#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   our own walk takes the stacks that libunwind takes: 50,000 and more, of real programs.
# Method: corpus.c in each of them. A stack that differs is libunwind's guess or its early end,
#         which libgcc says; no stack may be ours alone. The kinds are explained in
#         docs/decisions/0005. CORPUS_ROUNDS makes it longer (1).
set -euo pipefail

library=$(realpath "$1")
frames=$(realpath "$2")
rounds=${CORPUS_ROUNDS:-1}
cd "$TEST_TMPDIR"
readonly STACKS_MIN=50000

# with STRIDE TICK_US COMMAND...
with() {
    local stride=$1 tick_us=$2
    shift 2
    timeout 500 env CORPUS_OUT="$PWD/counts" CORPUS_STRIDE="$stride" CORPUS_TICK_US="$tick_us" \
        LD_PRELOAD="$library" "$@" >out 2>errors || {
        echo "$* ended with $?"
        tail -n 50 out errors
        exit 1
    }
    grep '^corpus:' errors || true
}

cat >unit.cc <<'TEXT'
#include <algorithm>
#include <map>
#include <string>
#include <vector>
int count(const std::vector<std::string> &texts) {
    std::map<std::string, std::vector<int>> places;
    for (std::size_t idx = 0; idx < texts.size(); idx++) {
        places[texts[idx]].push_back(static_cast<int>(idx));
    }
    return static_cast<int>(std::count_if(places.begin(), places.end(),
        [](const auto &place) { return place.second.size() > 1; }));
}
TEXT
cat >work.py <<'TEXT'
import json, re, sys
def nest(depth):
    return [nest(depth - 1)] if depth else {"a": 1.5, "b": "text"}
for turn in range(40):
    text = json.dumps([nest(100) for _ in range(10)])
    json.loads(text)
    re.sub(r"(a|b)+", lambda m: m.group(0).upper(), text[:2000])
    sorted(range(2000), key=lambda value: str(value))
    try:
        def fall(depth):
            return fall(depth + 1)
        fall(0)
    except RecursionError:
        pass
TEXT
cat >work.pl <<'TEXT'
my %h;
for (1 .. 60000) { $h{"key$_"} = [$_, "x" x ($_ % 50)] }
print scalar(keys %h);
TEXT
cat >work.sql <<'TEXT'
create table t(a, b);
with recursive n(x) as (select 1 union all select x + 1 from n where x < 20000)
insert into t select x, 'text ' || (x * 7919 % 1000) from n;
create index i on t(b);
select count(*), b from t group by b order by 1, 2 limit 5;
TEXT

rm -f counts
for ((round = 0; round < rounds; round++)); do
    with 1 200 "$frames" 600
    with 20 200 g++ -O1 -c -o unit.o unit.cc
    with 20 200 python3 work.py
    with 20 200 perl work.pl
    with 2 200 sqlite3 :memory: '.read work.sql'
done
cat counts
awk -v min=$STACKS_MIN '
    {
        for (at = 2; at < NF; at += 2) {
            sum[$at] += $(at + 1)
        }
    }
    END {
        printf "stacks %d, frames %d, the same %d, a part %d\n", sum["stacks"], sum["frames"], sum["same"], sum["part"]
        printf "libunwind: guessed on %d, ended early %d, strayed %d, while leaving %d\n",
            sum["guessed"], sum["short"], sum["strayed"], sum["leaving"]
        printf "wrong %d\n", sum["wrong"]
        if (sum["stacks"] < min || sum["wrong"] != 0 || sum["leaving"] > sum["stacks"] / 1000) {
            exit 1
        }
    }' counts
