# SPDX-License-Identifier: BSD-2-Clause
"""The tests of mallctl's rows: one for each file of rows in ctl."""

load("//tools/dev:rules.bzl", "tally_test")

def ctl_nodes_tests(deps):
    """Each links the whole library.

    Args:
        deps: the library without the C library's names, and the tests' support.
    """
    [tally_test(
        name = "nodes_" + name + "_test" if name != "" else "nodes_test",
        size = "medium",
        srcs = ["nodes_" + name + "_test.c" if name != "" else "nodes_test.c"],
        linkopts = ["-ldl", "-lz"],
        deps = deps,
    ) for name in [
        "",
        "arena",
        "arenas",
        "config",
        "prof",
        "stats",
        "stats_arena",
        "stats_hpa",
        "thread",
    ]]
