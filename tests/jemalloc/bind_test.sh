#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bind_test.sh COMPAT_LIBRARY
#
# Goal:   Debian's named and dig, both linked with jemalloc, serve and ask on the compatibility library.
# Method: a zone of 500 names by LD_LIBRARY_PATH on a port of its own; every answer is compared.
set -euo pipefail

compat=$PWD/$(dirname "$1")
if ! command -v named >/dev/null || ! command -v dig >/dev/null; then
    echo "bind: not here; nothing is tested"
    exit 0
fi

fail() {
    echo "bind: $*"
    tail -n 5 "$folder/log" || true
    exit 1
}

folder=$(mktemp -d /tmp/bind.XXXXXX)
port=$((20000 + RANDOM % 20000))
cat >"$folder/named.conf" <<TEXT
options { directory "$folder"; pid-file none; session-keyfile none; listen-on port $port { 127.0.0.1; };
    listen-on-v6 { none; }; recursion no; dnssec-validation no; };
controls { };
zone "tally.test" { type master; file "zone"; };
TEXT
{
    # shellcheck disable=SC2016 # the zone's own word
    printf '$TTL 60\n@ SOA ns root 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n'
    for n in $(seq 500); do
        echo "host$n A 10.0.$((n / 250)).$((n % 250 + 1))"
    done
} >"$folder/zone"
LD_LIBRARY_PATH=$compat named -g -c "$folder/named.conf" -n 2 >"$folder/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
ask() {
    LD_LIBRARY_PATH=$compat dig +short +time=2 +tries=2 -p "$port" @127.0.0.1 "$@"
}
for _ in $(seq 50); do
    [[ $(ask ns.tally.test) == 127.0.0.1 ]] && break
    kill -0 "$server" 2>/dev/null || fail "named has ended"
    sleep 0.1
done
grep -q "$(realpath "$compat/libjemalloc.so.2")" "/proc/$server/maps" || fail "runs on another library"
for n in $(seq 500); do
    printf 'host%d.tally.test A\n' "$n"
done >"$folder/questions"
ask -f "$folder/questions" >"$folder/answers"
sed -n 's/^host[0-9]* A //p' "$folder/zone" | diff - "$folder/answers" || fail "answers differ"
kill -TERM "$server"
wait "$server" || fail "named ended with $?"
echo "bind: $(wc -l <"$folder/answers") answers"
