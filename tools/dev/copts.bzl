# SPDX-License-Identifier: BSD-2-Clause
"""How our code is compiled: one list for C and one for C++, used by every target.

Only flags that gcc 12 and clang 14 share stand here. What one of them alone knows is in
.bazelrc, under --config=gcc and --config=clang. Levels, optimisation and sanitizers are the
configuration's matter too: see docs/HACKING.md.
"""

# Warnings that mean the same in C and C++. All of them stop the build.
_WARNINGS = [
    "-Werror",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wcast-qual",
    "-Wpointer-arith",
    "-Wmissing-declarations",
    "-Wredundant-decls",
    "-Wvla",
    "-Wundef",
    "-Wformat=2",
    "-Wwrite-strings",
    "-Wnull-dereference",
    "-Wdouble-promotion",
    "-Wimplicit-fallthrough",
]

_CODEGEN = [
    "-D_GNU_SOURCE",
    # Nothing leaves the library but what is marked AL_EXPORT.
    "-fvisibility=hidden",
    # The library is in the process from the start, so its thread-local data may sit in the
    # static block: one instruction an access, and no allocation behind it.
    "-ftls-model=initial-exec",
    # We are malloc: the compiler must not know it by heart. gcc folds malloc and memset inside
    # calloc into a call of calloc, and both remove a malloc and free pair in a test.
    "-fno-builtin-malloc",
    "-fno-builtin-calloc",
    "-fno-builtin-realloc",
    "-fno-builtin-free",
    "-fno-builtin-aligned_alloc",
    "-fno-builtin-memalign",
    "-fno-builtin-posix_memalign",
    "-fno-builtin-strdup",
    "-fno-builtin-strndup",
    # sqrt becomes an instruction; no libm, and errno stays the program's.
    "-fno-math-errno",
    # A section a function: tools/install/order.txt has the order.
    "-ffunction-sections",
    # A walker by frame pointers may start in our slow paths; the fast ones call nobody and
    # save the three instructions.
    "-fno-omit-frame-pointer",
    "-momit-leaf-frame-pointer",
]

TALLY_COPTS = ["-std=c17"] + _WARNINGS + _CODEGEN + [
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wold-style-definition",
    "-Wnested-externs",
]

TALLY_CXXOPTS = ["-std=c++17", "-fsized-deallocation"] + _WARNINGS + _CODEGEN
