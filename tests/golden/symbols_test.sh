#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   names are found wherever debug information can be: in compressed and split form, by link-time
#         optimised and Clang-built programs, below another root, on a debuginfod server, in a
#         just-in-time compiler's map; a thread asked for is shown alone.
# Method: one program with functions inlined into each other, built in each way; what jeprof shows of
#         the plain build is the answer. The server is elfutils' own, on 127.0.0.1.
set -euo pipefail

readonly LIBRARY=$PWD/libtally.so
export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof GOLDEN=$PWD/tests/golden
cd "$TEST_TMPDIR"
export HOME=$PWD
unset DEBUGINFOD_URLS

fail() {
    printf '%s\n' "$@"
    exit 1
}

cat >prog.c <<'C'
#include <stdlib.h>
void *volatile kept[16];
static inline __attribute__((always_inline)) void *inner(size_t n) { void *p = malloc(n); kept[2] = p; return p; }
static inline __attribute__((always_inline)) void middle(int at) { kept[at] = inner(4096); }
__attribute__((noinline)) void outer(void) { middle(0); kept[1] = NULL; }
int main(void) {
    outer();
    return kept[0] == NULL;
}
C
cat >anon.c <<'C'
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
void *volatile kept;
/* push %rbx; mov $4096,%edi; call *%rax; pop %rbx; ret: a frame whose code is in no file. */
static const unsigned char code[] = {0x53, 0xbf, 0, 0x10, 0, 0, 0xff, 0xd0, 0x5b, 0xc3};
int main(void) {
    char *const made = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(made, code, sizeof(code));
    FILE *const map = fopen("made.map", "w");
    fprintf(map, "%lx 4 before\n%lx %zx Made::by the compiler\n", (long)made - 16, (long)made, sizeof(code));
    fclose(map);
    void *result;
    __asm__ volatile("call *%2" : "=a"(result) : "0"(malloc), "r"(made) : "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory");
    kept = result;
    return kept == NULL;
}
C

# profile PROGRAM: its dump at exit is PROGRAM.heap.
profile() {
    rm -f "$1".*.f.heap
    (cd "$(dirname "$1")" && MALLOC_CONF=prof:true,prof_final:true,lg_prof_sample:0,prof_prefix:$1 LD_PRELOAD=$LIBRARY "$1") ||
        fail "$1 failed"
    mv "$1".*.f.heap "$1.heap"
}

# shows_all WHAT ARG...: outer, middle and inner, with their lines.
shows_all() {
    local what=$1 have

    shift
    have=$("$JEPROF" --collapsed --lines --focus='^outer' "$@" 2>errors) || fail "$what: $(cat errors)"
    [[ $have == *'main '*'prog.c:7;outer '*'prog.c:5;middle '*'prog.c:4;inner '*'prog.c:3 4096' ]] ||
        fail "$what: shows" "$have" "$(cat errors)"
}

built=0
build_and_check() {
    local what=$1

    shift
    mkdir -p "$PWD/built"
    "$@" -O1 -fno-omit-frame-pointer prog.c -o built/prog
    profile "$PWD/built/prog"
    shows_all "$what" built/prog.heap
    built=$((built + 1))
}
build_and_check plain gcc -g
build_and_check compressed gcc -g -gz
build_and_check 'DWARF 4' gcc -gdwarf-4
build_and_check split gcc -g -gsplit-dwarf
build_and_check 'split, DWARF 4' gcc -gdwarf-4 -gsplit-dwarf
build_and_check LTO gcc -g -flto -Wl,--build-id
if command -v clang >/dev/null; then
    # Without .debug_aranges.
    build_and_check Clang clang -g
fi
printf '%d builds\n' "$built"

# Another root: there is nothing at the program's own path any more.
build_and_check 'for other roots' gcc -g -Wl,--build-id
mkdir -p "root$PWD/built"
mv built/prog "root$PWD/built/prog"
"$JEPROF" --collapsed built/prog.heap 2>errors | grep -q outer && fail "names without a program"
shows_all sysroot --sysroot="$PWD/root" built/prog.heap

# A server has it by build id alone, which a protobuf dump has.
if command -v debuginfod >/dev/null; then
    mkdir served
    cp "root$PWD/built/prog" served/
    cp served/prog built/prog
    cat >dump.c <<'C'
#include <dlfcn.h>
#include <stddef.h>
__attribute__((destructor)) static void dump(void) {
    int (*mallctl)(const char *, void *, size_t *, void *, size_t) = NULL;
    const char *path = "prog.pb.gz";
    *(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
    mallctl("prof.dump", NULL, NULL, &path, sizeof(path));
}
C
    gcc -shared -fPIC -D_GNU_SOURCE dump.c -o dump.so
    (cd built && MALLOC_CONF=prof:true,lg_prof_sample:0 LD_PRELOAD="$LIBRARY ../dump.so" ./prog) || fail "the protobuf dump"
    rm built/prog
    port=$((20000 + $$ % 20000))
    debuginfod -d :memory: -p $port -F "$PWD/served" >server.log 2>&1 &
    server=$!
    trap 'kill $server' EXIT
    id=$(readelf -n served/prog | sed -n 's/.*Build ID: //p')
    for _ in $(seq 150); do
        curl -sf -o /dev/null "http://127.0.0.1:$port/buildid/$id/debuginfo" && break
        sleep 0.1
    done
    export DEBUGINFOD_URLS=http://127.0.0.1:$port DEBUGINFOD_CACHE_PATH=$PWD/cache
    shows_all debuginfod built/prog.pb.gz
    # Its cache serves where the server is gone.
    kill $server
    wait $server 2>/dev/null || true
    trap - EXIT
    shows_all "debuginfod's cache" built/prog.pb.gz
    unset DEBUGINFOD_URLS
fi

# Code made at run time has the names that its compiler wrote down.
if [[ $(uname -m) == x86_64 ]]; then
    gcc -O1 -g -fno-omit-frame-pointer anon.c -o anon
    profile "$PWD/anon"
    "$JEPROF" --collapsed --perf_map=made.map anon.heap >out 2>errors || fail "$(cat errors)"
    grep -q 'Made::by the compiler 4096$' out || fail "--perf_map" "$(cat out errors)"
    printf 'zebra\n12 4 name\n' >broken.map
    ! "$JEPROF" --text --perf_map=broken.map anon.heap >out 2>errors || fail "a broken map is taken"
    [[ $(cat errors) == *'broken.map: line 1'* ]] || fail "a broken map" "$(cat errors)"
fi

# simple.heap: thread 1 has the second stack alone.
[[ $("$JEPROF" --thread=1 --collapsed "$GOLDEN/simple.heap" 2>/dev/null) == 'prog+0x3000;prog+0x2100;prog+0x1100 2425393' ]] ||
    fail "--thread"
status=0
"$JEPROF" --thread=9 "$GOLDEN/simple.heap" >out 2>errors || status=$?
[[ $status -eq 1 && $(cat errors) == *'nothing of thread 9'* ]] || fail "a thread that is not there" "$(cat errors)"
# 4 samples of weight 1.16 MB are 3.1 to 7.1 MB.
"$JEPROF" --text --intervals "$GOLDEN/simple.heap" 2>/dev/null >out
grep -qE '^ +3\.1 \.\. 7\.1 +4\.6 +66\.7% +66\.7% +4\.6 +66\.7% prog\+0x1000$' out || fail "--intervals" "$(cat out)"
