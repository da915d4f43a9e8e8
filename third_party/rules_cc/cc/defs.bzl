# SPDX-License-Identifier: BSD-2-Clause
"""The C and C++ rules of Bazel 4 under the names that later versions load them by.

Used with Debian's Bazel only (tools/dev/host.bzl): there the rules are still built in. Bazel's
own toolchain packages load the last two; we load the others.
"""

cc_library = native.cc_library
cc_binary = native.cc_binary
cc_test = native.cc_test
cc_import = native.cc_import

cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
