# SPDX-License-Identifier: BSD-2-Clause
"""Thin wrappers: the flags every target shares, and nothing a reader has to learn twice.

tally_library  a library of ours, C or C++ (one language a target)
tally_binary   a program of ours
tally_test     a Check test: one source named after its unit, TALLY_COPTS, Check linked
tally_sh_test  a test that is a shell script
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")
load(":copts.bzl", "TALLY_COPTS", "TALLY_CXXOPTS")

# Debian's check is a static library; these are what it needs in turn.
_CHECK_LINKOPTS = ["-lcheck", "-lsubunit", "-lrt", "-lm", "-lpthread"]

def _copts_of(srcs):
    """The flags of a target's language, told by its sources."""
    cxx_count = len([src for src in srcs if src.endswith(".cc")])
    c_count = len([src for src in srcs if src.endswith(".c")])
    if cxx_count > 0 and c_count > 0:
        fail("C and C++ in one target: split it, their flags differ")
    return TALLY_CXXOPTS if cxx_count > 0 else TALLY_COPTS

def tally_library(name, srcs = [], hdrs = [], deps = [], copts = [], **kwargs):
    """A library: `copts` come after the shared flags; the rest is cc_library's."""
    cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        copts = _copts_of(srcs) + copts,
        linkstatic = True,
        deps = deps,
        **kwargs
    )

def tally_binary(name, srcs = [], deps = [], copts = [], **kwargs):
    """A program: as tally_library."""
    cc_binary(
        name = name,
        srcs = srcs,
        copts = _copts_of(srcs) + copts,
        linkstatic = True,
        deps = deps,
        **kwargs
    )

def tally_test(name, srcs, deps = [], copts = [], linkopts = [], size = "small", **kwargs):
    """A Check test of the prefixed library: link what it tests by `deps`, never the override."""
    cc_test(
        name = name,
        size = size,
        srcs = srcs,
        copts = _copts_of(srcs) + copts,
        linkopts = linkopts + _CHECK_LINKOPTS,
        linkstatic = True,
        deps = deps,
        **kwargs
    )

def tally_sh_test(name, srcs, size = "small", **kwargs):
    """A test that is a shell script; what it reads stands in `data`, paths in `args` or `env`."""
    native.sh_test(
        name = name,
        size = size,
        srcs = srcs,
        **kwargs
    )
