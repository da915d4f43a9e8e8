# SPDX-License-Identifier: BSD-2-Clause
"""The tests of the units that mallctl is made of, each alone."""

load("//tools/dev:rules.bzl", "tally_test")

def ctl_tests(whole):
    """One test a unit.

    Args:
      whole: what the whole library is without the C library's names.
    """
    [tally_test(
        name = name + "_test",
        srcs = [name + "_test.c"],
        linkopts = ["-ldl", "-lpthread", "-lz"],
        deps = whole + deps,
    ) for name, deps in [
        ("events", []),
        ("node", []),
        ("print", []),
        ("snapshot", ["//alloc:background"]),
        ("tcache_control", []),
        ("version", ["//ctl:version"]),
    ]]
