#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   every output of jeprof holds the same numbers, and the programs it is for read it: go tool
#         pprof, callgrind_annotate, jemalloc's jeprof; the prompt and URLs give what options do.
# Method: a made tree of 300 stacks, whose total is known; a program of one hot line for source and
#         instructions; a server of ours on 127.0.0.1.
set -euo pipefail

export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof PROFILES=$PWD/tests/golden/profiles.py
readonly LIBRARY=$PWD/libtally.so
cd "$TEST_TMPDIR"
export HOME=$PWD JEPROF_TMPDIR=$PWD/fetched

fail() {
    printf '%s\n' "$@"
    exit 1
}

total=$(/usr/bin/python3 "$PROFILES" tree 300)
# The hottest functions with their flat values, by our own table.
"$JEPROF" --text --show_bytes tree.pb >table
awk 'NR > 1 && NR <= 6 { print $1, $NF }' table >hot
[[ $(wc -l <hot) -eq 5 && $(sed -n 1p table) == "Total: $total B" ]] || fail "the table" "$(head -3 table)"

# pprof: each hot function has its bytes.
"$JEPROF" --proto -o tree.pb.gz tree.pb
gzip -t tree.pb.gz
go tool pprof -raw tree.pb.gz >raw.txt 2>errors || fail "pprof" "$(cat errors)"
go tool pprof -top -unit=B -nodecount=400 tree.pb.gz >top.txt 2>errors
grep -q '^Type: inuse_space' top.txt || fail "pprof" "$(head -5 top.txt)"
grep -q "of ${total}B total" top.txt || fail "pprof's total is not $total" "$(head -5 top.txt)"
# And back.
"$JEPROF" --text --show_bytes tree.pb.gz | cmp - table || fail "through --proto"

"$JEPROF" --callgrind tree.pb >tree.callgrind
callgrind_annotate --threshold=100 tree.callgrind >annotated 2>errors || fail "callgrind_annotate" "$(cat errors)"
[[ ! -s errors ]] || fail "callgrind_annotate" "$(cat errors)"
tr -d , <annotated >plain
grep -q "^ *$total (100.0%) *PROGRAM TOTALS" plain || fail "callgrind's total is not $total" "$(head -20 plain)"
while read -r bytes name; do
    [[ $(grep -F "$bytes (" plain) == *":$name"* ]] || fail "callgrind: $name" "$(head -40 plain)"
done <hot

# jemalloc's jeprof reads the text with its symbols: the same total, the same hot functions.
"$JEPROF" --raw tree.pb >tree.raw
/usr/bin/jeprof --text --show_bytes tree.raw >theirs 2>errors || fail "jemalloc's jeprof" "$(cat errors)"
grep -q "^Total: $total B" theirs || fail "jemalloc's jeprof has another total" "$(head -3 theirs)"
while read -r bytes name; do
    # It cuts what stands in angle brackets.
    grep -qE "^ *$bytes .* ${name//<[0-9]>/}( |$)" theirs || fail "jemalloc's jeprof: $name" "$(head theirs)"
done <hot

"$JEPROF" --json tree.pb >tree.json
/usr/bin/python3 - "$total" <<'PYTHON'
import json, sys
heap = json.load(open("tree.json"))
assert heap["total"] == int(sys.argv[1]) == sum(stack["inuse_space"] for stack in heap["stacks"])
PYTHON
"$JEPROF" --tree --show_bytes --nodefraction=0 tree.pb >tree.txt
[[ $(sed -n 1p tree.txt) == "Total: $total B" && $(sed -n 2p tree.txt) =~ ^\ *$total\ 100.0%\ app:: ]] || fail "--tree" "$(head -3 tree.txt)"
read -r bytes name <hot
"$JEPROF" --peek="${name##*::}\$" --show_bytes tree.pb >peek.txt
grep -qE "^ *[0-9]+ +[0-9.]+% $name  \(its own: $bytes\)$" peek.txt || fail "--peek" "$(cat peek.txt)"

# Source and instructions.
cat >hot.c <<'C'
#include <stdlib.h>
void *volatile kept[1000];
__attribute__((noinline)) void hot(void) {
    for (int i = 0; i < 1000; i++)
        kept[i] = malloc(4096); /* this line */
}
int main(void) {
    hot();
    return kept[0] == NULL;
}
C
gcc -g -O1 -fno-optimize-sibling-calls hot.c -o "hot program"
MALLOC_CONF=prof:true,prof_final:true,lg_prof_sample:0,prof_prefix:$PWD/hot LD_PRELOAD=$LIBRARY "./hot program"
"$JEPROF" --list='^hot$' --show_bytes hot.*.heap >list.txt
grep -qE '^ *4096000 +4096000 +5: .*this line' list.txt || fail "--list" "$(cat list.txt)"
grep -qE '^ *\. +\. +4: ' list.txt || fail "--list: other lines" "$(cat list.txt)"
"$JEPROF" --disasm='^hot$' --show_bytes hot.*.heap >disasm.txt
grep -qE '^ *4096000 +4096000 +[0-9a-f]+: call ' disasm.txt || fail "--disasm" "$(cat disasm.txt)"

# The prompt: what a command asks holds for it alone; mistakes are said and forgiven.
printf '%s\n' 'top2' "text ${name##*::}" 'list ^hot$' 'peek (' 'nonsense' 'tree' 'top1 --cum' 'callgrind out.callgrind' quit |
    "$JEPROF" --interactive --show_bytes hot.*.heap >prompt.txt 2>errors
[[ $(grep -c '(jeprof) Total: 4096000 B' prompt.txt) -eq 4 ]] || fail "the prompt" "$(cat prompt.txt errors)"
[[ $(cat errors) == *'(: not a regular expression'* && $(cat errors) == *'nonsense: no such command'* ]] ||
    fail "the prompt's errors" "$(cat errors)"
grep -q 'this line' prompt.txt || fail "the prompt's list"
grep -q '^events: inuse_space' out.callgrind || fail "the prompt's callgrind"

# URLs: with and without a scheme, by a server that counts; a failure says which.
cat >server.py <<'PYTHON'
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if not self.path.startswith("/pprof/heap"):
            self.send_error(404)
            return
        body = open("tree.pb.gz", "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
open("port.new", "w").write(str(server.server_port))
import os
os.rename("port.new", "port")
server.serve_forever()
PYTHON
/usr/bin/python3 server.py &
server=$!
trap 'kill $server' EXIT
for _ in $(seq 100); do
    [[ -e port ]] && break
    sleep 0.1
done
address=127.0.0.1:$(cat port)
for url in "http://$address/pprof/heap" "$address" "$address/pprof/heap"; do
    "$JEPROF" --text --show_bytes "$url" 2>errors | cmp - table || fail "$url" "$(cat errors)"
done
[[ $(find fetched -name '*.heap' | wc -l) -eq 3 ]] || fail "what was fetched is not kept"
status=0
"$JEPROF" --text "http://$address/other" >out 2>errors || status=$?
[[ $status -eq 1 && $(cat errors) == *"/other: cannot be fetched"* ]] || fail "a missing page" "$(cat errors)"
