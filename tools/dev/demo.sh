#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo.sh: profiles two programs under the library that was just built, one from Debian and one
# of ours that leaks, and shows who holds their memory. The pictures are left in out/demo.
set -euo pipefail

: "${TALLY_ROOT:?run me by ./dev demo}"
# shellcheck source=tools/dev/lib.sh
source "$TALLY_ROOT/tools/dev/lib.sh"

readonly JEPROF=$TALLY_ROOT/out/bin/jeprof LIBRARY=$TALLY_ROOT/out/lib/libtally.so
readonly FOLDER=$TALLY_ROOT/out/demo ROWS=8

# Reads 40,000 records of JSON and keeps an index of them, as a service does at start, and asks
# for a dump by mallctl while it holds them: at exit Python frees everything. Its blocks go
# through malloc, not through Python's own pools, so that each may be seen.
readonly PYTHON_PROGRAM='
import ctypes, json, sys
text = json.dumps([{"id": n, "name": f"user {n}", "tags": ["a", str(n)]} for n in range(40000)])
records = json.loads(text)
by_name = {record["name"]: record for record in records}
name = ctypes.c_char_p(sys.argv[1].encode())
failed = ctypes.CDLL(None).mallctl(b"prof.dump", None, None, ctypes.byref(name), ctypes.sizeof(name))
print(f"python3: indexed {len(by_name)} records")
sys.exit(failed)
'

# profiled NAME PROGRAM...: runs it with profiling on, sampling every 64 KiB on average.
profiled() {
    local name=$1

    shift
    printf '\n== %s\n' "$name"
    env LD_PRELOAD="$LIBRARY" PYTHONMALLOC=malloc \
        MALLOC_CONF="prof:true,lg_prof_sample:16,prof_prefix:$FOLDER/$name$CONF" "$@" ||
        die "demo: $name failed"
}

# show NAME: the top of the table, and the graph.
show() {
    local name=$1

    # Not head: it would close the pipe before all is written, and that counts as failed.
    "$JEPROF" --text "$FOLDER/$name.heap" | sed -n "1,$((ROWS + 1))p"
    "$JEPROF" --svg --output="$FOLDER/$name.svg" "$FOLDER/$name.heap"
}

find_bazel
bazel_run build //tests/demo:leaky_server || die "demo: the server does not build"
server=$(bazel_bin "$@")/tests/demo/leaky_server
rm -rf "$FOLDER"
mkdir -p "$FOLDER"

CONF='' profiled python3 /usr/bin/python3 -c "$PYTHON_PROGRAM" "$FOLDER/python3.heap"
show python3
CONF=,prof_final:true profiled leaky_server "$server"
mv "$FOLDER"/leaky_server.*.f.heap "$FOLDER/leaky_server.heap"
show leaky_server

grep -q remember_session "$FOLDER/leaky_server.svg" ||
    die "demo: the graph does not name remember_session, which leaks"
printf '%s\n' "" "The server leaks in remember_session (tests/demo/leaky_server.c). The call graphs:" \
    "  $FOLDER/python3.svg" "  $FOLDER/leaky_server.svg" \
    "Open them in a browser. Of your own program:" \
    "  LD_PRELOAD=$LIBRARY MALLOC_CONF=prof:true,prof_final:true,prof_prefix:/tmp/heap PROGRAM" \
    "  $JEPROF --text /tmp/heap.*.f.heap"
