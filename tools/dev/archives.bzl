# SPDX-License-Identifier: BSD-2-Clause
"""The static libraries behind `deps`, for a test to look into with nm."""

def _tally_archives_impl(ctx):
    archives = []
    for dep in ctx.attr.deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            for library in linker_input.libraries:
                archives.append(library.pic_static_library or library.static_library)
    return [DefaultInfo(files = depset(archives))]

tally_archives = rule(
    implementation = _tally_archives_impl,
    attrs = {"deps": attr.label_list(providers = [CcInfo])},
)
