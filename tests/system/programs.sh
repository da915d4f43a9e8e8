#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# programs.sh LIBRARY COMPAT PROGRAM: one of Debian's programs does a piece of work without the library
# and with it, profiled at three rates; its output must be the same to the byte. Each profiled
# run leaves a profile at its exit; that of all allocations, since at exit little may be live, must
# be one that jemalloc's own jeprof reads.
set -euo pipefail

library=$(realpath "$1")
# A program linked with jemalloc brings it along, and that reads MALLOC_CONF and dumps as well:
# the compatibility library stands in for it, a second copy of ours that must keep still.
compat=$(dirname "$(realpath "$2")")
program=$3
cd "$TEST_TMPDIR"

fail() {
    echo "$1"
    exit 1
}

work_python3() {
    cat >work.py <<'TEXT'
import collections, json, re, subprocess, threading, zlib
records = [{"id": n, "name": "user %d" % n, "tags": [str(n % 7)] * (n % 5)} for n in range(4000)]
text = json.dumps(records)
print(len(text), zlib.crc32(zlib.compress(text.encode())))
print(collections.Counter(re.findall(r"user \d", text)).most_common(3))
sums = []
def work(seed):
    sums.append(sum(len(str(n * seed)) for n in range(5000)))
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sorted(sums), json.loads(text) == records)
print(subprocess.run(["/bin/echo", "a child"], capture_output=True, text=True).stdout)
TEXT
    PYTHONMALLOC=malloc "${under[@]}" /usr/bin/python3 work.py
}

work_perl() {
    cat >work.pl <<'TEXT'
my %count;
my $text = join ' ', map { ($_ * 7919) % 1009 } 1 .. 30000;
$count{$_}++ for split / /, $text;
print join(',', map { "$_=$count{$_}" } (sort { $a <=> $b } keys %count)[0 .. 20]), "\n";
my @lists = map { [ reverse 1 .. $_ % 50 ] } 1 .. 3000;
print scalar(map { @$_ } @lists), "\n";
$text =~ s/(\d+) (\d+)/$2 $1/g;
print length($text), " ", unpack('%32C*', $text), "\n";
TEXT
    "${under[@]}" /usr/bin/perl work.pl
}

work_sqlite3() {
    "${under[@]}" /usr/bin/sqlite3 :memory: "
        CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
            INSERT INTO t SELECT i, 'name ' || (i * 7919 % 20011), i / 7.0 FROM n;
        CREATE INDEX by_name ON t(name);
        SELECT count(*), sum(value), max(name) FROM t;
        SELECT a.id, b.name FROM t a JOIN t b ON a.name = b.name ORDER BY b.name LIMIT 5;
        SELECT group_concat(id) FROM (SELECT id FROM t ORDER BY name LIMIT 50);"
}

work_cxx() {
    cat >work.cc <<'TEXT'
#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <vector>
template <int N> struct Chain { static int sum(int x) { return x + Chain<N - 1>::sum(x * N); } };
template <> struct Chain<0> { static int sum(int x) { return x; } };
int work(const std::string &text) {
    std::map<std::string, std::vector<std::function<int(int)>>> table;
    const std::regex word("[a-z]+");
    for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it)
        table[it->str()].push_back([n = it->position()](int x) { return x + int(n); });
    int sum = Chain<60>::sum(3);
    for (auto &row : table)
        for (auto &call : row.second)
            sum += call(sum);
    return sum;
}
TEXT
    "${under[@]}" /usr/bin/g++ -O1 -c work.cc -o work.o
    sha256sum <work.o
}

work_git() {
    export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD
    export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    rm -rf repository
    mkdir repository
    "${under[@]}" /usr/bin/git -C repository init -q -b main
    for round in 1 2 3 4 5; do
        for file in 1 2 3 4 5 6 7 8 9; do
            seq "$((round * file))" $((round * file + 2000)) >repository/file$file
        done
        "${under[@]}" /usr/bin/git -C repository add .
        "${under[@]}" /usr/bin/git -C repository commit -q -m "round $round"
    done
    "${under[@]}" /usr/bin/git -C repository -c gc.auto=0 repack -q -a -d
    "${under[@]}" /usr/bin/git -C repository fsck --full
    "${under[@]}" /usr/bin/git -C repository log --stat --format='%H %s' | cat
    "${under[@]}" /usr/bin/git -C repository diff --shortstat HEAD~3
}

# By relative paths: a socket's may have 107 bytes, and a sandbox's folder is longer.
redis() {
    /usr/bin/redis-cli -s redis.sock "$@"
}

work_redis() {
    "${under[@]}" /usr/bin/redis-server --port 0 --unixsocket redis.sock --save '' \
        --daemonize no --dir . --logfile redis.log &
    local server=$! try
    for try in $(seq 100); do
        if redis ping >/dev/null 2>&1; then
            break
        fi
        sleep 0.1
    done
    [[ $(redis ping) == PONG ]] || fail "redis-server does not answer (try $try): $(tail -n 5 redis.log)"
    /usr/bin/redis-benchmark -s redis.sock -q -n 4000 -r 1000 -P 8 \
        -t set,get,lpush,lrange_100,hset,sadd,zadd >/dev/null
    redis flushall
    seq 3000 | sed 's/.*/set key:& value:&/' | redis | sort | uniq -c
    seq 500 | sed 's/.*/rpush list &/' | redis | tail -n 1
    redis dbsize
    redis lrange list 100 110
    redis eval 'local t = {} for i = 1, 2000 do t[i] = i .. "x" end return #table.concat(t)' 0
    redis shutdown nosave || true
    wait "$server" || fail "redis-server ended with $?"
}

run() {
    timeout --kill-after=5 150 bash -c "$(declare -f); $(declare -p under TEST_TMPDIR); set -eu; work_$program"
}

# What must be found in the map of a profile.
declare -A executables=([cxx]=/cc1plus [git]=/git [perl]=/perl [python3]=/python3
    [redis]=/redis [sqlite3]=/sqlite3)
readonly executable=${executables[$program]}

under=()
run >want || fail "$program does not run without the library"
for conf in '' prof:true,lg_prof_sample:19 prof:true,lg_prof_sample:12,prof_accum:true prof:true,lg_prof_sample:0; do
    rm -f heap.*
    under=(env LD_PRELOAD="$library" LD_LIBRARY_PATH="$compat" MALLOC_CONF="$conf${conf:+,prof_final:true,prof_prefix:$PWD/heap}")
    run >have 2>errors || fail "$program failed under $conf: $(tail -n 20 errors)"
    diff want have || fail "$program writes something else under $conf"
    if [[ $conf == *lg_prof_sample:12* ]]; then
        # The largest of the program's own: what else ran, timeout for instance, dumps as well.
        dump=$(grep -lF "$executable" heap.*.heap | xargs -r ls -S | head -n 1)
        [[ -n $dump ]] || fail "$program left no profile of $executable"
        table=$(/usr/bin/jeprof --text --alloc_space --show_bytes /usr/bin/true "$dump" 2>&1) || true
        [[ $table =~ Total:\ [1-9][0-9]{4} ]] || fail "jemalloc's jeprof does not see it: $table"
    fi
done
