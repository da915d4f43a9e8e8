#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# redis_test.sh COMPAT_LIBRARY
#
# Goal:   Debian's redis-server, built for jemalloc, finds what it asks of it in the compatibility
#         library: figures of memory, purging, statistics, the background thread.
# Method: the library by LD_LIBRARY_PATH, so that its mallctl is called; load, then the commands. Figures
#         are held against each other and against the kernel's.
set -euo pipefail

compat=$PWD/$(dirname "$1")
cd "$TEST_TMPDIR"
if ! command -v redis-server >/dev/null; then
    echo "redis: not here; nothing is tested"
    exit 0
fi

fail() {
    echo "redis: $*"
    exit 1
}

redis() {
    redis-cli -s "$folder/s" "$@"
}

figure() {
    redis info memory | tr -d '\r' | sed -n "s/^$1://p"
}

folder=$(mktemp -d /tmp/redis.XXXXXX) # short: a socket's path has 108 bytes
LD_LIBRARY_PATH=$compat redis-server --port 0 --unixsocket "$folder/s" --save '' --dir "$folder" \
    --logfile "$folder/log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
for _ in $(seq 100); do
    redis ping >/dev/null 2>&1 && break
    sleep 0.1
done
grep -q "$(realpath "$compat/libjemalloc.so.2")" "/proc/$server/maps" || fail "runs on another library"

redis-benchmark -s "$folder/s" -n 100000 -r 100000 -t set,hset -d 300 -P 16 -q >/dev/null
allocated=$(figure allocator_allocated) active=$(figure allocator_active) resident=$(figure allocator_resident)
used=$(figure used_memory)
anonymous=$(($(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$server/status") * 1024))
echo "anonymous $anonymous used $used allocated $allocated active $active resident $resident"
((used <= allocated && allocated <= active && active <= resident)) || fail "figures are out of order"
# Within 5 % of the kernel's figure, and 2 MiB for slabs that are not full yet on one side, the
# program's data and stacks on the other.
difference=$((resident > anonymous ? resident - anonymous : anonymous - resident))
((difference * 20 < anonymous + (40 << 20))) || fail "resident $resident, but the kernel says $anonymous"

[[ $(redis memory malloc-stats) == *"Begin jemalloc statistics"* ]] || fail "MALLOC-STATS says nothing"
[[ $(redis memory doctor) != "" ]] || fail "MEMORY DOCTOR says nothing"
[[ $(redis config set jemalloc-bg-thread no) == OK ]] || fail "jemalloc-bg-thread no"
[[ $(redis config set jemalloc-bg-thread yes) == OK ]] || fail "jemalloc-bg-thread yes"
[[ $(redis flushall) == OK ]] || fail "FLUSHALL"
[[ $(redis memory purge) == OK ]] || fail "MEMORY PURGE"
after=$(figure allocator_resident)
echo "after FLUSHALL and MEMORY PURGE: $after"
((after * 2 < resident)) || fail "memory did not come back: $after of $resident"
redis shutdown nosave >/dev/null 2>&1 || true
wait "$server" || fail "ended with $?"
