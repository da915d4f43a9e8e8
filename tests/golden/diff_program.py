#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes a C++ program of many allocation sites, whose sums are known, for comparing builds of it.

    diff_program.py FILE [grown] [shifted] [renamed]

Without words: 200 sites: plain functions, templates, lambdas, functions of one name in
anonymous namespaces, recursion. grown: one site holds a fifth more. shifted: lines and a lambda
put in, so that lines and lambda numbers move. renamed: functions have other names.
"""

import sys

SITES = 200
GROWN = 77  # a lambda
KIB_QUIET, KIB_GROWN = 400, 16000

HEAD = """#include <cstddef>
#include <cstdint>
#include <cstdlib>
void *volatile slots[4000000];
std::size_t slot_count;
volatile unsigned touched[200]; // what differs between functions, that no compiler may make them one
template <typename Make> static inline void hold(std::size_t bytes, std::size_t size, Make make) {
    for (std::size_t held = 0; held < bytes; held += size) slots[slot_count++] = make(size);
}
"""

PLAIN = """static void {plain}_{i}(std::size_t bytes, std::size_t size) {{
    for (std::size_t held = 0; held < bytes; held += size) slots[slot_count++] = std::malloc(size);
    touched[{i}]++;
}}
"""
TEMPLATE = """template <int N> struct Pool_{i} {{
    static void fill(std::size_t bytes, std::size_t size) {{
        hold(bytes, size, [](std::size_t n) {{ touched[{i}]++; return ::operator new(n); }});
    }}
}};
"""
ANONYMOUS = """namespace {{
__attribute__((noinline)) void quiet_{i}(std::size_t bytes, std::size_t size, bool is_deep) {{
    if (is_deep) quiet_{i}(bytes, size, false);
    else hold(bytes, size, [](std::size_t n) {{ touched[{i}]++; return std::malloc(n); }});
}}
}}
"""
RECURSIVE = """static void descend_{i}(int depth, std::size_t bytes, std::size_t size) {{
    if (depth > 0) {{ descend_{i}(depth - 1, bytes, size); return; }}
    hold(bytes, size, [](std::size_t n) {{ touched[{i}]++; return std::malloc(n); }});
}}
"""


def main(path, *words):
    plain = "renamed" if "renamed" in words else "plain"
    shift = "// a line more\n" * 7 if "shifted" in words else ""
    parts, calls, lambdas = [shift, HEAD], [], []
    for i in range(SITES):
        kib = KIB_GROWN if i == GROWN else KIB_QUIET
        kib = kib * 6 // 5 if i == GROWN and "grown" in words else kib
        size = 64 * (1 + i % 50)
        what = f"{kib} * std::size_t(1024), {size}"
        kind = i % 5
        if kind == 0:
            parts.append(PLAIN.format(i=i, plain=plain))
            calls.append(f"{plain}_{i}({what});")
        elif kind == 1:
            parts.append(TEMPLATE.format(i=i))
            calls.append(f"Pool_{i}<{i}>::fill({what});")
        elif kind == 2:
            if i == 42 and shift:
                lambdas.append("auto extra = [] { return 1; };\n    if (extra() == 0) std::abort();")
            lambdas.append(f"auto l{i} = [](std::size_t n) {{ touched[{i}]++; return std::malloc(n); }};")
            lambdas.append(f"hold({what}, l{i});")
        elif kind == 3:
            parts.append(ANONYMOUS.format(i=i))
            calls.append(f"quiet_{i}({what}, {'true' if i % 2 else 'false'});")
        else:
            parts.append(RECURSIVE.format(i=i))
            calls.append(f"descend_{i}({i % 7}, {what});")
        if i % 20 == 0:
            parts.append(shift)
    parts.append("static void lambdas() {\n    " + "\n    ".join(lambdas) + "\n}\n")
    half = len(calls) // 2
    parts.append("static void first() {\n    " + "\n    ".join(calls[:half]) + "\n}\n" + shift)
    parts.append("static void second() {\n    " + "\n    ".join(calls[half:]) + "\n}\n")
    parts.append("int main() {\n    first();\n    second();\n    lambdas();\n    return slot_count == 0;\n}\n")
    with open(path, "w") as out:
        out.write("".join(parts))


main(*sys.argv[1:])
