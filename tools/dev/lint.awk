# SPDX-License-Identifier: BSD-2-Clause
#
# The rules of lint.sh that need the C text without its comments and strings. Run with -v
# rule=NAME; prints file:line: what. Plain awk: mawk is what Debian has at first.

# The line without comments and without what strings say. Comments of several lines are followed
# through the file; in our layout a string never spans lines.
function code(line,    out, at) {
    gsub(/\\./, "", line)
    gsub(/"[^"]*"/, "\"\"", line)
    out = ""
    while (line != "") {
        at = index(line, in_comment ? "*/" : "/*")
        if (at == 0) {
            return in_comment ? out : out line
        }
        if (!in_comment) {
            out = out substr(line, 1, at - 1)
        }
        line = substr(line, at + 2)
        in_comment = !in_comment
    }
    return out
}

function found(line, what) {
    printf "%s:%d: %s\n", FILENAME, line, what
}

FNR == 1 {
    in_comment = 0
    head = ""
    start = 0
}

{ text = code($0) }

# clang-format makes a function start with a line at column 1, its head end with ") {", and its
# body end with a } at column 1.
rule == "function_shape" {
    if (!start && text ~ /^[A-Za-z_]/ && text !~ /^extern ""/) {
        head = ""
        head_line = FNR
    }
    if (!start) {
        head = head " " text
    }
    if (!start && text ~ /\) *\{ *$/ && head !~ /=/) {
        start = FNR
        arguments = head
        sub(/^[^(]*\(/, "", arguments)
        # The parameters of a parameter that is a function do not count.
        gsub(/\([^()]*\)/, "", arguments)
        # What extent_hooks_t of jemalloc points to has seven.
        if (gsub(/,/, ",", arguments) + 1 > parameters_max && FILENAME !~ /user_hooks/) {
            found(head_line, "more than " parameters_max " parameters")
        }
    }
    if (start && text ~ /^ +(if|for|while|do|switch) *[({]/) {
        match(text, /^ +/)
        if (RLENGTH / 4 > nesting_max) {
            found(FNR, "nested more than " nesting_max " deep")
        }
    }
    if (start && text ~ /^}/) {
        if (FNR - start + 1 > function_lines_max) {
            found(start, "a function of " FNR - start + 1 " lines; at most " function_lines_max)
        }
        start = 0
        head = ""
    }
}

# Include guards and __cplusplus are no branches; installed headers meet every compiler.
rule == "conditionals" && FILENAME !~ /^alloc\/base\.h$|\/os_[a-z0-9_]*\.c$|\/include\// {
    if (text ~ /^ *# *(if|ifdef|ifndef|elif)[ (]/ && text !~ /^#ifndef [A-Z0-9_]+_H$/ &&
        text !~ /__cplusplus/) {
        found(FNR, "#if outside alloc/base.h and os_*.c")
    }
}

# The C library's names in override*.c are ours to define.
rule == "banned_calls" && FILENAME !~ /\/override[a-z_]*\.c$|\/include\// {
    rest = " " text
    while (match(rest, banned)) {
        found(FNR, substr(rest, RSTART + 1, RLENGTH - 2) " may allocate or lock in the C library")
        rest = substr(rest, RSTART + RLENGTH)
    }
}

rule == "commented_code" {
    if ($0 ~ /^ *\/\//) {
        found(FNR, "a // comment: ours are /* */")
    } else if (text ~ /^ *$/ && $0 ~ /[)=a-z0-9] *; *(\*\/)? *$/ && $0 ~ /[=(].*;/ &&
               $0 !~ /[A-Za-z]+ [a-z]+ [a-z]+ [a-z]+ /) {
        # Four words in a row: a sentence, whatever it ends with.
        found(FNR, "code in a comment")
    }
}

# Its commonest breach only: a name that says failure. A flag (has_, is_, had_) is a state.
rule == "bool_errors" {
    if (text ~ /(^|[^a-z_])bool +\**[a-z_]*(err|error|fail|failed) *[=;(]/ &&
        text !~ /bool +\**(has|had|is|was)_/) {
        found(FNR, "a bool that says failure: true is success here")
    }
}
