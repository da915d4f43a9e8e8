#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A program with as much debug information as wanted, and a dump of as many sites.

    big_program.py build FOLDER UNITS   FOLDER/big, by gcc; some 3.2 MB of debug information a unit
    big_program.py dump FOLDER SITES    FOLDER/big.heap: stacks of 12 to 30 places in its functions

For measuring jeprof: 100 units, 50,000 sites.
"""

import concurrent.futures
import os
import random
import subprocess
import sys

FUNCTIONS, TYPES, MEMBERS = 200, 8000, 30


def unit(number):
    lines = ["extern void *hold(unsigned long);"]
    for kind in range(TYPES):
        members = " ".join(f"int member_{m};" if m % 3 else f"struct type_{number}_{max(0, kind - m)} *link_{m};" for m in range(MEMBERS))
        lines.append(f"struct type_{number}_{kind} {{ {members} }};")
    lines.append("static inline __attribute__((always_inline)) void *innermost(unsigned long n) { void *p = hold(n); asm volatile(\"\"); return p; }")
    lines.append("static inline __attribute__((always_inline)) void *middle(unsigned long n) { return (char *)innermost(n + 1) + 1; }")
    for function in range(FUNCTIONS):
        calls = "".join(f"\n    sum += (unsigned long)middle(n + {call});" for call in range(4))
        lines.append(f"unsigned long function_{number}_{function}(unsigned long n) {{\n    unsigned long sum = 0;{calls}\n    return sum;\n}}")
    return "\n".join(lines) + "\n"


def build(folder, units):
    def one(number):
        source, made = f"{folder}/unit_{number}.c", f"{folder}/unit_{number}.o"
        with open(source, "w") as out:
            out.write(unit(number))
        subprocess.check_call(["gcc", "-g", "-O1", "-fno-eliminate-unused-debug-types", "-c", source, "-o", made])
        os.unlink(source)
        return made

    os.makedirs(folder, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(one, range(units)))
    with open(f"{folder}/main.c", "w") as out:
        out.write("#include <stdlib.h>\nvoid *hold(unsigned long n) { return malloc(n); }\nint main(void) { return 0; }\n")
    subprocess.check_call(["gcc", "-g", "-no-pie", f"{folder}/main.c", *objects, "-o", f"{folder}/big"])
    for made in objects:
        os.unlink(made)


def dump(folder, sites):
    chance = random.Random(sites)
    text = subprocess.check_output(["nm", "-S", f"{folder}/big"], text=True)
    functions = [(int(row[0], 16), int(row[1], 16)) for row in map(str.split, text.splitlines()) if len(row) == 4 and row[3].startswith("function_")]
    low, high = min(f[0] for f in functions) & ~4095, max(sum(f) for f in functions) + 4095 & ~4095
    places = [start + chance.randrange(4, size) for start, size in functions for _ in range(4)]
    path = os.path.abspath(f"{folder}/big")
    stacks = [[chance.choice(places)]]
    with open(f"{folder}/big.heap", "w") as out:
        out.write("heap_v2/524288\n  t*: 1: 1 [0: 0]\n  t0: 1: 1 [0: 0]\n")
        seen = set()
        while len(seen) < sites:
            stem = chance.choice(stacks[-500:])
            keep = chance.randrange(min(len(stem), 24) + 1)
            stack = stem[:keep] + [chance.choice(places) for _ in range(max(12 - keep, chance.randrange(1, 7)))]
            stacks.append(stack)
            if tuple(stack) in seen:
                continue
            seen.add(tuple(stack))
            count = chance.randrange(1, 20)
            size = count * chance.choice([64, 1024, 65536])
            frames = " ".join(hex(addr) for addr in reversed(stack))
            out.write(f"@ {frames}\n  t*: {count}: {size} [0: 0]\n  t0: {count}: {size} [0: 0]\n")
        out.write("\nMAPPED_LIBRARIES:\n")
        head = subprocess.check_output(["readelf", "-lW", path], text=True)
        for row in map(str.split, head.splitlines()):
            if row and row[0] == "LOAD" and "E" in row[6:8]:
                offset, start, length = int(row[1], 16), int(row[2], 16), int(row[5], 16)
                out.write(f"{start:x}-{start + length + 4095 & ~4095:x} r-xp {offset:08x} 00:00 1 {path}\n")


if sys.argv[1] == "build":
    build(sys.argv[2], int(sys.argv[3]))
else:
    dump(sys.argv[2], int(sys.argv[3]))
