#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check.sh [--fast] [PART...]: what holds the house together, part by part; each part is one
# function below with its reason. --fast: those that take seconds. Every part is run even after
# one failed; at the end stands what failed and the command that runs just that again.
set -euo pipefail

: "${TALLY_ROOT:?run me by ./dev check}"
# shellcheck source=tools/dev/lib.sh
source "$TALLY_ROOT/tools/dev/lib.sh"
cd "$TALLY_ROOT"

readonly FAST_PARTS=(format lint layers headers shell)
readonly SLOW_PARTS=(gcc clang audit asan tsan)

# One layout, so that no diff is about blanks.
part_format() {
    local -a files
    mapfile -t files < <(tree_files '*.c' '*.h' '*.cc')
    [[ ${#files[@]} -gt 0 ]] || die "format: no file found"
    clang-format --dry-run -Werror --style=file "${files[@]}"
}

# The rules that a text search can see.
part_lint() {
    tools/dev/lint.sh
}

# alloc < prof < ctl.
part_layers() {
    tools/dev/layers.sh includes
}

# Each header says all it needs.
part_headers() {
    tools/dev/headers.sh
}

# Quoting mistakes in scripts show up on other people's machines.
part_shell() {
    local -a files
    mapfile -t files < <(tree_files '*.sh' dev .ci/run tools/dev/hooks/pre-commit)
    shellcheck --external-sources "${files[@]}"
}

# Both compilers at -Werror, each with the warnings only it knows.
part_gcc() {
    find_bazel
    bazel_run build --config=gcc //...
}

part_clang() {
    find_bazel
    bazel_run build --config=clang //...
}

# Whole structures walked on entry and exit.
part_audit() {
    tools/dev/test.sh --config=audit
}

# Memory and undefined behaviour, in the prefixed library.
part_asan() {
    tools/dev/test.sh --config=asan
}

# Data races, in the prefixed library.
part_tsan() {
    tools/dev/test.sh --config=tsan
}

main() {
    local part
    local -a parts=() failed=()

    for part in "$@"; do
        case $part in
        --fast) parts+=("${FAST_PARTS[@]}") ;;
        *)
            [[ $(type -t "part_$part") == function ]] ||
                die "check: no part $part; there are ${FAST_PARTS[*]} ${SLOW_PARTS[*]}"
            parts+=("$part")
            ;;
        esac
    done
    if [[ ${#parts[@]} -eq 0 ]]; then
        parts=("${FAST_PARTS[@]}" "${SLOW_PARTS[@]}")
    fi
    for part in "${parts[@]}"; do
        say "check: $part"
        # A part of its own shell: `set -e` would be off inside an `if`.
        "${BASH_SOURCE[0]}" --part "$part" || failed+=("$part")
    done
    if [[ ${#failed[@]} -gt 0 ]]; then
        say "check: failed: ${failed[*]}; again: ./dev check ${failed[*]}" >&2
        return 1
    fi
    say "check: all of ${parts[*]}: nothing found"
}

if [[ ${1:-} == --part ]]; then
    "part_$2"
else
    main "$@"
fi
