#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Each header compiles alone, with gcc and with clang, under the flags of tools/dev/copts.bzl.
# Bazel's parse_headers does nothing on Debian's toolchain, so this asks the compilers. The
# installed headers meet other people's flags: C99, C11 and three C++, all pedantic.
set -euo pipefail

TALLY_ROOT=${TALLY_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
# shellcheck source=tools/dev/lib.sh
source "$TALLY_ROOT/tools/dev/lib.sh"
cd "$TALLY_ROOT"

mapfile -t COPTS < <(grep -oE '^ *(TALLY_COPTS = \[)?"-[^"]+"' tools/dev/copts.bzl |
    grep -oE '"-[^"]+"' | tr -d '"' | sort -u)
readonly PUBLIC=(-Ictl/include -Werror -Wall -Wextra -pedantic -Wundef)
failed=0

# alone COMPILER STANDARD HEADER FLAG...: includes it twice, so that a missing guard shows, too.
# The declaration is for headers of macros alone: C wants one in every translation unit.
alone() {
    local compiler=$1 standard=$2 header=$3
    shift 3
    if ! printf '#include "%s"\n#include "%s"\nextern int one;\n' "$header" "$header" |
        "$compiler" "$@" "-std=$standard" -fsyntax-only - 2>"$scratch/errors"; then
        say "$header:1: does not compile alone with $compiler -std=$standard"
        sed 's/^/    /' "$scratch/errors"
        failed=1
    fi
}

make_scratch
for compiler in gcc clang; do
    command -v "$compiler" >/dev/null || die "headers: $compiler is missing"
    while IFS= read -r header; do
        case $header in
        ctl/include/*)
            for standard in c99 c11; do
                alone "$compiler" $standard "${header#ctl/include/}" -x c "${PUBLIC[@]}"
            done
            for standard in c++98 c++11 c++20; do
                alone "$compiler" $standard "${header#ctl/include/}" -x c++ "${PUBLIC[@]}"
            done
            ;;
        # Code that a bench or a test compiles as a program of its own is no contract.
        tests/system/* | tests/bench/*) ;;
        *) alone "$compiler" c17 "$header" -x c -I. "${COPTS[@]}" ;;
        esac
    done < <(tree_files '*.h')
done
exit "$failed"
