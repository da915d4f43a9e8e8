# SPDX-License-Identifier: BSD-2-Clause
"""The tests of the profiler's units, most of them alike."""

load("//tools/dev:rules.bzl", "tally_test")

def prof_tests():
    """What walks stacks, and what each other unit says of them."""

    # What walks stacks: on bytes made by hand, and on this process's own frames.
    [tally_test(
        name = name + "_test",
        size = "medium",
        srcs = [name + "_test.c"],
        deps = [
            "//alloc:base",
            "//prof:cfi",
            "//prof:dwarf",
            "//tests/support:eh_frame",
            "//tests/support:guarded",
            "//tests/support:suite",
        ],
    ) for name in [
        "cfi",
        "cfi_entry",
        "cfi_expression",
        "cfi_program",
        "dwarf",
    ]]

    # Calls that stay calls, and symbols that the loader looks up at the first of them.
    [tally_test(
        name = name + "_test",
        size = "medium",
        srcs = [name + "_test.c"],
        copts = ["-fno-optimize-sibling-calls"],
        linkopts = ["-Wl,-z,lazy", "-ldl", "-lpthread"],
        # Each instruction of a throw: the thread sanitizer's own frames are among them, and libgcc
        # crashes above more of those than can be told.
        tags = ["override"] if name == "walk_step" else [],
        target_compatible_with = ["@platforms//cpu:x86_64"],
        deps = [
            "//alloc:base",
            "//prof:walk",
            "//prof:walk_api",
            "//tests/support:guarded",
            "//tests/support:suite",
            "//tests/support:thrower",
            "//tests/support:walk_twice",
        ],
    ) for name in [
        "walk",
        "walk_step",
    ]]

    # Each case in a process of its own, so that none finds what another one left. Two of them need
    # memory limits, threads in a child of fork, or a process that has had none: no sanitizer's matter.
    [tally_test(
        name = name + "_test",
        size = "medium",
        srcs = [name + "_test.c"],
        copts = ["-fno-optimize-sibling-calls"],
        linkopts = ["-lm", "-lpthread", "-ldl", "-lz"],
        tags = ["override"] if name in ["stack", "trigger"] else [],
        deps = deps + [
            "//alloc:base",
            "//alloc:options",
            "//tests/support:child",
            "//tests/support:dies",
            "//tests/support:suite",
        ],
    ) for name, deps in [
        ("dump", ["//prof:dump", "//prof:site", "//tests/support:no_hooks"]),
        ("heap_text", ["//alloc:sample", "//prof:formats", "//prof:site"]),
        ("leak", ["//alloc:sample", "//prof:leak", "//prof:site"]),
        ("pool", ["//prof:pool"]),
        ("pprof", ["//prof:formats", "//prof:maps", "//prof:site"]),
        ("prof", ["//alloc:control_api", "//alloc:malloc", "//alloc:sample", "//ctl:tally_ctl", "//prof:site", "//prof:tally_prof"]),
        ("stack", ["//prof:stack"]),
        ("trigger", ["//alloc:malloc", "//prof:dump", "//prof:site", "//tests/support:no_hooks"]),
    ]]
