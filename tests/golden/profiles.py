#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""profiles.py names|sites|tree N: writes the profiles that the tests here read.

names  one pprof profile a hostile function name, NAME.pb in the current folder
sites  sites.heap: 5,000 stacks in 40 functions' call trees, exact; prints what it holds in all
tree N N stacks of a program that looks like one, as tree.pb: deep, shared roots, a few hot places;
       prints the total
"""
import random
import sys


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """One field: an integer, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def profile_of(name):
    """A profile of one stack, 1,000,000 bytes in the one function `name`."""
    strings = [b"", b"inuse_space", b"bytes", name]
    return b"".join(
        [
            field(1, field(1, 1) + field(2, 2)),
            field(2, field(1, 1) + field(2, 1000000)),
            field(4, field(1, 1) + field(3, 4096) + field(4, field(1, 1) + field(2, 5))),
            field(5, field(1, 1) + field(2, 3) + field(3, 3)),
        ]
        + [field(6, string) for string in strings]
    )


HOSTILE_NAMES = {
    "open": b"f" + b"(" * 30000,
    "pairs": b"f" + b"()" * 30000,
    "nested": b"f" + b"(" * 30000 + b")" * 30000,
    "unclosed": b"f" + b"(a" * 30000 + b")" * 29999,
    "blanks": b"a " * 40000 + b"()",
    "colons": b"a::" * 20000,
    "long": b"x" * 200000 + b"()",
    "clones": b"x" + b" [clone " * 20000 + b"]",
    "closed_clones": b"x" + b" [clone a]" * 20000,
    "qualifiers": b"x()" + b" const" * 20000 + b"x",
    "suffixes": b"x" + b".isra.1" * 20000 + b"x",
    "operators": b"operator " * 20000 + b"()",
    "angles": b"f" + b"<" * 30000 + b"()",
    "utf8": "\u00e4".encode() * 20000,
    "quotes": b'"\\N' * 10000,
    "not_utf8": b"\xff\xfe\\n",
    "empty": b"",
}


def write_names():
    for name, function in HOSTILE_NAMES.items():
        with open(name + ".pb", "wb") as out:
            out.write(profile_of(function))


def write_sites():
    """Return addresses: the tool takes 1 off, so that 40 different places are named."""
    rng = random.Random(7)
    seen = set()
    total = 0
    with open("sites.heap", "w", encoding="ascii") as out:
        out.write("heap_v2/1\n  t*: 1: 1 [0: 0]\n")
        while len(seen) < 5000:
            frames = tuple(rng.randrange(1, 40) * 4096 + 1 for _ in range(rng.randint(1, 12)))
            if frames in seen:
                continue
            seen.add(frames)
            size = rng.randint(1, 1 << 24)
            total += size
            stack = " ".join(f"0x{addr:x}" for addr in frames + (40 * 4096 + 1,))
            out.write(f"@ {stack}\n  t*: 1: {size} [0: 0]\n")
        out.write("\nMAPPED_LIBRARIES:\n")
        out.write("00000000-00100000 r-xp 00000000 fe:00 1234   /nonexistent/prog\n")
    print(total)


def write_tree(count):
    """Stacks grow from stacks before them, as a program's do; sizes are spread over four powers."""
    chance = random.Random(count)
    words = ["parse", "index", "query", "cache", "session", "buffer", "node", "table", "codec", "log"]
    functions = [
        f"app::{chance.choice(words)}::{chance.choice(words).title()}<{n % 7}>::{chance.choice(words)}_{n}"
        for n in range(min(5000, count))
    ]
    stacks, samples, total = [[0]], [], 0
    for _ in range(count):
        stem = chance.choice(stacks[-2000:])
        stem = stem[: max(1, len(stem) - chance.randrange(4))]
        stack = stem + [chance.randrange(len(functions)) for _ in range(chance.randrange(1, 6))]
        stack = stack[:60]
        stacks.append(stack)
        value = int(10 ** chance.uniform(3, 7))
        total += value
        ids = b"".join(varint(function + 1) for function in reversed(stack))
        samples.append(field(2, field(1, ids) + field(2, varint(max(1, value // 100)) + varint(value))))
    strings = [b"", b"inuse_objects", b"count", b"inuse_space", b"bytes", b"app.cc"]
    first = len(strings)
    strings += [name.encode() for name in functions]
    parts = [field(1, field(1, 1) + field(2, 2)), field(1, field(1, 3) + field(2, 4))] + samples
    for at in range(len(functions)):
        line = field(1, at + 1) + field(2, at + 10)
        parts.append(field(4, field(1, at + 1) + field(3, 4096 + 16 * at) + field(4, line)))
        parts.append(field(5, field(1, at + 1) + field(2, first + at) + field(4, 5)))
    parts += [field(6, string) for string in strings]
    with open("tree.pb", "wb") as out:
        out.write(b"".join(parts))
    print(total)


WRITERS = {"names": write_names, "sites": write_sites, "tree": lambda: write_tree(int(sys.argv[2]))}
WRITERS[sys.argv[1]]()
