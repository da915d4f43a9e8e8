#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Goal:   names are the same whether the program, its stripped form beside a debug file, or the
#         debug file alone is there; a debug file that does not fit gives addresses and a reason,
#         never other names.
# Method: one program by each linker and in both kinds (position-independent or not), dumped in
#         both formats; what jeprof shows with the unstripped program is the answer. Functions
#         stand before and behind the one that allocates, so that every shift shows.
set -euo pipefail

readonly LIBRARY=$PWD/libtally.so
export TALLY_JEPROF_HELPER=$PWD/tools/jeprof/jeprof-helper
readonly JEPROF=$PWD/tools/jeprof/jeprof
cd "$TEST_TMPDIR"

fail() {
    printf '%s\n' "$@"
    exit 1
}

# source_of COUNT: a program of COUNT functions; the one in the middle keeps what it allocates.
source_of() {
    local count=$1 at

    printf '#include <dlfcn.h>\n#include <stdlib.h>\n'
    for ((at = 0; at < count; at++)); do
        printf '__attribute__((noinline)) void *keep_%d(size_t n) {\n' "$at"
        printf '    void *volatile block = malloc(n + %d); return block; }\n' "$at"
    done
    printf 'int main(int argc, char **argv) {\n'
    printf '    int (*mallctl)(const char *, void *, size_t *, void *, size_t) = NULL;\n'
    printf '    *(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");\n    for (int i = 1; i < argc; i++) {\n'
    printf '        const char *path = argv[i]; if (argc > 9) { '
    for ((at = 0; at < count; at++)); do
        printf 'keep_%d(9); ' "$at"
    done
    printf '}\n        keep_%d(100000);\n' $((count / 2))
    printf '        if (mallctl("prof.dump", NULL, NULL, &path, sizeof(path)) != 0) return 1;\n'
    printf '    }\n    return 0;\n}\n'
}

# shows_names WHAT ARG...: jeprof ARG... shows what the unstripped program gave.
shows_names() {
    local what=$1 have

    shift
    have=$("$JEPROF" --show_bytes "$@" 2>errors) || fail "$what: jeprof fails" "$(cat errors)"
    [[ $have == "$want" ]] || fail "$what: jeprof $* shows" "$have" "$(cat errors)" "not" "$want"
}

# shows_addresses WORDS ARG...: no function of the program is named; WORDS say why.
shows_addresses() {
    local words=$1 have

    shift
    have=$("$JEPROF" "$@" 2>errors) || fail "jeprof $* fails" "$(cat errors)"
    [[ $have != *keep_* && $have == *'prog+0x'* ]] || fail "jeprof $* shows" "$have"
    [[ $(cat errors) == *"$words"* ]] || fail "jeprof $*: says $(cat errors), not $words"
}

# check_kind FLAG...: everything, for a program linked so.
check_kind() {
    local dump id build_id_file

    rm -rf kept debug && mkdir kept
    gcc -g -O1 -D_GNU_SOURCE -Wl,--build-id "$@" -o prog small.c
    LD_PRELOAD=$LIBRARY MALLOC_CONF=prof:true,lg_prof_sample:0 \
        ./prog "$PWD/prog.heap" "$PWD/prog.pb.gz" || fail "$*: the program failed"
    objcopy --only-keep-debug prog kept/prog.debug
    id=$(readelf -n prog | sed -n 's/.*Build ID: //p')
    build_id_file=debug/.build-id/${id:0:2}/${id:2}.debug
    mkdir -p "${build_id_file%/*}"
    cp kept/prog.debug "$build_id_file"
    for dump in prog.heap prog.pb.gz; do
        want=$("$JEPROF" --show_bytes "$dump" 2>/dev/null)
        [[ $want == *keep_60* && $want == *main* ]] || fail "$*: $dump: no names" "$want"
        mv prog kept/whole
        shows_names "$*: the program has moved" kept/whole "$dump"
        shows_names "$*: only a debug file" kept/prog.debug "$dump"
        shows_names "$*: only a .build-id folder" "$build_id_file" "$dump"
        shows_addresses "give PROGRAM" "$dump"

        strip -o prog kept/whole
        shows_addresses "set DEBUGINFOD_URLS, or put its debug file at /usr/lib/debug/.build-id/${id:0:2}" "$dump"
        shows_addresses "find-dbgsym-packages $PWD/prog" "$dump"
        cp kept/prog.debug prog.debug
        objcopy --add-gnu-debuglink=prog.debug prog
        shows_names "$*: stripped, beside its debug file" "$dump"
        rm prog.debug
        mv kept/whole prog
    done
    # The text dump has no build id that would tell: the sizes must.
    mv prog kept/whole
    gcc -g -O1 -D_GNU_SOURCE "$@" -o other large.c
    objcopy --only-keep-debug other kept/other.debug
    shows_addresses "give the profiled program itself" kept/other.debug prog.heap
    shows_addresses "is another build" kept/other.debug prog.pb.gz
}

source_of 120 >small.c
source_of 500 >large.c
unset DEBUGINFOD_URLS
checked=0
for linker in bfd gold lld; do
    # Only the first always comes with the compiler.
    if [[ $linker == bfd ]] || command -v "ld.$linker" >/dev/null; then
        for kind in -pie -no-pie; do
            check_kind "-fuse-ld=$linker" "$kind" -fPIE
            checked=$((checked + 1))
        done
    fi
done
printf '%d kinds of program\n' "$checked"
