#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The house rules that a text search can hold. Each rule has its reason beside it, prints
# file:line: what it found, and may be run alone: lint.sh RULE... A rule that finds nothing is
# silent. No tool but grep, sed and awk (lint.awk), so that it can run before every commit.
set -euo pipefail

TALLY_ROOT=${TALLY_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
# shellcheck source=tools/dev/lib.sh
source "$TALLY_ROOT/tools/dev/lib.sh"
cd "$TALLY_ROOT"

readonly FILE_LINES_MAX=600 HEADER_LINES_MAX=300 ASSERTS_PER_KLOC_MIN=20
readonly SHAPE=(-v function_lines_max=70 -v parameters_max=6 -v nesting_max=3)

mapfile -t C_FILES < <(tree_files '*.c' '*.h' '*.cc')
mapfile -t LIBRARY_FILES < <(tree_files 'alloc/*.[ch]' 'prof/*.[ch]' 'ctl/*.[ch]')
mapfile -t PRODUCT_FILES < <(tree_files '*.c' '*.h' ':!tests/*')
mapfile -t OWN_FILES < <(tree_files '*.c' '*.h' '*.cc' '*.def' '*.sh' '*.awk' '*.bzl' '*.pl' \
    '*.pm' '*.py' '*BUILD' WORKSPACE MODULE.bazel .bazelrc dev .ci/run tools/jeprof/jeprof)

# lint_awk RULE AWK_FLAG... -- FILE...
lint_awk() {
    local rule=$1
    local -a flags=()

    shift
    while [[ $1 != -- ]]; do
        flags+=("$1")
        shift
    done
    shift
    if [[ $# -gt 0 ]]; then
        awk -v rule="$rule" "${flags[@]}" -f tools/dev/lint.awk "$@"
    fi
}

# grep_rule HOW PATTERN WHAT FILE...: file:line: WHAT for each line that matches.
grep_rule() {
    local how=$1 pattern=$2 what=$3

    shift 3
    if [[ $# -gt 0 ]]; then
        grep -Hn "$how" -e "$pattern" -- "$@" | sed "s|^\([^:]*:[0-9]*\):.*|\1: $what|" || true
    fi
}

rows() {
    grep -v -e '^#' -e '^$' "$1"
}

# One screen teaches a file: a long one owns too much. Tables of rows (.def) may be long.
rule_file_length() {
    local file lines max

    for file in "${OWN_FILES[@]}"; do
        lines=$(wc -l <"$file")
        max=$FILE_LINES_MAX
        if [[ $file == *.h ]]; then
            max=$HEADER_LINES_MAX
        fi
        if [[ $file != *.def && $lines -gt $max ]]; then
            say "$file:1: $lines lines; at most $max: split it by what is owned"
        fi
    done
}

# A signature teaches a function, a screen its body; a deep nest hides which way is normal.
rule_function_shape() {
    lint_awk function_shape "${SHAPE[@]}" -- "${C_FILES[@]}"
}

# A branch that the preprocessor removes is never compiled here and rots. Its two homes: base.h,
# and files that Bazel picks by platform.
rule_conditionals() {
    lint_awk conditionals -- "${PRODUCT_FILES[@]}"
}

# We are malloc: what allocates, or takes a lock of the C library, would come back to us in the
# middle of our own work.
rule_banned_calls() {
    local names

    names=$(rows tools/dev/banned_calls.txt | paste -sd '|')
    lint_awk banned_calls -v banned="[^A-Za-z0-9_.>]($names)[(]" -- "${LIBRARY_FILES[@]}"
}

# An open question is ASK: with the question. The rest is work that somebody else must guess.
rule_leftovers() {
    local word

    while IFS= read -r word; do
        grep_rule -wiF "$word" "the word $word" "${OWN_FILES[@]}"
    done < <(rows tools/dev/leftovers.txt)
}

# Code in a comment is neither: git keeps what was.
rule_commented_code() {
    lint_awk commented_code -- "${C_FILES[@]}"
}

# Words of other allocators, or of our own past, for things that have a name here.
rule_dropped_words() {
    local word instead

    while IFS=$'\t' read -r word instead; do
        grep_rule -wiE "${word}s?" "\"$word\": here it is $instead" "${LIBRARY_FILES[@]}"
    done < <(rows tools/dev/dropped_words.txt)
}

# Who may use this file, in one line that tools read.
rule_license_line() {
    local file

    for file in "${OWN_FILES[@]}"; do
        if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: BSD-2-Clause'; then
            say "$file:1: no SPDX line"
        fi
    done
}

# Tabs and blanks at line ends show up in every later diff.
rule_blanks() {
    grep_rule -E '[[:blank:]]+$' 'blanks at the end' "${OWN_FILES[@]}"
    grep_rule -F $'\t' 'a tab' "${C_FILES[@]}"
}

# The checks are what finds a bent heap where it was bent.
rule_assert_density() {
    local folder lines asserts
    local -a files=()

    for folder in alloc prof ctl; do
        mapfile -t files < <(tree_files "$folder/*.[ch]")
        [[ ${#files[@]} -gt 0 ]] || continue
        lines=$(cat "${files[@]}" | wc -l)
        asserts=$(cat "${files[@]}" |
            grep -cwE '(AL_CHECK|AL_CHECK_PTR|AL_ASSERT|AL_AUDIT|static_assert|al_lock_assert_held)' || true)
        if [[ $((asserts * 1000)) -lt $((lines * ASSERTS_PER_KLOC_MIN)) ]]; then
            say "$folder: $asserts checks in $lines lines; at least $ASSERTS_PER_KLOC_MIN in 1000"
        fi
    done
}

# One meaning for bool: true is success.
rule_bool_errors() {
    lint_awk bool_errors -- "${LIBRARY_FILES[@]}"
}

# A name in the order of the code that no source has any more orders nothing.
rule_order_names() {
    local name

    while read -r name; do
        if ! grep -qw -e "$name" -- "${LIBRARY_FILES[@]}"; then
            echo "tools/install/order.txt: $name is in no source"
        fi
    done < <(rows tools/install/order.txt)
}

# Told, and no failure: some units are tested through the one above them.
warn_units_without_test() {
    local file unit
    local -a missing=()

    for file in "${LIBRARY_FILES[@]}"; do
        unit=$(basename "$file" .c)
        unit=${unit%_x86_64} unit=${unit%_plain}
        if [[ $file == *.c && $unit != override* ]] &&
            ! compgen -G "tests/*/${unit}_test.c" >/dev/null; then
            missing+=("$file")
        fi
    done
    if [[ ${#missing[@]} -gt 0 ]]; then
        say "lint: warning: no test of their own: ${missing[*]}" >&2
    fi
}

main() {
    local -a rules=("$@")
    local rule found=0 output

    if [[ ${#rules[@]} -eq 0 ]]; then
        mapfile -t rules < <(declare -F | sed -n 's/^declare -f rule_//p')
        warn_units_without_test
    fi
    for rule in "${rules[@]}"; do
        output=$("rule_$rule")
        if [[ -n $output ]]; then
            say "${output//$'\n'/  [$rule]$'\n'}  [$rule]"
            found=$((found + $(wc -l <<<"$output")))
        fi
    done
    if [[ $found -gt 0 ]]; then
        say "lint: $found found; the reason of each rule is in tools/dev/lint.sh" >&2
        return 1
    fi
}

main "$@"
