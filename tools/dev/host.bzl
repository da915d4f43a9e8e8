# SPDX-License-Identifier: BSD-2-Clause
"""Finds out whether this is Debian's Bazel, and if so declares what it must not download.

Debian builds Bazel 4.2.3 without a version string and packages the repositories it refers to.
Both facts are asked: a newer Bazel on the same machine must not get those old repositories.
"""

_DEBIAN = {
    "bazel_skylib": "/usr/share/bazel/tools/skylib",
    "platforms": "/usr/share/bazel/tools/platforms",
    "rules_java": "/usr/share/bazel/rules/java",
    "rules_proto": "/usr/share/bazel/rules/proto",
}

# Debian packages neither. What Bazel wants of them fits a screen.
_OURS = {
    "remote_coverage_tools": "third_party/remote_coverage_tools",
    "rules_cc": "third_party/rules_cc",
}

def _is_debian(ctx):
    version = native.bazel_version
    if version != "" and not version.startswith("4."):
        return False
    missing = [path for path in _DEBIAN.values() if not ctx.path(path).exists]
    return len(missing) == 0

def _host_repository_impl(ctx):
    lines = ["def declare_repositories():", "    pass"]
    if _is_debian(ctx):
        for name, path in sorted(dict(_DEBIAN, **_OURS).items()):
            lines.append("    native.local_repository(name = %r, path = %r)" % (name, path))
    ctx.file("BUILD", "")
    ctx.file("repositories.bzl", "\n".join(lines) + "\n")

# local: asked again whenever Bazel's server starts, so that installing a package is noticed.
host_repository = repository_rule(implementation = _host_repository_impl, local = True)
